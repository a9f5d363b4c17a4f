"""The root of a Merkle-Patricia trie (yellow paper, appendix D), for lists: the keys are RLP(0), RLP(1), …"""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.collectors.verify.rlp import encode_bytes, encode_int, encode_list
from defiwatch.domain.keccak import keccak

_Pair = tuple[str, bytes]
"""A key as hex digits (one a nibble) and its value."""

_EMPTY = encode_bytes(b"")
_DIGITS = "0123456789abcdef"


def list_root(values: Sequence[bytes]) -> bytes:
    """The root of the trie that holds `values` under their places, as receipts and transactions are."""
    if not values:
        return keccak(_EMPTY)
    return keccak(_node(sorted((encode_int(i).hex(), value) for i, value in enumerate(values)), 0))


def _node(pairs: Sequence[_Pair], depth: int) -> bytes:
    """The node for sorted pairs that share their first `depth` nibbles, encoded whole."""
    if len(pairs) == 1:
        key, value = pairs[0]
        return encode_list((_path(key[depth:], leaf=True), encode_bytes(value)))
    shared = _shared(pairs[0][0], pairs[-1][0], depth)
    if shared > depth:
        return encode_list((_path(pairs[0][0][depth:shared], leaf=False), _reference(_node(pairs, shared))))
    # No key of a list is the beginning of another, so a branch never has a value of its own.
    groups: dict[str, list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[0][depth], []).append(pair)
    children = [_reference(_node(groups[d], depth + 1)) if d in groups else _EMPTY for d in _DIGITS]
    return encode_list((*children, _EMPTY))


def _shared(first: str, last: str, depth: int) -> int:
    """How many nibbles the first and the last of sorted keys have in common (and so all between)."""
    end = min(len(first), len(last))
    while depth < end and first[depth] == last[depth]:
        depth += 1
    return depth


def _reference(node: bytes) -> bytes:
    """A node as its parent holds it: itself if it is short, else its hash."""
    return node if len(node) < 32 else encode_bytes(keccak(node))


def _path(nibbles: str, *, leaf: bool) -> bytes:
    """Nibbles in compact (hex-prefix) form."""
    odd = len(nibbles) % 2
    flag = (2 if leaf else 0) + odd
    return encode_bytes(bytes.fromhex(f"{flag:x}{'' if odd else '0'}{nibbles}"))
