"""Fixtures: `devnet`, one deployed chain for the session, and `scenario`, a fresh story on it for each test.

A folder of tests gets them by importing all four names into its `conftest.py`; they skip, saying why, where no
chain can run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .deploy import deploy
from .model import Devnet
from .node import Anvil, available
from .scenario import Scenario
from .venue import Venue

SEEDS = range(1, 1 + int(os.environ.get("DEFIWATCH_SEEDS", "1")))
"""What a test that draws is told by: one in the gate, many in the soak."""


@pytest.fixture(scope="session")
def deployed() -> Iterator[Devnet]:
    """A chain with every protocol on it; tests that change it take `devnet` or `scenario` instead."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield deploy(node)


@pytest.fixture
def devnet(deployed: Devnet) -> Iterator[Devnet]:
    """The deployed chain, put back to how it was deployed after the test."""
    with put_back(deployed):
        yield deployed


@contextmanager
def put_back(deployed: Devnet) -> Iterator[Devnet]:
    """The deployed chain, put back to how it is now."""
    node = deployed.chain.node
    snapshot = node.snapshot()
    try:
        yield deployed
    finally:
        node.revert(snapshot)
        deployed.chain.forget()


@pytest.fixture
def scenario(devnet: Devnet, request: pytest.FixtureRequest) -> Scenario:
    """A fresh story with every position open; its seed is 1, or the parameter given indirectly."""
    story = Scenario(devnet, seed=int(getattr(request, "param", 1)))
    story.prepare()
    return story


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A local venue for quotes, without any quote yet."""
    with Venue() as running:
        yield running
