"""Which endpoint serves, and what is told of each."""

from __future__ import annotations

import random

import pytest

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.rhythm import ENOUGH, Rhythm
from tests.unit.collectors.line import chain_of


def told(health: Health) -> list[tuple[int, str]]:
    return [(change.index, change.condition) for change in health.changes()]


def serving(health: Health) -> int | None:
    return health.active


def both_live(block_time: float = 2.0) -> Health:
    health = Health(2, block_time)
    health.connected(0, 0.0)
    health.connected(1, 0.0)
    health.head(0, 10, 0.0)
    health.head(1, 10, 0.0)
    assert told(health) == [(0, "live"), (1, "live")]
    return health


def test_the_first_that_works_serves_and_stays() -> None:
    health = Health(2, 2.0)
    assert serving(health) is None
    health.lost(0, "refused", 0.0)
    assert serving(health) is None
    health.connected(1, 0.1)
    assert serving(health) == 1
    health.connected(0, 0.2)
    assert serving(health) == 1
    assert told(health) == [(0, "down"), (1, "live"), (0, "live")]


def test_one_that_announces_comes_before_one_that_is_asked() -> None:
    health = Health(2, 2.0)
    health.connected(1, 0.0)
    assert health.active == 1
    health.connected(0, 0.1)
    health.pushing(0, 0.1)
    assert health.active == 0


def test_behind_after_two_block_times_of_a_higher_head() -> None:
    health = both_live()
    health.head(1, 11, 1.0)
    health.judge(2.9)
    assert (health.active, told(health)) == (0, [])
    health.judge(5.01)
    assert health.active == 1
    (change,) = health.changes()
    assert (change.index, change.condition, change.height) == (0, "behind", 10)
    assert "11" in change.detail


def test_one_that_stands_by_is_judged_as_of_when_it_was_asked() -> None:
    health = both_live()
    for second in range(1, 60):
        health.head(0, 10 + second, float(second))
    assert told(health) == []
    health.head(1, 69, 60.0)
    assert told(health) == []
    health.head(1, 60, 61.0)
    assert told(health) == [(1, "behind")]


def test_silence_of_all_is_told_and_changes_nobody() -> None:
    health = both_live()
    health.judge(6.5)
    assert (0, "silent") in told(health)
    assert health.active == 1
    health.head(0, 11, 7.0)
    assert (0, "live") in told(health)
    assert health.active == 0


def test_limits_rest_and_double() -> None:
    health = both_live(100.0)
    health.limited(0, "429", None, 1.0)
    assert (health.order(1.5), health.active) == ([1], 1)
    health.limited(1, "429", 5.0, 1.0)
    assert health.order(1.5) == []
    assert health.wait(1.5) == 0.5
    assert health.order(2.1) == [0]
    health.limited(0, "429", None, 2.1)
    assert health.order(4.0) == []
    assert health.order(4.2) == [0]
    health.judge(6.5)
    assert health.order(6.5) == [1, 0]
    health.served(0, 0.1, 6.6)
    health.limited(0, "429", None, 7.0)
    assert sorted(health.order(8.1)) == [0, 1]


def test_three_failures_in_a_row_are_one_too_many() -> None:
    health = both_live(100.0)
    for _ in range(2):
        health.failed(0, "timeout", 1.0)
    health.served(0, 0.2, 1.0)
    for _ in range(2):
        health.failed(0, "timeout", 1.0)
    assert health.active == 0
    health.failed(0, "timeout", 1.0)
    assert health.active == 1
    (change,) = health.changes()
    assert (change.condition, change.detail) == ("down", "timeout")
    assert health.order(1.0) == [1, 0]
    health.head(0, 11, 2.0)
    assert told(health) == [(0, "live")]


def test_another_chain_is_untrusted_and_never_asked() -> None:
    health = Health(1, 2.0)
    health.wrong(0, "serves chain 5, expected 1", 0.0)
    (change,) = health.changes()
    assert (change.condition, change.detail) == ("untrusted", "serves chain 5, expected 1")
    assert (health.active, health.order(0.0)) == (None, [])


def test_a_chain_that_went_back_does_not_count_as_behind_for_ever() -> None:
    health = both_live()
    for number in (20, 12):
        health.head(0, number, 1.0)
        health.head(1, number, 1.0)
    health.changes()
    health.head(0, 13, 30.0)
    health.head(1, 13, 30.1)
    assert told(health) == []


def test_when_to_look_again() -> None:
    health = both_live()
    woken = health.wake(0.0)
    assert woken is not None
    assert 6.0 < woken < 6.1
    health.head(1, 11, 1.0)
    woken = health.wake(1.0)
    assert woken is not None
    assert 5.0 < woken < 5.1


