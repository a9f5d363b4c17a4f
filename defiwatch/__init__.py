"""defiwatch: a terminal dashboard for live DeFi risk."""

__version__ = "0.1.0"
