"""AWS HealthImaging as an archive: imports by jobs from staged files, and reads instances back out."""
