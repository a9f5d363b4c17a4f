"""The alert budget: a rate that is held, and a crash that does not silence what comes after it."""

from __future__ import annotations

import math
import random

import pytest

from defiwatch.models.budget import AlertBudget

START = 2.7
BLOCK_S = 12.0


class World:
    """Pools whose rarity is a standard normal walk with memory, a look at each every block."""

    def __init__(self, memory: float, pools: int = 1, seed: int = 1) -> None:
        self.draw = random.Random(seed)
        self.memory = memory
        self.z = [0.0] * pools
        self.time = 1_700_000_000.0

    def block(self, lift: float = 0.0) -> list[float]:
        """The scores of one block."""
        self.time += BLOCK_S
        fresh = math.sqrt(1.0 - self.memory**2)
        self.z = [self.memory * z + fresh * self.draw.gauss(0.0, 1.0) for z in self.z]
        return [max(0.0, -math.log10(0.5 * math.erfc(z / math.sqrt(2.0))) - 1.0) + lift for z in self.z]


def told(budget: AlertBudget, world: World, blocks: int, lift: float = 0.0) -> int:
    return sum(budget.admits("pool.anomaly", score, world.time) for _ in range(blocks) for score in world.block(lift))


@pytest.mark.parametrize(("memory", "pools"), [(0.0, 1), (0.9, 1), (0.99, 1), (0.0, 5), (0.9, 5), (0.99, 5)])
def test_a_rate_is_held(memory: float, pools: int) -> None:
    """20 a day over six days: 120 are due."""
    count = told(AlertBudget("20/day", START), World(memory, pools), 43_200)
    assert count == pytest.approx(120, rel=0.25)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_rate_is_held_where_what_is_unusual_comes_in_clusters(seed: int) -> None:
    """A correlation of 0.99: unusual times of twenty minutes, in which nine of ten alerts that are due must come."""
    count = told(AlertBudget("100/day", START), World(0.99, 1, seed), 8_640)
    assert count == pytest.approx(120, rel=0.25)


def test_a_long_calm_is_made_up_for_in_part_only() -> None:
    """A week without anything: 140 were due. Of those at most half come on the next day, and on the one after none."""
    budget, world = AlertBudget("20/day", START), World(0.0)
    for _ in range(50_400):
        world.time += BLOCK_S
        budget.tracker("pool.anomaly").pass_time(world.time)
    assert 20 <= told(budget, world, 7_200) <= 90
    assert told(budget, world, 7_200) <= 40


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_does_not_silence_what_comes_after_it(seed: int) -> None:
    """Two hours in which everything is beyond anything; half an hour later one thing that is rare, but less so."""
    budget, world = AlertBudget("3/week", START), World(0.5, 5, seed)
    told(budget, world, 20 * 7200)
    during = told(budget, world, 600, lift=4.0)
    assert 1 <= during <= 30
    told(budget, world, 150)
    assert budget.admits("pool.anomaly", 5.5, world.time)


def test_the_rate_is_held_over_a_crash() -> None:
    budget, world = AlertBudget("20/day", START), World(0.5, 3)
    count = told(budget, world, 20_000) + told(budget, world, 600, lift=4.0) + told(budget, world, 22_600)
    assert count == pytest.approx(120, rel=0.25)


def test_one_slot_of_time_is_told_once_unless_something_clearly_rarer_comes() -> None:
    budget = AlertBudget("3/week", START)
    assert budget.admits("k", 5.0, 6000.0)
    assert not budget.admits("k", 5.2, 6012.0)
    assert budget.admits("k", 7.0, 6024.0)
    assert budget.admits("other", 5.0, 6024.0)


def test_kinds_have_budgets_of_their_own_and_the_report_says_what_was_spent() -> None:
    budget, world = AlertBudget("20/day", START), World(0.0)
    count = told(budget, world, 7200)
    budget.admits("other", 9.0, world.time)
    rows = {row.kind: row for row in budget.report()}
    assert rows["pool.anomaly"].events == count
    assert rows["pool.anomaly"].value == pytest.approx(count / 20.0, rel=0.01)
    assert rows["other"].events == 1
    assert "20/day" in rows["other"].metric


def test_nothing_is_told_on_a_budget_of_nothing() -> None:
    assert not AlertBudget("0/week", START).admits("k", 11.0, 5.0)


def test_kept_and_taken_up_it_goes_on_the_same() -> None:
    one, world = AlertBudget("20/day", START), World(0.9)
    told(one, world, 5_000)
    other = AlertBudget("20/day", START)
    other.load(one.dump())
    for _ in range(5_000):
        (score,) = world.block()
        assert one.admits("pool.anomaly", score, world.time) == other.admits("pool.anomaly", score, world.time)
    changed = AlertBudget("3/week", START)
    changed.load(one.dump())
    assert changed.tracker("pool.anomaly").threshold == one.tracker("pool.anomaly").threshold
    assert changed.tracker("pool.anomaly").spent == 0
