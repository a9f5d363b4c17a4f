"""Which reads were refused, and when they may be asked again. Shared by every protocol.

A node's refusal is an answer: a pool that does not exist yet, a token without a name. It is asked again some blocks
later, because what is not there yet may come; never twice at the same block.
"""

from __future__ import annotations

from collections.abc import Iterable

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.text import harmless
from defiwatch.errors import ReadError
from defiwatch.protocols.abi import Call, decode
from defiwatch.protocols.spec import Book, Table

RETRY_BLOCKS = 50
"""Blocks after which a refused read is tried again."""

REFUSED: Table[tuple[str, str], int] = Table("reads.refused")
"""(to, calldata) → the block at which it was refused last."""


def open_calls(book: Book, at: BlockRef, calls: Iterable[Call]) -> list[Call]:
    """Those of `calls` that may be asked at the block `at`, each once, in their order."""
    kept: dict[tuple[str, str], Call] = {}
    for call in calls:
        key = (call.to, call.data)
        refused = book.get(REFUSED, key)
        if refused is None or at.number - refused >= RETRY_BLOCKS:
            kept.setdefault(key, call)
    return list(kept.values())


def refuse(book: Book, at: BlockRef, call: CallResult) -> None:
    """Note that the chain refused `call` at the block `at` (it reverted, or there is no contract)."""
    book.put(REFUSED, (call.to.lower(), call.data.lower()), at.number)


def refused(book: Book, call: Call) -> bool:
    """Whether `call` was refused when it was asked last."""
    return book.get(REFUSED, (call.to, call.data)) is not None


def accept(book: Book, call: CallResult) -> None:
    """Forget an earlier refusal of `call`: it was answered now."""
    book.drop(REFUSED, (call.to.lower(), call.data.lower()))


def empty(call: CallResult) -> bool:
    """Whether the chain answered nothing: it reverted, or there is no contract at that address."""
    return call.error is not None or call.result is None or len(call.result) <= 2


def reason(call: CallResult) -> str:
    """Why a call was refused: the text of `Error(string)`, else the selector of its error."""
    data = call.error
    for _ in range(2):  # a node's error object, which some nest once more
        if isinstance(data, dict):
            data = data.get("data")
    if not isinstance(data, str) or not data.startswith("0x") or len(data) < 10:
        return "no reason given"
    if data.startswith("0x08c379a0"):
        try:
            return harmless(str(decode(("string",), "0x" + data[10:])[0]), 80)
        except ReadError:
            return data[:10]
    return data[:10]
