"""The seed of all random choices in the tests: property tests, faults, and the moments at which something is killed."""

from __future__ import annotations

import os
import random

# Always the same in CI, so that what fails there is due to the change; new for each run elsewhere. In the environment,
# so that the processes of pytest-xdist have the same one.
_default = "1" if "CI" in os.environ else str(random.SystemRandom().randrange(10**6))
SEED = int(os.environ.setdefault("CASELADDER_TEST_SEED", _default))
