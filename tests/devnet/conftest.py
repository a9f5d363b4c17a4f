"""The fixtures of a real chain, for the tests of this folder."""

from .fixtures import deployed, devnet, scenario, venue

__all__ = ["deployed", "devnet", "scenario", "venue"]
