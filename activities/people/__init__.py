"""People: the directory, handovers and swaps of shifts."""
