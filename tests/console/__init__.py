"""Tests of the console in a real browser.

A package, so that its servers end with its last test.
"""
