"""Workflows that run beside the cases."""
