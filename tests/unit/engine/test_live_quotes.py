"""The price venues run beside the chains: what becomes of them ends nothing."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.config import Config, Quotes
from defiwatch.domain.frames import Frame
from defiwatch.engine import Engine, live
from defiwatch.errors import EndpointError


async def test_a_venue_that_fails_for_good_is_told_and_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: Quotes, __: object) -> None:
        raise ExceptionGroup("unhandled errors in a TaskGroup", [EndpointError("coinbase is gone")])

    async def emit(_: Frame) -> None:
        raise AssertionError

    monkeypatch.setattr(live, "collect_quotes", fails)
    engine = Engine(Config())
    task = asyncio.create_task(live._quotes(engine, emit))
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    assert engine.notices() == ["quotes: coinbase is gone"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
