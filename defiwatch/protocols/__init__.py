"""Protocols: one value in one file, one line in the registry."""
