"""The names that whoever starts a case and whoever runs it must agree on, beside those of the kinds and commands."""

from __future__ import annotations

TASK_QUEUE = "cases"
# An update that changes nothing: it answers with the view once the case is open. Whoever files waits
# by it and not by queries: one that is answered while the workflow has news before it makes the run
# differ from its replay (temporalio 1.35).
OPENED = "opened"
