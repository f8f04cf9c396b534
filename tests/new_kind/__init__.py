"""A kind of case that only the tests have: what it costs to add one, and that it is then there everywhere."""
