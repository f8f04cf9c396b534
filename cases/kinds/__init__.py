"""The kinds of case, one module each: what the program must know of a kind, and its rules."""
