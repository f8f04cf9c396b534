"""The HTTP API: what the client and the command line do, for systems and for the console."""
