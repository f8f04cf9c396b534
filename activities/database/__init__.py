"""PostgreSQL: connections, errors, statements, migrations."""

# The most connections of a process unless a setting says otherwise, and the fewest that it can be told to use:
# a worker keeps a third of them for recording and another third for everything else.
CONNECTIONS, FEWEST = 10, 3
