"""Clean archives, and the defects that acceptance checks must find in them."""
