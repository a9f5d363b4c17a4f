from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from defiwatch.commands.explain import describe, explain
from defiwatch.config import Alerts
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot, StakeRow
from defiwatch.errors import UsageError
from tests.unit.sinks.samples import MARKET, POOL, START, USER, alert, snapshot

KEY = f"1:aave_v3:{MARKET}:{USER}:liquidation"


def told(
    text: str, alerts: Sequence[Alert] = (), picture: Snapshot | None = None, thresholds: Alerts | None = None
) -> str:
    return "\n".join(describe(text, alerts, picture, thresholds or Alerts()))


def test_why_there_is_none_for_a_position() -> None:
    words = told(USER.upper().replace("0X", "0x"), picture=snapshot())
    assert "health factor 1.6; liquidation below 1" in words
    assert "warning below 1.1: all collateral together would have to fall 31.25%" in words
    assert "critical below 1.03: all collateral together would have to fall 35.63%" in words
    assert "WETH: 2400.5 now, liquidated at 1500.3 (-37.50%)" in words
    assert "P(liquidated within 24h, if nothing is done): 1.0 %" in words
    assert "last read at block 23000000, 2026-03-10T11:59:48Z (12 s before the snapshot, 2026-03-10T12:00:00Z)" in words
    assert "No alert was ever raised for" in words
    assert "Aave v3" not in words, "a user's address is not the market's"


def test_small_debts_are_not_warned_of() -> None:
    words = told(USER, picture=snapshot(), thresholds=Alerts(min_debt_usd=5000.0))
    assert "not warned of: its debt of 2,400.00 USD is below 5,000.00" in words


def test_an_unknown_factor_says_why() -> None:
    picture = snapshot()
    row = msgspec.structs.replace(picture.positions[0], health_factor=None, unknown="the price of WETH reverts")
    words = told(USER, picture=msgspec.structs.replace(picture, positions=(row,)))
    assert "health factor unknown: the price of WETH reverts" in words


def test_why_there_is_an_alert() -> None:
    item = msgspec.structs.replace(
        alert(7, severity="critical", key=KEY, title="0xbbbb…bbbb: health factor 1.021"),
        subject=msgspec.structs.replace(alert(7).subject, id=f"{MARKET}:{USER}"),
    )
    words = told(KEY, [item], snapshot(alerts=(item,)))
    assert f"{KEY}\n  raised at 2026-03-10T12:00:07Z, critical, score 71.5: 0xbbbb…bbbb: health factor 1.021" in words
    assert "     60.0  price_move 0.05 (usual 0.001): moved 5 %" in words
    assert "rests on block 107; head, trust single" in words
    assert "stands since 2026-03-10T12:00:00Z; not acknowledged" in words
    assert "health factor 1.6; liquidation below 1" in words
    assert "No alert" not in words


def test_how_it_was_handled() -> None:
    picture = snapshot(alerts=(alert(1),))
    row = msgspec.structs.replace(picture.alerts[0], acked=True, snoozed_until=START + 3600.0)
    words = told(alert(1).key, [alert(1)], msgspec.structs.replace(picture, alerts=(row,)))
    assert "acknowledged, snoozed until 2026-03-10T13:00:00Z" in words


def test_what_is_over_says_so() -> None:
    words = told(alert(1).key, [alert(1, state="retracted")], snapshot())
    assert "no longer stands: it was retracted" in words


def test_pools_and_markets() -> None:
    pool = told(POOL, picture=snapshot())
    assert "score 12.5; an anomaly is raised at 70; 200 events seen" in pool
    assert "a drain is raised when 20% of its value leaves within 10m" in pool
    market = told(MARKET, picture=snapshot())
    assert "utilisation 60.00%, warned of from 95.00%" in market
    assert "100.00% of its debt is known" in market


def test_a_wallet_finds_the_pools_that_it_has_a_part_of() -> None:
    picture = snapshot()
    wallet = "0x" + "5" * 40
    part = StakeRow(wallet, "0x5555…5555", 0.0125, (("WETH", 1.5, "1500000000000000000"),), 3600.0, True, 22_000_000)
    row = msgspec.structs.replace(picture.pools[0], stakes=(part,))
    words = told(wallet, picture=msgspec.structs.replace(picture, pools=(row,)))
    assert f"{wallet} has at least 1.2500% of the pool, worth at least 3,600.00 USD" in words
    assert "would be paid 1.5 WETH (1500000000000000000)" in words
    assert "the least it can be: what the wallet had before block 22,000,000 is not known" in words
    left = msgspec.structs.replace(part, position="77", prices=(2000.0, 2500.0), in_range=False, at_least=False)
    row = msgspec.structs.replace(row, stakes=(left,))
    words = told(POOL, picture=msgspec.structs.replace(picture, pools=(row,)))
    assert f"{wallet} position 77 has nothing of the liquidity in range: its range is left" in words
    assert "earns fees between 2000 and 2500" in words


def test_what_is_not_watched() -> None:
    words = told("0x" + "9" * 40, picture=snapshot())
    assert "The last snapshot (2026-03-10T12:00:00Z: 1 positions, 1 pools, 1 markets) does not hold it" in words
    assert "No snapshot was kept yet" in told("x")


def test_without_any_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was run yet with the data directory"):
        explain(tmp_path, USER, Alerts())


def test_what_would_make_it_safe_is_told() -> None:
    picture = snapshot()
    row = msgspec.structs.replace(
        picture.positions[0], safe=("repay 100 USDC",), sentence="liquidated if the oracle of WETH is 3.1 % too high"
    )
    words = told(USER, picture=msgspec.structs.replace(picture, positions=(row,)))
    assert "to a health factor of 1.5, one of" in words
    assert "repay 100 USDC" in words
    assert "3.1 % too high" in words
    assert "warned of from 5% within 24 h" in words
