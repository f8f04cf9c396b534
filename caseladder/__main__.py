"""``python -m caseladder``: the same as the console script ``caseladder``."""

import sys

from starter.cli import main

if __name__ == "__main__":
    sys.exit(main())
