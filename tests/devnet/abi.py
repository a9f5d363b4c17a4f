"""Encoding by signature: `encode("transfer(address,uint256)", to, 5)`. Addresses are lower-case 0x-hex strings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

ZERO = "0x" + "00" * 20
MAX_UINT256 = 2**256 - 1


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
    return tuple(abi_decode(split_types(types), bytes.fromhex(data.removeprefix("0x"))))


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
