"""Uniswap v3: pools of concentrated liquidity."""

from __future__ import annotations

from defiwatch.protocols.uniswap_v3.pool import UNISWAP_V3, UniswapV3
from defiwatch.protocols.uniswap_v3.state import POOLS, V3State

__all__ = ["POOLS", "UNISWAP_V3", "UniswapV3", "V3State"]
