"""Concentrated liquidity as exact integers: what Uniswap v3, its forks and v4 share."""
