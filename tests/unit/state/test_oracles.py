"""A feed's band and heartbeat, learnt from its own pushes."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import pytest

from defiwatch.domain.risk import Feed
from defiwatch.domain.units import from_iso
from defiwatch.state.oracles import DAY_S, Pushes, habit, preset_band, pushed


def feed(round_id: int, answer: float, at: int, base: str = "ETH", quote: str = "USD") -> Feed:
    return Feed(
        chain_id=1,
        protocol="chainlink",
        address="0x" + "fe" * 20,
        base=base,
        quote=quote,
        answer=round(answer * 10**8),
        decimals=8,
        updated_at=at,
        round_id=round_id,
    )


def follow(feeds: list[Feed]) -> Pushes:
    pushes = None
    for one in feeds:
        pushes = pushed(pushes, one)
    assert pushes is not None
    return pushes


def simulated(band: float, heartbeat: int, volatility: float, rounds: int, seed: int = 1) -> list[Feed]:
    """A feed as its operators run it: a push when the price moved by the band, or after the heartbeat."""
    chance = random.Random(seed)
    price = answer = 2000.0
    now = last = 1_700_000_000
    found = [feed(1, answer, now)]
    while len(found) < rounds:
        now += 12
        price *= 1.0 + chance.gauss(0.0, volatility)
        if abs(price / answer - 1.0) >= band or now - last >= heartbeat:
            answer, last = price, now
            found.append(feed(len(found) + 1, answer, now))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("band", "heartbeat"), [(0.005, 3600), (0.01, 3600), (0.005, 1200)])
def test_both_are_learnt_from_a_mixture_of_pushes(band: float, heartbeat: int, seed: int) -> None:
    feeds = simulated(band, heartbeat, band / (heartbeat / 12) ** 0.5, 120, seed)
    learnt = habit(feeds[-1], follow(feeds))
    assert learnt.band_learnt
    assert band <= learnt.band < 1.5 * band
    if learnt.heartbeat_learnt:
        assert heartbeat <= learnt.heartbeat <= heartbeat + 24


def test_only_heartbeats_teach_no_band() -> None:
    feeds = simulated(0.01, 3600, 1e-6, 20)
    learnt = habit(feeds[-1], follow(feeds))
    assert (learnt.heartbeat_learnt, learnt.heartbeat) == (True, 3600)
    assert (learnt.band_learnt, learnt.band) == (False, preset_band(feeds[-1]))


def test_pushes_by_the_price_alone_teach_no_heartbeat() -> None:
    feeds = simulated(0.005, 86_400, 0.002, 40)
    learnt = habit(feeds[-1], follow(feeds))
    assert (learnt.heartbeat_learnt, learnt.heartbeat) == (False, DAY_S)
    assert learnt.band_learnt


def test_skipped_rounds_teach_nothing_and_a_young_feed_keeps_its_presets() -> None:
    feeds = simulated(0.005, 3600, 1e-4, 40)
    assert follow(feeds[::2]).intervals == ()
    learnt = habit(feeds[-1], follow(feeds[:4]))
    assert (learnt.band_learnt, learnt.heartbeat_learnt) == (False, False)
    assert habit(feed(1, 1.0, 1, "USDC"), follow([feed(1, 1.0, 1, "USDC")])).band == 0.0025
    assert preset_band(feed(1, 1.0, 1, "CBBTC", "BTC")) == 0.02


@pytest.mark.data
def test_a_real_feed_sampled_once_a_day_teaches_nothing_false(data_folder: Path) -> None:
    with gzip.open(data_folder / "chainlink_eth_usd_daily" / "eth_usd.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    feeds = [
        feed(int(row["round_id"]), float(row["eth_price_usd"]), int(from_iso(row["chainlink_updatedAt_utc"])))
        for row in rows
    ]
    assert len(feeds) == 524
    learnt = habit(feeds[-1], follow(feeds))
    assert not learnt.band_learnt
    assert not learnt.heartbeat_learnt


def test_pauses_of_one_length_that_the_price_ended_are_no_heartbeat() -> None:
    """A storm: a push every half minute, each by more than the band. When it is over nothing is late after a minute."""
    storm = [feed(answer=100.0 + (i % 2), at=1_000 + 36 * i, round_id=i + 1) for i in range(20)]
    stormy = habit(storm[-1], follow(storm))
    assert (stormy.heartbeat_learnt, stormy.heartbeat) == (False, DAY_S)
    calm = [feed(answer=100.0 + 0.01 * (i % 2), at=1_000 + 3600 * i, round_id=i + 1) for i in range(20)]
    steady = habit(calm[-1], follow(calm))
    assert (steady.heartbeat_learnt, steady.heartbeat) == (True, 3600.0)
