"""The tests. A package, so that `tests.workflows` is never taken for `workflows`."""
