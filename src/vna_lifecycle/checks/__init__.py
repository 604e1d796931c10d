"""The built-in acceptance checks: each a small module that tells what it proves, what it cannot, and what it finds."""
