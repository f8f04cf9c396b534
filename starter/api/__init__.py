"""The HTTP API: the same doors as the client and the command line, for systems and for the console."""
