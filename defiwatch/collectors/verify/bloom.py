"""The bloom of a block's logs: 2048 bits, three for every address and topic (yellow paper, section 4.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from defiwatch.domain.frames import RawLog
from defiwatch.domain.keccak import keccak

BLOOM_BYTES = 256


@lru_cache(maxsize=65536)
def mask(item: str) -> int:
    """The bits that an address or topic (0x-hex) sets."""
    digest = keccak(bytes.fromhex(item[2:]))
    bits = 0
    for i in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[i : i + 2]) & 2047)
    return bits


def bloom_of(logs: Iterable[RawLog]) -> int:
    """The bloom of these logs, as a number; `to_bytes(256)` is what a header and a receipt hold."""
    bits = 0
    for log in logs:
        bits |= mask(log.address)
        for topic in log.topics:
            bits |= mask(topic)
    return bits


def from_text(text: str) -> int:
    """A bloom from its 256 bytes in hex. ValueError if it is none."""
    if len(text) != 2 * BLOOM_BYTES + 2 or text[:2] != "0x":
        raise ValueError(f"expected a bloom of {BLOOM_BYTES} bytes in hex, got {text[:40]!r}")
    return int(text, 16)


def strangers(bloom: int, logs: Iterable[RawLog]) -> list[RawLog]:
    """Those logs that cannot be in a block with this bloom."""
    found: list[RawLog] = []
    for log in logs:
        bits = bloom_of((log,))
        if bloom & bits != bits:
            found.append(log)
    return found


def lacking(bloom: int, logs: Iterable[RawLog]) -> bool:
    """Whether an answer that should hold *all* logs of a block lacks one: the bloom has bits that none of them sets."""
    return bloom & ~bloom_of(logs) != 0
