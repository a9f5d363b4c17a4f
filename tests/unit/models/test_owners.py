"""What owners do: learnt from positions that would have crossed, never shown to an owner, expected of markets."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Position
from defiwatch.models.liquidations import FrozenLeg, Mark
from defiwatch.models.outlook import KeptOutlook, Outlook, Scene
from defiwatch.models.owners import AGAIN_S, LASTS_S, IdleShare, Owners
from tests.unit.models.test_outlook import BLOCK_S, USDC, WETH, position, scenes

NEAR = {"1h": 0.02, "24h": 0.3, "7d": 0.6}
LEGS = (FrozenLeg("w", 110.0, 0.0, Mark(100.0)), FrozenLeg("u", 0.0, 100.0, Mark(1.0)))
CALM, CRASH = {"w": Mark(100.0), "u": Mark(1.0)}, {"w": Mark(80.0), "u": Mark(1.0)}


def watching(*names: str) -> Owners:
    owners = Owners()
    for name in names:
        owners.watch(name, 0.0, NEAR, LEGS)
    return owners


def test_who_has_crossed_did_nothing_and_who_stands_or_has_closed_was_saved() -> None:
    owners = watching("crossed", "stands", "closed")
    owners.observe(60.0, {"crossed": 1.1, "stands": 1.1, "closed": 1.1}, (), CALM)
    assert owners.share.n == 0
    owners.observe(120.0, {"crossed": 0.9, "stands": 1.3}, (), CRASH)
    assert (owners.share.n, owners.idle) == (3, 1)
    owners.observe(180.0, {"crossed": 0.9, "stands": 1.3}, (), CRASH)
    assert owners.share.n == 3, "each once"


def test_who_was_liquidated_did_nothing_however_well_the_rest_stands() -> None:
    owners = watching("a")
    owners.observe(60.0, {"a": 1.4}, ("a",), CRASH)
    assert (owners.share.n, owners.idle) == (1, 1)


def test_what_cannot_be_told_is_judged_once_it_can() -> None:
    owners = watching("a")
    owners.observe(60.0, {"a": None}, (), CRASH)
    assert owners.share.n == 0
    owners.observe(120.0, {"a": 1.2}, (), CRASH)
    assert (owners.share.n, owners.idle) == (1, 0)


def test_only_the_likely_are_watched_each_for_a_week_and_not_again_within_a_day() -> None:
    owners = Owners()
    owners.watch("calm", 0.0, {"24h": 0.01}, LEGS)
    owners.watch("near", 0.0, NEAR, LEGS)
    assert [case.name for case in owners.dump().open] == ["near"]
    owners.observe(60.0, {}, (), CRASH)
    owners.watch("near", AGAIN_S - 1.0, NEAR, LEGS)
    assert owners.dump().open == ()
    owners.watch("near", AGAIN_S, NEAR, LEGS)
    owners.observe(AGAIN_S + LASTS_S, {"near": 1.1}, (), CALM)
    assert owners.dump().open == ()
    assert owners.share.n == 1, "a week without a crossing teaches nothing"


def test_the_share_is_learnt_from_the_prior_on_and_follows() -> None:
    share = IdleShare()
    assert share.get() == 0.5
    for i in range(400):
        share.update(1.0 if i % 4 == 0 else 0.0)
    assert share.get() == pytest.approx(0.25, abs=0.02)
    for _ in range(3_000):
        share.update(1.0)
    assert share.get() > 0.94


def test_one_crash_counts_less_than_as_many_crossings_apart() -> None:
    together, apart = Owners(), Owners()
    for i in range(25):
        together.watch(str(i), 0.0, NEAR, LEGS)
        apart.watch(str(i), 0.0, NEAR, LEGS)
        apart.observe(60.0 * i, {str(i): 0.9}, (), CRASH)
    together.observe(60.0, {str(i): 0.9 for i in range(25)}, (), CRASH)
    assert apart.share.n == together.share.n == 25
    assert apart.share.get() > together.share.get() > 0.5


def test_what_is_expected_is_the_chance_times_the_share() -> None:
    owners = watching("a", "b")
    assert owners.expected(NEAR) == {name: 0.5 * chance for name, chance in NEAR.items()}
    owners.observe(60.0, {"a": 1.3, "b": 1.3}, (), CRASH)
    assert owners.expected(NEAR)["24h"] < 0.5 * NEAR["24h"]
    (row,) = owners.report()
    assert (row.kind, row.events) == ("market", 2)
    assert row.note.startswith("0 of 2 crossings, 0 watched")


def tumble(*, saved: bool) -> list[Scene]:
    """Three calm days, then a fall of 20 % within two hours; `saved`: the owner of the nearest tops up before it."""
    rows = scenes(864)
    price = rows[-1].prices[WETH]
    for i in range(1, 25):
        number = rows[-1].at.number + 1
        now = price * (1.0 - 0.2 * i / 24)
        stood: list[Position] = []
        for factor, account in ((1.03, "1.03"), (1.1, "1.1"), (1.5, "1.5")):
            better = 1.4 if saved and account == "1.03" else 1.0
            stood.append(position(now, factor * better * now / price, account, number))
        rows.append(
            Scene(BlockRef(1, number, hex(number), BLOCK_S * number), {WETH: now, USDC: 1.0}, {}, tuple(stood), {})
        )
    return rows


def played(rows: list[Scene], outlook: Outlook) -> Outlook:
    for row in rows:
        outlook.note(row)
        outlook.confirm(row.at.number)
    return outlook


@pytest.mark.parametrize(("saved", "idle"), [(False, 2), (True, 1)])
def test_the_outlook_learns_it_from_what_blocks_show(saved: bool, idle: int) -> None:
    rows = tumble(saved=saved)
    outlook = played(rows[:864], Outlook())
    n, before = outlook.owners.share.n, outlook.owners.idle
    played(rows[864:], outlook)
    assert (outlook.owners.share.n - n, outlook.owners.idle - before) == (2, idle), "1.5 was never likely"
    assert "owners who do nothing" in {row.name for row in outlook.report()}


def test_an_owner_is_shown_the_chance_if_nothing_is_done() -> None:
    """What owners usually do does not reach it: with everything else the same, it is the same."""
    learnt = played(tumble(saved=True), Outlook())
    other = Outlook()
    other.load(msgspec.structs.replace(learnt.dump(), owners=None))
    where = position(1_900.0, 1.05)
    assert learnt.owners.share.n != other.owners.share.n
    assert learnt.chances(where) == other.chances(where) != {}


def test_a_restart_and_a_reorg_change_nothing() -> None:
    rows = tumble(saved=True)
    through = played(rows, Outlook())
    before, after = played(rows[:874], Outlook()), Outlook()
    for lost in tumble(saved=False)[874:877]:
        before.note(lost)
    before.undo(rows[874].at.number)
    after.load(msgspec.json.decode(msgspec.json.encode(before.dump()), type=KeptOutlook))
    assert played(rows[874:], after).dump() == through.dump()
