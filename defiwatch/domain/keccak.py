"""Keccak-256, the hash of every EVM chain: topics, selectors, header and receipt roots."""

from __future__ import annotations

from functools import lru_cache

from Crypto.Hash import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """The 32-byte Keccak-256 digest of `data` (not SHA3-256: another padding)."""
    return _keccak.new(digest_bits=256, data=data).digest()


@lru_cache(maxsize=4096)
def topic(signature: str) -> str:
    """The first topic of an event, from its canonical signature: "Transfer(address,address,uint256)"."""
    return "0x" + keccak(signature.encode()).hex()


@lru_cache(maxsize=4096)
def selector(signature: str) -> str:
    """The 4-byte selector of a function, from its canonical signature, as "0x" and 8 hex digits."""
    return "0x" + keccak(signature.encode())[:4].hex()
