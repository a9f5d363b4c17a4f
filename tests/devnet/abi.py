"""Encoding by signature: `encode("transfer(address,uint256)", to, 5)`. Addresses are lower-case 0x-hex strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

ZERO = "0x" + "00" * 20
MAX_UINT256 = 2**256 - 1
_AGGREGATE = "tryAggregate(bool,(address,bytes)[])"


def split_types(text: str) -> list[str]:
    """The types of a comma-separated list, tuples kept whole: `"a,(b,c)[]"` gives `["a", "(b,c)[]"]`."""
    types: list[str] = []
    depth, start = 0, 0
    for at, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            types.append(text[start:at])
            start = at + 1
    if depth != 0:
        raise ValueError(f"unbalanced parentheses in {text!r}")
    return [*types, text[start:]] if text[start:] else types


@cache
def _parts(signature: str) -> tuple[str, tuple[str, ...]]:
    name, _, rest = signature.partition("(")
    if not name or not rest.endswith(")"):
        raise ValueError(f"not a function signature: {signature!r}")
    return name, tuple(split_types(rest[:-1]))


@cache
def selector(signature: str) -> str:
    """The first four bytes of the signature's hash, 0x-hex."""
    return "0x" + keccak(text=signature)[:4].hex()


@cache
def topic(signature: str) -> str:
    """An event's topic0, 0x-hex."""
    return "0x" + keccak(text=signature).hex()


def encode(signature: str, *args: object) -> str:
    """Call data for a function, 0x-hex."""
    types = _parts(signature)[1]
    if len(types) != len(args):
        raise ValueError(f"{signature} takes {len(types)} arguments, got {len(args)}")
    return selector(signature) + abi_encode(types, args).hex()


def encode_arguments(types: str, *args: object) -> str:
    """Constructor arguments, hex without 0x."""
    return abi_encode(split_types(types), args).hex()


def decode(types: str, data: str) -> tuple[Any, ...]:
    """Values from return data; raises `ValueError` on an empty answer (no code at the address)."""
    if data in ("0x", "") and types:
        raise ValueError(f"empty answer, expected ({types}): is there a contract at this address?")
    raw = bytes.fromhex(data.removeprefix("0x"))
    readers = _readers(types)
    if readers is None:
        return tuple(abi_decode(split_types(types), raw))
    if len(raw) < 32 * len(readers):
        raise ValueError(f"{len(raw)} bytes, expected ({types})")
    return tuple(read(raw[32 * at : 32 * at + 32]) for at, read in enumerate(readers))


@cache
def _readers(types: str) -> tuple[Callable[[bytes], Any], ...] | None:
    """What reads each word, where every value is one: most answers, and a tenth of what a decoder in general costs."""
    found = [_reader(one) for one in split_types(types)]
    readers = tuple(reader for reader in found if reader is not None)
    return readers if len(readers) == len(found) else None


def _reader(kind: str) -> Callable[[bytes], Any] | None:
    plain = re.fullmatch(r"(u?)int(\d*)", kind)
    if plain is None:
        return _address if kind == "address" else None
    bits, signed = int(plain[2] or 256), not plain[1]

    def number(word: bytes) -> int:
        value = int.from_bytes(word, signed=signed)
        if value.bit_length() > bits - signed:
            raise ValueError(f"{word.hex()} is no {kind}")
        return value

    return number


def _address(word: bytes) -> str:
    if any(word[:12]):
        raise ValueError(f"{word.hex()} is no address")
    return "0x" + word[12:].hex()


def encode_calls(calls: Sequence[tuple[str, bytes]]) -> str:
    """Call data of `tryAggregate(bool,(address,bytes)[])`, nothing required: (address, call data) each."""
    places: list[bytes] = []
    bodies: list[bytes] = []
    at = 32 * len(calls)
    for to, data in calls:
        padded = data + bytes(-len(data) % 32)
        bodies.append(bytes.fromhex(to[2:]).rjust(32, b"\0") + _word(64) + _word(len(data)) + padded)
        places.append(_word(at))
        at += len(bodies[-1])
    head = _word(0) + _word(64) + _word(len(calls))
    return selector(_AGGREGATE) + b"".join((head, *places, *bodies)).hex()


def decode_results(data: str) -> list[tuple[bool, bytes]]:
    """What `tryAggregate` answers: (whether it went well, return data) each."""
    raw = bytes.fromhex(data.removeprefix("0x"))
    base = _number(raw, 0) + 32
    results: list[tuple[bool, bytes]] = []
    for index in range(_number(raw, base - 32)):
        start = base + _number(raw, base + 32 * index)
        length = start + _number(raw, start + 32)
        size = _number(raw, length)
        body = raw[length + 32 : length + 32 + size]
        if len(body) != size:
            raise ValueError("a truncated answer")
        results.append((_number(raw, start) == 1, body))
    return results


def _word(value: int) -> bytes:
    return value.to_bytes(32)


def _number(raw: bytes, at: int) -> int:
    if at + 32 > len(raw):
        raise ValueError("a truncated answer")
    return int.from_bytes(raw[at : at + 32])


def revert_reason(data: str | None) -> str:
    """The words in revert data: `Error(string)` as text, else the data itself, else the empty string."""
    if data is None or data == "0x":
        return ""
    if data.startswith("0x08c379a0"):
        return str(decode("string", data[10:])[0])
    return data


def create_address(sender: str, nonce: int) -> str:
    """Where a contract that `sender` creates with `nonce` will be: keccak(rlp([sender, nonce]))'s last 20 bytes."""
    number = b"" if nonce == 0 else nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    body = bytes([0x94]) + bytes.fromhex(sender[2:]) + item
    return "0x" + keccak(bytes([0xC0 + len(body)]) + body)[12:].hex()


def address_topic(address: str) -> str:
    """An address as an indexed event argument, 0x-hex of 32 bytes."""
    return "0x" + address[2:].lower().rjust(64, "0")


def topic_address(word: str) -> str:
    """The address in an indexed event argument."""
    return "0x" + word[-40:].lower()


def words(data: str) -> list[int]:
    """Return or log data as unsigned 32-byte words."""
    body = data.removeprefix("0x")
    return [int(body[at : at + 64], 16) for at in range(0, len(body), 64)]


def first(values: Sequence[Any]) -> Any:
    """The only value of a one-value answer."""
    if len(values) != 1:
        raise ValueError(f"expected one value, got {len(values)}")
    return values[0]
