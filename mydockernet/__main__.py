"""`python -m mydockernet`."""

import sys

from mydockernet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
