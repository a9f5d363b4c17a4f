"""A budget is never exceeded in any window, and what it has is used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.collectors.wire import HEADER, Budget, HttpRpc
from defiwatch.errors import LimitError
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.made_up_chain import MadeUpChain


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    st.integers(1, 50),
    st.sampled_from(["s", "min", "hour"]),
    st.lists(st.tuples(st.floats(0.0, 0.4), st.integers(1, 5)), max_size=150),
)
def test_no_window_holds_more_than_the_budget(limit: int, unit: str, wishes: list[tuple[float, int]]) -> None:
    clock = Clock()
    budget = Budget(f"{limit}/{unit}", clock)
    sent: list[tuple[float, int]] = []
    for pause, count in wishes:
        clock.now += pause * budget.window
        wait = budget.wait(count)
        if count > limit:
            assert wait == float("inf")
            continue
        assert wait <= budget.window * (1 + 2 / 60)
        clock.now += wait
        assert budget.wait(count) <= budget.window * 1e-6
        budget.spend(count)
        sent.append((clock.now, count))
    for at, _ in sent:
        assert sum(count for time, count in sent if at - budget.window * (1 - 1e-9) < time <= at) <= limit


def test_what_is_left_can_be_spent_at_once() -> None:
    clock = Clock()
    budget = Budget("300/min", clock)
    assert (budget.limit, budget.window) == (300, 60.0)
    budget.spend(299)
    assert budget.wait(1) == 0.0
    budget.spend(1)
    assert 60.0 <= budget.wait(1) <= 62.0


async def test_an_endpoint_is_not_asked_beyond_its_budget() -> None:
    async with FakeNode(MadeUpChain(3)) as node:
        rpc = HttpRpc(node.http_url)
        rpc.budgets = (Budget("2/min"),)
        for _ in range(2):
            await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
        with pytest.raises(LimitError) as refused:
            await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after < 62
        with pytest.raises(LimitError) as large:
            await rpc.batch([("eth_chainId", [])] * 3, HEADER)
        assert large.value.too_large
        await rpc.close()
        assert len(node.bodies) == 2
