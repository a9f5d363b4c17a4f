"""Identifiers: addresses, hashes, subjects and the stable keys of alerts."""

from __future__ import annotations

from typing import TypeAlias

Address: TypeAlias = str
"""20 bytes as "0x" and 40 lower-case hex digits."""

Hash: TypeAlias = str
"""32 bytes as "0x" and 64 lower-case hex digits; "" where the source gave none."""

ChainId: TypeAlias = int
"""EIP-155 chain id; 0 is the market line (off-chain quotes)."""

MARKET: ChainId = 0
ZERO_ADDRESS: Address = "0x" + "0" * 40
NATIVE: Address = "0x" + "e" * 40
"""The customary stand-in for a chain's own coin."""

_HEX = frozenset("0123456789abcdef")


def is_address(text: str) -> bool:
    """Whether `text` is an address in any letter case (an EIP-55 checksum is not verified)."""
    return len(text) == 42 and text[:2] in ("0x", "0X") and _HEX.issuperset(text[2:].lower())


def address(text: str) -> Address:
    """`text` in the form used everywhere inside; ValueError if it is no address."""
    if not is_address(text):
        raise ValueError(f"expected an address (0x and 40 hex digits), got {text!r}")
    return text.lower()


def short(text: str) -> str:
    """An address or hash as people read it: 0x1234…abcd."""
    return f"{text[:6]}…{text[-4:]}" if len(text) > 12 else text


def subject_id(*parts: str) -> str:
    """The id of a subject inside its protocol: its parts joined by colons."""
    return ":".join(parts)


def alert_key(chain_id: ChainId, protocol: str, subject: str, aspect: str) -> str:
    """The stable key under which one alert lives: chain:protocol:subject:aspect."""
    return f"{chain_id}:{protocol}:{subject}:{aspect}"
