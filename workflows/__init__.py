"""The durable shells: when it happens. One module per kind of case, one shared loop."""
