"""Tests of the command line, most of them on a running stack.

A package, so that its servers end with its last test.
"""
