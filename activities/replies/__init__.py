"""Replies that go out to customers: by mail or by a webhook, and the templates that they are written from."""
