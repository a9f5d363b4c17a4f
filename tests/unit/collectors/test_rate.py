"""The rate that is learnt from refusals: halved by one, kept in every second, doubled once it is borne."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from defiwatch.collectors.wire import HEADER, TEXT, Rate, Rpc
from defiwatch.errors import EndpointError
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.made_up_chain import MadeUpChain
from tests.unit.collectors.test_budget import Clock
from tests.unit.collectors.virtual import Endpoint, play


def sent(rate: Rate, clock: Clock, questions: int, count: int = 1) -> list[float]:
    """Send questions as early as the rate allows; when they went."""
    times: list[float] = []
    for _ in range(questions):
        clock.now += rate.wait()
        rate.spend(count)
        times.append(clock.now)
    return times


def test_nothing_bounds_it_until_a_refusal() -> None:
    clock = Clock()
    rate = Rate(clock=clock)
    assert sent(rate, clock, 500) == [0.0] * 500
    assert rate.limit > 10_000
    assert rate.learnt == 0


def test_a_refusal_halves_what_was_sent_in_a_second_and_counts_once() -> None:
    clock = Clock()
    rate = Rate(clock=clock)
    clock.now = 5.0
    sent(rate, clock, 7)
    clock.now = 7.0
    sent(rate, clock, 40)
    clock.now = 7.3
    for _ in range(8):
        rate.refused()
    assert (rate.learnt, rate.limit) == (20, 20)
    times = sent(rate, clock, 100)
    assert all(later - earlier >= 1 / 40 - 1e-5 for earlier, later in itertools.pairwise(times))


def test_a_batch_makes_the_next_wait_as_long_as_its_questions_would() -> None:
    clock = Clock()
    rate = Rate(5, clock)
    first, second = sent(rate, clock, 2, count=10)
    assert second - first == 1.0


def test_it_doubles_once_three_seconds_worth_were_borne_and_ends_unbound() -> None:
    clock = Clock()
    rate = Rate(5, clock)
    assert rate.limit == 10
    sent(rate, clock, 29)
    assert rate.limit == 10
    sent(rate, clock, 1)
    assert rate.limit == 20
    sent(rate, clock, 10_000)
    assert rate.limit > 10_000
    assert rate.learnt == 5


def test_it_never_falls_below_four_a_second() -> None:
    clock = Clock()
    rate = Rate(clock=clock)
    sent(rate, clock, 1)
    rate.refused()
    assert (rate.learnt, rate.limit) == (4, 4)


def test_nobody_is_passed_by_who_asks_later() -> None:
    """While polls come as fast as they are answered, a question among them is sent when its turn has come."""
    answered: list[int] = []

    async def ask(rpc: Rpc, number: int) -> None:
        await asyncio.sleep(0.07 * number)
        await rpc.call("eth_blockNumber", [], TEXT)
        answered.append(number)

    async def story() -> None:
        endpoint = Endpoint(FakeNode(MadeUpChain(3)))
        rpc = endpoint.open()
        rpc.rate = Rate(clock=asyncio.get_running_loop().time)
        rpc.rate.refused()
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(ask(rpc, number))
        await rpc.close()

    play(story())
    assert answered == list(range(30))


@pytest.mark.parametrize("announces", [True, False])
def test_who_waits_for_a_turn_gets_the_answer_to_its_own_question(announces: bool) -> None:
    async def story() -> tuple[list[str], float]:
        endpoint = Endpoint(FakeNode(MadeUpChain(9)), announces=announces, slow_by=1.0)
        rpc = endpoint.open()
        rpc.rate = Rate(clock=asyncio.get_running_loop().time)
        rpc.rate.refused()
        questions = (rpc.call("eth_getBlockByNumber", [hex(number), False], HEADER) for number in range(9))
        headers = await asyncio.gather(*questions)
        await rpc.close()
        return [header.number for header in headers if header is not None], asyncio.get_running_loop().time()

    numbers, lasted = play(story())
    assert numbers == [hex(number) for number in range(9)]
    assert lasted < 4.0


@pytest.mark.parametrize("announces", [True, False])
def test_an_endpoint_that_was_closed_while_questions_wait_for_their_turn(announces: bool) -> None:
    async def story() -> list[str | BaseException]:
        endpoint = Endpoint(FakeNode(MadeUpChain(3)), announces=announces)
        rpc = endpoint.open()
        rpc.rate = Rate(clock=asyncio.get_running_loop().time)
        rpc.rate.refused()
        tasks = [asyncio.create_task(rpc.call("eth_blockNumber", [], TEXT)) for _ in range(4)]
        await asyncio.sleep(0.4)
        await rpc.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, *others = play(story())
    assert (first, second) == ("0x2", "0x2")
    assert [type(one) for one in others] == [EndpointError] * 2
