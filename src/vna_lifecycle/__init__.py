"""Move a clinical image archive as a staged, proved program."""
