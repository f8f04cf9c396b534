"""Settings of the tests of the pure core."""

from __future__ import annotations

import pytest

# Its assertions are part of the tests, so a failed one must say what it compared.
pytest.register_assert_rewrite("tests.core.support")