# -- how long one endpoint lets one wait -----------------------------------------------------------------------------


def lone(block_time: float = 2.0) -> Health:
    health = Health(1, block_time)
    health.connected(0, 0.0)
    health.pushing(0, 0.0)
    health.changes()
    return health


def beat(health: Health, waits: list[float], now: float = 0.0, height: int = 0) -> tuple[float, int]:
    """Heads of the first endpoint, so long after each other; when the last came, and its height."""
    for wait in waits:
        now, height = now + wait, height + 1
        health.head(0, height, now)
    return now, height


def told_of_silence(health: Health, now: float, within: float) -> float | None:
    """How long after `now` the lone endpoint is told to be silent; None if it is not `within` so many seconds."""
    health.changes()
    step = within / 1000
    for turn in range(1000):
        health.judge(now + turn * step)
        if (0, "silent") in told(health):
            return turn * step
    return None


def test_before_enough_was_seen_three_block_times_count() -> None:
    health = lone()
    rng = random.Random(1)
    now, _ = beat(health, [rng.choice((2.0, 2.0, 5.0)) for _ in range(ENOUGH // 2)])
    assert told_of_silence(health, now, 20.0) == pytest.approx(6.0, abs=0.05)


def test_an_endpoint_that_is_slow_by_habit_is_left_alone_for_longer() -> None:
    """A chain whose blocks come every 2 s as a rule, now and then only after 15 s: that is no silence there."""
    health = lone()
    rng = random.Random(2)
    waits = [15.0 if rng.random() < 0.01 else 2.0 for _ in range(5 * ENOUGH)]
    now, _ = beat(health, waits)
    after = told_of_silence(health, now, 60.0)
    assert after is not None
    assert 13.0 < after < 25.0
    woken = health.wake(now)
    assert woken is not None
    assert now + 13.0 < woken < now + 25.0


def test_an_endpoint_in_time_is_left_after_three_block_times_however_long_it_is_known() -> None:
    health = lone()
    rng = random.Random(3)
    now, _ = beat(health, [2.0 + rng.uniform(-0.3, 0.3) for _ in range(5 * ENOUGH)])
    assert told_of_silence(health, now, 20.0) == pytest.approx(6.0, abs=0.05)


def test_one_long_silence_does_not_teach_that_silence_is_usual() -> None:
    health = lone()
    now, height = beat(health, [2.0] * (2 * ENOUGH))
    now, height = beat(health, [3600.0], now, height)
    now, _ = beat(health, [2.0] * 10, now, height)
    assert told_of_silence(health, now, 20.0) == pytest.approx(6.0, abs=0.05)


def test_what_another_showed_first_teaches_nothing() -> None:
    health = Health(2, 2.0)
    for index in range(2):
        health.connected(index, 0.0)
        health.pushing(index, 0.0)
    now = 0.0
    for height in range(1, 3 * ENOUGH):
        now += 2.0
        health.head(1, height, now)
        if height % 10 == 0:
            health.head(0, height, now + 0.1)
    assert health.rhythms[0].seen == 0
    assert 2.0 <= health.rhythms[1].longest < 3.01


@pytest.mark.parametrize("seed", range(4))
def test_the_quantile_of_waits_at_random_is_found(seed: int) -> None:
    """Blocks of a proof of work come like radioactive decay: one wait in a thousand is longer than 6.9 mean ones."""
    rng = random.Random(seed)
    rhythm = Rhythm()
    for _ in range(20 * ENOUGH):
        rhythm.note(rng.expovariate(1 / 12.0))
    assert 12.0 * 6.9 * 0.6 < rhythm.longest < 12.0 * 6.9 * 1.6


async def test_what_was_learnt_is_kept_by_a_name_that_tells_nothing() -> None:
    chain = chain_of("http://secret.example/0123456789abcdef")
    first = Endpoints(chain, Health(1, 2.0), on_head=lambda _index, _header: None, stir=lambda: None)
    for _ in range(2 * ENOUGH):
        first.health.rhythms[0].note(9.25)
    kept = first.learnt()
    assert not any("secret" in name or "0123" in name for name in kept)
    again = Endpoints(chain, Health(1, 2.0), on_head=lambda _index, _header: None, stir=lambda: None)
    assert again.health.rhythms[0].longest == 0.0
    again.recall(kept)
    assert again.health.rhythms[0].longest == pytest.approx(first.health.rhythms[0].longest, abs=0.001)
