"""Which endpoint serves, and what is told of each."""

from __future__ import annotations

from defiwatch.collectors.chain.health import Health


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
