"""``python -m starter.cli``: the same as the console script ``caseladder``."""

import sys

from starter.cli import main

sys.exit(main())
