"""Uniswap v4: many pools at one address, told apart by a 32-byte id."""

from __future__ import annotations

from defiwatch.protocols.uniswap_v4.pool import UNISWAP_V4, UniswapV4
from defiwatch.protocols.uniswap_v4.state import KEYS, POOLS, V4Key, V4State

__all__ = ["KEYS", "POOLS", "UNISWAP_V4", "UniswapV4", "V4Key", "V4State"]
