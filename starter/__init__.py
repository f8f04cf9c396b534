"""The doors: the typed client, the command line, the embedded stack, rehearsals."""
