"""Rehearsal of cases in virtual time, from scenario files or from a real event log."""
