"""`python -m rxws`."""

import sys

from rxws.cli import main

if __name__ == "__main__":
    sys.exit(main())
