"""keccak(RLP(header)) for every set of fields that a header of Ethereum had so far, from Frontier to Prague.

The fields that came with a fork stand at the end, so which of them are there says which fork it is
(London: base fee; Shanghai: withdrawals; Cancun: blobs and the beacon root; Prague: requests).
Order as in ethereum/execution-specs, `Header` of each fork's `blocks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from defiwatch.collectors.verify.rlp import encode_data, encode_fixed, encode_list, encode_quantity
from defiwatch.domain.frames import Header
from defiwatch.domain.keccak import keccak


def _fixed(size: int) -> Callable[[str], bytes]:
    def encode(text: str) -> bytes:
        return encode_fixed(text, size)

    return encode


_FIRST: tuple[tuple[str, Callable[[str], bytes]], ...] = (
    ("parent_hash", _fixed(32)),
    ("sha3_uncles", _fixed(32)),
    ("miner", _fixed(20)),
    ("state_root", _fixed(32)),
    ("transactions_root", _fixed(32)),
    ("receipts_root", _fixed(32)),
    ("logs_bloom", _fixed(256)),
    ("difficulty", encode_quantity),
    ("number", encode_quantity),
    ("gas_limit", encode_quantity),
    ("gas_used", encode_quantity),
    ("timestamp", encode_quantity),
    ("extra_data", encode_data),
    ("mix_hash", _fixed(32)),
    ("nonce", _fixed(8)),
)
_LATER: tuple[tuple[str, Callable[[str], bytes]], ...] = (
    ("base_fee_per_gas", encode_quantity),
    ("withdrawals_root", _fixed(32)),
    ("blob_gas_used", encode_quantity),
    ("excess_blob_gas", encode_quantity),
    ("parent_beacon_block_root", _fixed(32)),
    ("requests_hash", _fixed(32)),
)
_BESIDE = frozenset(
    {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals", "author", "sealFields", "requests"}
)
"""What nodes give along with a header that is no part of it."""
_KNOWN = _BESIDE | frozenset(field.encode_name for field in msgspec.structs.fields(Header))


class HeaderShapeError(ValueError):
    """A header that lacks a field which every header of its fork has: its hash cannot be recomputed."""


def unknown_fields(names: Iterable[str]) -> tuple[str, ...]:
    """Those of a header's JSON keys that this version knows nothing of, sorted: perhaps part of what is hashed."""
    return tuple(sorted(set(names) - _KNOWN))


def header_hash(header: Header) -> bytes:
    """The block's hash, from its header's fields. HeaderShapeError if some are missing, ValueError if one is no hex."""
    items: list[bytes] = []
    missing: list[str] = []
    for name, encode in _FIRST:
        value = getattr(header, name)
        if value is None or value == "":
            missing.append(name)
        else:
            items.append(encode(value))
    ended = False
    for name, encode in _LATER:
        value = getattr(header, name)
        if value is None:
            ended = True
        elif ended:
            missing.append(f"what comes before {name}")
        else:
            items.append(encode(value))
    if missing:
        raise HeaderShapeError(f"the header lacks {', '.join(missing)}")
    return keccak(encode_list(items))
