"""Asking several chains at once, of which some may not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from defiwatch.errors import SourceError

T = TypeVar("T")


async def answered(asked: Iterable[Awaitable[Sequence[T]]]) -> tuple[list[T], list[SourceError]]:
    """What the chains that could be reached answered, in the order asked, and why the others could not."""
    found: list[T] = []
    faults: list[SourceError] = []
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, SourceError):
            faults.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found += answer
    return found, faults
