"""Screens: each lays its tables out and owns its handlers."""
