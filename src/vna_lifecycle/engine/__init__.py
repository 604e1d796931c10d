"""Use cases: each decides purely and runs thinly. They are handed objects and know no archive's kind."""
