"""``python -m vna_lifecycle`` is the command line."""

import sys

from vna_lifecycle.cli import main

if __name__ == "__main__":
    sys.exit(main())
