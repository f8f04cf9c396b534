"""Notices: recipients, templates, channels, digests."""
