"""Balancer v2: one vault holds every pool's tokens; the pools hold the mathematics."""

from __future__ import annotations

from defiwatch.protocols.balancer_v2.state import POOLS, BalancerState
from defiwatch.protocols.balancer_v2.vault import BALANCER_V2, BalancerV2

__all__ = ["BALANCER_V2", "POOLS", "BalancerState", "BalancerV2"]
