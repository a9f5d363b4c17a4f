"""Widgets that draw lines: they know inks and cells, and no finance."""
