"""What people and programs use: the typed client, the command line, the embedded stack, rehearsals."""
