"""Tests of the durable shell on a real server.

A package, so that its servers end with its last test.
"""
