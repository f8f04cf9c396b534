"""What the rules say: pure Python, no I/O, no wall clock, no engine.

A case of any kind is driven by four calls (`cases.case.Case`): ``decide`` for what a person or
system asks, ``elapse`` for what has fallen due, ``evolve`` as the only way state changes, and
``due`` for the next moment at which time alone changes something.
"""
