"""Aave v3.6 as recorded from its own bytecode: everything that the contracts answered, at every block, is what we say.

tests/devnet/make_origin.py makes the recording, from a walk at random with every kind of act in it; the soak holds
other walks against the contracts themselves (tests/devnet/test_aave_v3_origin.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, ReadsFrame
from defiwatch.domain.units import WAD
from defiwatch.engine.intake import Intake
from defiwatch.protocols.aave_v3 import AaveV3
from tests.aave_v3_ours import Row, account_row, holding_row, reserve_row
from tests.replay.aave_v3_truth import Recording, feed

FOLDER = Path(__file__).parent / "aave_v3_6"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(FOLDER)


def numbers(text: str) -> Row:
    return tuple(map(int, text.split()))


def compare(instance: AaveV3, intake: Intake, row: dict[str, Any], counted: Counter[str]) -> None:
    at, book = intake.head, intake.book
    assert at is not None
    form = instance.ledger(book, at).form
    reserves = {reserve.asset: reserve for reserve in instance.reserves(book)}
    assert set(reserves) == set(row["reserves"])
    for asset, told in row["reserves"].items():
        assert reserve_row(form, reserves[asset], at.time) == numbers(told), f"{asset} at block {at.number}"
    for user, (data, held) in row["users"].items():
        where = f"{user} at block {at.number}"
        assert account_row(instance, book, at, user) == numbers(data), where
        assert holding_row(instance, book, at, user, row["ids"]) == numbers(held), where
        counted["accounts"] += 1
        counted["liquidatable"] += numbers(data)[5] < WAD
        counted["in eMode"] += numbers(held)[1] != 0
    for user, collateral, debt, cover, a_token, outcome in row["probes"]:
        ours = instance.plan_liquidation(
            *(book, at, user, collateral, debt), cover=int(cover), receive_atoken=a_token
        ).outcome
        assert ours == outcome, f"{collateral} for {debt} of {user} at block {at.number}, {cover}, {a_token}"
        counted[ours] += 1
    if row["next"] is not None:
        seconds, user, collateral, debt, cover, a_token, *amounts = row["next"]
        told = instance.plan_liquidation(
            *(book, BlockRef(at.chain_id, at.number + 1, "", at.time + seconds), user, collateral, debt),
            cover=int(cover),
            receive_atoken=a_token,
        )
        assert [str(told.covered), str(told.seized), told.bad_debt] == amounts, f"{user} at block {at.number + 1}"
        counted["foretold"] += 1
        counted["in aTokens"] += a_token
        counted["of one asset"] += collateral == debt
        counted["bad debt"] += told.bad_debt


def test_every_answer_of_the_contracts(recording: Recording) -> None:
    instance, intake = recording.line()
    counted: Counter[str] = Counter()
    following = [*recording.frames[1:], None]
    for frame, after in zip(recording.frames, following, strict=True):
        feed(intake, frame)
        if isinstance(frame, BlockFrame | ReadsFrame) and not isinstance(after, ReadsFrame):
            assert intake.head is not None
            row = recording.truth.get(intake.head.hash)
            if row is not None:  # the market has been deployed
                compare(instance, intake, row, counted)
                counted["blocks"] += 1
    assert counted["accounts"] > 2_000
    assert min(counted[kind] for kind in ("in eMode", "liquidatable", "ok", "CollateralCannotBeLiquidated")) > 20
    assert min(counted[kind] for kind in ("MustNotLeaveDust", "InvalidBurnAmount", "Panic")) > 1
    assert min(counted[kind] for kind in ("foretold", "in aTokens", "of one asset", "bad debt")) > 1
    assert counted["blocks"] == len(recording.truth)
    assert instance.market(intake.book).revision == 10
    assert intake.reorgs == 1
    assert intake.book.notices == {}
