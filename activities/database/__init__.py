"""PostgreSQL: connections, errors, statements, migrations."""

# The most connections of a process unless a setting says otherwise, and the fewest that it can be told to use:
# a worker keeps a third of them for recording and another third for everything else.
CONNECTIONS, FEWEST = 10, 3

# The role, or the group of roles, that workers, servers and commands are; it owns nothing.
WRITER = "caseladder_writer"
