"""Recursive Length Prefix: how headers, receipts and trie nodes are written to be hashed (yellow paper, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.units import from_hex


def encode_bytes(data: bytes) -> bytes:
    """A string of bytes."""
    size = len(data)
    if size == 1 and data[0] < 0x80:
        return data
    if size < 56:
        return bytes((0x80 + size,)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0xB7 + len(length),)) + length + data


def encode_list(items: Sequence[bytes]) -> bytes:
    """A list of items, each encoded already."""
    body = b"".join(items)
    size = len(body)
    if size < 56:
        return bytes((0xC0 + size,)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0xF7 + len(length),)) + length + body


def encode_int(number: int) -> bytes:
    """A number that is not negative, without leading zeros; 0 is the empty string."""
    return encode_bytes(number.to_bytes((number.bit_length() + 7) // 8))


def encode_data(text: str) -> bytes:
    """JSON-RPC data ("0x" and whole bytes in hex). ValueError if it is none."""
    if text[:2] != "0x":
        raise ValueError(f"expected 0x and hex digits, got {text[:40]!r}")
    return encode_bytes(bytes.fromhex(text[2:]))


def encode_fixed(text: str, size: int) -> bytes:
    """JSON-RPC data of exactly `size` bytes. ValueError if it is none."""
    if len(text) != 2 * size + 2 or text[:2] != "0x":
        raise ValueError(f"expected {size} bytes in hex, got {text[:40]!r}")
    return encode_bytes(bytes.fromhex(text[2:]))


def encode_quantity(text: str) -> bytes:
    """A JSON-RPC quantity ("0x1b4"). ValueError if it is none."""
    if text[:2] != "0x":
        raise ValueError(f"expected a hex quantity, got {text[:40]!r}")
    number = from_hex(text)
    if number < 0:
        raise ValueError(f"expected a hex quantity, got {text[:40]!r}")
    return encode_int(number)
