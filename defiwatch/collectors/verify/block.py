"""Was anything left out of a block, or altered? Its receipts against its header, its header against its hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from defiwatch.collectors.verify.header import HeaderShapeError, header_hash
from defiwatch.collectors.verify.receipts import Receipt, ReceiptTypeError, receipts_root
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.units import from_hex

Outcome: TypeAlias = Literal["consistent", "untrusted", "unsupported"]


class Verdict(msgspec.Struct, frozen=True):
    """What became of a check.

    consistent      the receipts are those that the block of this hash commits to: all of them, none altered
    untrusted       they are not, or the header is not the one of its hash
    unsupported     it cannot be told: a field or a receipt of a kind that is not known here

    `header_fits` says whether the header's own hash was recomputed: then what disagrees with it is certainly wrong.
    """

    outcome: Outcome
    detail: str = ""
    header_fits: bool = False


def verify_header(header: Header, unknown: Sequence[str] = ()) -> Verdict:
    """The header against its hash. `unknown`: the keys of its JSON that nobody here knows (`unknown_fields`)."""
    try:
        found = "0x" + header_hash(header).hex()
    except HeaderShapeError as error:
        return Verdict("unsupported", str(error))
    except ValueError as error:
        return Verdict("untrusted", f"the header is malformed: {error}")
    if found == header.hash.lower():
        return Verdict("consistent", header_fits=True)
    if unknown:
        return Verdict("unsupported", f"the header has fields that are not known: {', '.join(unknown)}")
    return Verdict("untrusted", f"the header's hash is {found}, not {header.hash}")


def verify_block(header: Header, receipts: Sequence[Receipt], unknown: Sequence[str] = ()) -> Verdict:
    """All receipts of a block against its header, and that against its hash. Receipts in the order of the block.

    What is proved of a log: address, topics, data, and its place in the block. Its transaction's hash is not.
    """
    verdict = verify_header(header, unknown)
    if verdict.outcome != "consistent":
        return verdict
    try:
        wanted = bytes.fromhex((header.receipts_root or "")[2:])
        fits = receipts_root(receipts) == wanted or receipts_root(receipts, own_bloom=True) == wanted
        fault = _misplaced(header, receipts) if fits else "the receipts do not have the root that the header names"
    except ReceiptTypeError as error:
        return Verdict("unsupported", str(error), header_fits=True)
    except ValueError as error:
        return Verdict("untrusted", f"the receipts are malformed: {error}", header_fits=True)
    if fault is not None:
        return Verdict("untrusted", fault, header_fits=True)
    return Verdict("consistent", header_fits=True)


def _misplaced(header: Header, receipts: Sequence[Receipt]) -> str | None:
    """What is wrong with the numbers that say where receipts and logs stand, which the root does not cover."""
    place = 0
    for index, receipt in enumerate(receipts):
        if receipt.transaction_index is not None and from_hex(receipt.transaction_index) != index:
            return f"receipt {index} says that it is number {receipt.transaction_index}"
        for log in receipt.logs:
            if log.removed or log.block_hash not in (None, header.hash):
                return f"log {place} says that it is of block {log.block_hash}"
            if log.log_index is not None and from_hex(log.log_index) != place:
                return f"log {place} says that it is number {log.log_index}"
            if log.transaction_index is not None and from_hex(log.transaction_index) != index:
                return f"log {place} says that it is of transaction {log.transaction_index}, not {index}"
            place += 1
    return None


def logs_of(receipts: Sequence[Receipt]) -> list[RawLog]:
    """Every log of a block, in order."""
    return [log for receipt in receipts for log in receipt.logs]


def content(log: RawLog) -> tuple[int | None, str, tuple[str, ...], str]:
    """What the root proves of a log: its place in the block, address, topics and data."""
    place = None if log.log_index is None else from_hex(log.log_index)
    return place, log.address.lower(), tuple(topic.lower() for topic in log.topics), log.data.lower()


def same_logs(one: Sequence[RawLog], other: Sequence[RawLog]) -> bool:
    """Whether two answers hold the same logs, in the same order."""
    return len(one) == len(other) and all(content(a) == content(b) for a, b in zip(one, other, strict=True))
