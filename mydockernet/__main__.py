"""`python -m mydockernet`."""

import sys

from mydockernet.cli import main

if __name__ == "__main__":
    sys.exit(main())
