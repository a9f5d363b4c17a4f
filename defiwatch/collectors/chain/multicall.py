"""Multicall3: many reads in one `eth_call`. Its calldata and its answer, as hex.

`aggregate3((address target, bool allowFailure, bytes callData)[]) returns ((bool success, bytes returnData)[])`,
mds1/multicall3 src/Multicall3.sol; the same address on every chain that has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.keccak import selector
from defiwatch.errors import ReadError
from defiwatch.protocols.abi import Call

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"

_SELECTOR = selector("aggregate3((address,bool,bytes)[])")


def encode(calls: Sequence[Call]) -> str:
    """The calldata that makes `calls`, each allowed to fail."""
    heads: list[str] = []
    tails: list[str] = []
    offset = 32 * len(calls)
    for call in calls:
        body = call.data[2:]
        size = len(body) // 2
        padded = body + "0" * (-len(body) % 64)
        heads.append(f"{offset:064x}")
        tails.append(f"{call.to[2:]:0>64}{1:064x}{96:064x}{size:064x}{padded}")
        offset += 128 + len(padded) // 2
    return f"{_SELECTOR}{32:064x}{len(calls):064x}{''.join(heads)}{''.join(tails)}"


def decode(data: str, count: int) -> list[tuple[bool, str]]:
    """Success and returned data of each of `count` calls. ReadError if the answer is not that."""
    body = data[2:]
    try:
        start = 2 * int(body[:64], 16)
        length = int(body[start : start + 64], 16)
        if length != count:
            raise ReadError(f"multicall: {length} answers to {count} calls")
        first = start + 64
        found: list[tuple[bool, str]] = []
        for i in range(count):
            at = first + 2 * int(body[first + 64 * i : first + 64 * i + 64], 16)
            size = 2 * int(body[at + 128 : at + 192], 16)
            returned = body[at + 192 : at + 192 + size]
            if len(returned) != size:
                raise ReadError(f"multicall: answer {i + 1} of {count} is cut off")
            found.append((int(body[at : at + 64], 16) != 0, "0x" + returned))
    except ValueError as error:
        raise ReadError(f"multicall: an answer that cannot be read ({len(body) // 2} bytes)") from error
    return found
