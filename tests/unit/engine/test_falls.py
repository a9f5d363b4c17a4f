"""The ladder on the pages of a market: each reserve tells its own falls, the others where to look."""

from __future__ import annotations

from typing import cast

import pytest

from defiwatch.engine.falls import Falls, Ladder
from defiwatch.engine.intake import Intake
from tests.unit.state.lending.made_up import USDC, WBTC, WETH, leg, position

LADDER: Ladder = (
    (WETH, "if WETH falls 5%", "nothing liquidated", ("nobody repays",)),
    (WETH, "if WETH falls 10%", "$1k liquidated", ("nobody repays", "pools known here alone")),
    (WBTC, "if WBTC falls 5%", "nothing liquidated", ("nobody repays",)),
)
NOWHERE = cast("Intake", None)


def test_each_page_tells_its_own_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    falls = Falls()
    monkeypatch.setattr(falls, "_ladder", lambda *_: LADDER)
    held = [position(leg(WETH, 10), leg(WBTC, 1), leg(USDC, debt=20_000))]
    assert falls.facts(NOWHERE, held, lambda _: 1.0, WETH) == (
        ("if WETH falls 5%", "nothing liquidated"),
        ("if WETH falls 10%", "$1k liquidated"),
        ("this assumes", "nobody repays; pools known here alone"),
    )
    assert falls.facts(NOWHERE, held, lambda _: 1.0, USDC) == (
        ("what if prices fall", "on the pages of what falls: WETH, WBTC"),
    )
    whole = falls.facts(NOWHERE, held, lambda _: 1.0)
    assert [name for name, _ in whole] == [row[1] for row in LADDER] + ["this assumes"]
    monkeypatch.setattr(falls, "_ladder", lambda *_: ())
    assert falls.facts(NOWHERE, held, lambda _: 1.0, USDC) == ()
