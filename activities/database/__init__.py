"""PostgreSQL: connections, errors, statements, migrations."""
