"""What both transports share: one question, many questions, and how an answer becomes a value or an error."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from defiwatch.collectors.wire.budget import Budget
from defiwatch.collectors.wire.faults import Fault, refused
from defiwatch.collectors.wire.messages import Answer, Shape
from defiwatch.collectors.wire.rate import Rate
from defiwatch.config import mask
from defiwatch.errors import AnswerError, BudgetError, EndpointError, NodeError

T = TypeVar("T")
Question = tuple[str, Sequence[object]]
"""A method and its parameters."""


class Rpc(ABC):
    """One endpoint. Every method raises EndpointError or a kind of it, nothing else; texts have secrets masked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = mask(url)
        self.requests = 0
        """How many questions were sent; each of a batch counts, as providers count them."""
        self.budgets: tuple[Budget, ...] = ()
        """What may be sent at most; a question beyond it is not sent, BudgetError is raised."""
        self.rate = Rate()
        """What it was found to take; a question beyond it waits."""
        self.latency: float | None = None
        """Seconds from question to answer, smoothed; None before the first."""

    @abstractmethod
    async def call(self, method: str, params: Sequence[object], shape: Shape[T]) -> T:
        """Ask one question."""

    @abstractmethod
    async def batch(self, questions: Sequence[Question], shape: Shape[T]) -> list[T | NodeError]:
        """Ask many at once; answers in the order asked, a node's own error in its place.

        A refusal for size or rate, of the whole or of any part, is raised: what came beside it is not kept.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connection."""

    async def _spend(self, count: int) -> None:
        """Count questions that are about to be sent, once they may be by the rate that was learnt.

        BudgetError if a budget does not allow them now, or neither that nor the rate ever.
        """
        if count > self.rate.limit:
            raise BudgetError(f"{self.name}: {count} questions at once, it takes {self.rate.limit}/s", too_large=True)
        async with self.rate.turn:
            while (pause := self.rate.wait()) > 0:  # noqa: ASYNC110 - time is what it waits for
                await asyncio.sleep(pause)
            self._charge(count)
        self.requests += count

    def _charge(self, count: int) -> None:
        for budget in self.budgets:
            if count > budget.limit:
                raise BudgetError(
                    f"{self.name}: {count} questions at once, its budget is {budget.text}", too_large=True
                )
            wait = budget.wait(count)
            if wait > 0:
                raise BudgetError(f"{self.name}: the budget of {budget.text} is used up", retry_after=wait)
        self.rate.spend(count)
        for budget in self.budgets:
            budget.spend(count)

    def _timed(self, seconds: float) -> None:
        self.latency = seconds if self.latency is None else 0.8 * self.latency + 0.2 * seconds

    def _value(self, answer: Answer[Any], method: str) -> Any:
        if answer.error is not None:
            raise refused(answer.error, self.url, method)
        if answer.result is msgspec.UNSET:
            raise AnswerError(f"{self.name}: {method}: an answer with neither result nor error")
        return answer.result

    def _each(
        self, answers: Sequence[Answer[msgspec.Raw]], first: int, questions: Sequence[Question], shape: Shape[T]
    ) -> list[T | NodeError]:
        """A batch's answers put into the order of its questions."""
        placed: dict[int, Answer[msgspec.Raw]] = {}
        for answer in answers:
            if isinstance(answer.id, int):
                placed[answer.id] = answer
            elif answer.error is not None:
                raise refused(answer.error, self.url, f"batch of {len(questions)}")
        values: list[T | NodeError] = []
        for i, (method, _) in enumerate(questions):
            found = placed.get(first + i)
            if found is None:
                raise AnswerError(f"{self.name}: batch of {len(questions)}: no answer to number {i + 1} ({method})")
            if found.error is not None:
                error = refused(found.error, self.url, method)
                if not isinstance(error, NodeError):
                    raise error
                values.append(error)
            else:
                values.append(self._decoded(self._value(found, method), method, shape))
        return values

    def _decoded(self, raw: msgspec.Raw, method: str, shape: Shape[T]) -> T:
        try:
            return shape.bare(raw)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.name}: {method}: {error}") from error

    def _whole(self, fault: Fault | None, questions: Sequence[Question]) -> EndpointError:
        """The error for a server that answered a batch with a single object."""
        if fault is not None:
            return refused(fault, self.url, f"batch of {len(questions)}")
        return AnswerError(f"{self.name}: batch of {len(questions)}: answered with something that is no batch")
