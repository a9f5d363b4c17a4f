"""The way to a chain's endpoints for what can wait: while the head is followed beside it, it takes what that leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.wire import Budget, Rpc
from defiwatch.errors import LimitError

T = TypeVar("T")

_AT_ONCE = 2
"""Questions on their way at the same time."""
_LARGEST = 16
"""One part in so many of a budget is the most that one batch may ask."""
_LEAST = 8
"""One part in so many of a budget is to be had in any case: a gap must close."""
_MORE = 1.25
"""Times what the head took lately is left to it."""
_LOOK_AGAIN = 0.5
_FIRST_REST = 0.5
_LONGEST_REST = 30.0

_patient: ContextVar[bool] = ContextVar("patient", default=False)
"""Whether the questions of this task can wait."""


class SharedBudget(Budget):
    """A budget that knows how much of it went to what can wait."""

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        super().__init__(budget.text, clock)
        self._waiting = Budget(budget.text, clock)

    @property
    def largest(self) -> int:
        """Questions in the largest batch that can wait."""
        return max(1, self.limit // _LARGEST)

    def spend(self, count: int) -> None:
        """`count` questions are sent now."""
        super().spend(count)
        if _patient.get():
            self._waiting.spend(count)

    def leaves(self, since: float) -> bool:
        """Whether the largest batch may be sent: the head, followed since then, is left more than it takes."""
        waiting = self._waiting.used
        seen = min(1.0, max(self._clock() - since, 1e-3) / self.window)
        head = _MORE * (self.used - waiting) / seen
        share = max(self.limit - head, self.limit / _LEAST)
        return waiting + self.largest <= share and self.wait(2 * self.largest) <= 0


class PatientEndpoints(Endpoints):
    """The same endpoints: their connections, health and budgets are shared.

    While the head is followed (`since()` says since when, None while it is not), few questions are on their way at
    once, they take the part of every budget that the head does not, and after a refusal for rate they rest, longer each
    time.
    """

    def __init__(self, endpoints: Endpoints, since: Callable[[], float | None]) -> None:
        self.__dict__ = endpoints.__dict__  # one state, two ways to it
        shared = {id(budget): SharedBudget(budget, self._now) for budgets in self._budgets for budget in budgets}
        self._shared = [tuple(shared[id(budget)] for budget in budgets) for budgets in self._budgets]
        self._budgets = [tuple(budgets) for budgets in self._shared]
        self._since = since
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._rest = 0.0

    @property
    def largest(self) -> int | None:
        """How many questions a batch may have; None where there is no budget."""
        return min((budget.largest for budgets in self._shared for budget in budgets), default=None)

    async def put(self, index: int, question: Callable[[int, Rpc], Awaitable[T]]) -> T:
        """Put a question to one endpoint, once its turn has come."""
        if self._since() is None:
            return await super().put(index, question)
        async with self._turn:
            await self._wait(index)
            token = _patient.set(True)
            try:
                value = await super().put(index, question)
            except LimitError as error:
                if not error.too_large:
                    self._rest = min(max(2 * self._rest, _FIRST_REST), _LONGEST_REST)
                raise
            finally:
                _patient.reset(token)
            self._rest = self._rest / 2 if self._rest > _FIRST_REST else 0.0
            return value

    async def _wait(self, index: int) -> None:
        """Wait until the head is left enough."""
        rested = 0.0
        while (since := self._since()) is not None:
            rpc = self.rpcs[index]
            rate = 0.0 if rpc is None else max((one.wait(1) for one in rpc.budgets), default=0.0)
            if rested >= self._rest and rate <= 0 and all(budget.leaves(since) for budget in self._shared[index]):
                return
            await asyncio.sleep(_LOOK_AGAIN)
            rested += _LOOK_AGAIN
