"""Receipts as the chain hashes them: their encoding by transaction type, and the root of all of a block's.

Legacy receipts are a bare list, those of later types (EIP-2718) a byte of type before it. Before Byzantium the first
item was the state's root in place of the status (EIP-658).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from defiwatch.collectors.verify.bloom import BLOOM_BYTES, bloom_of
from defiwatch.collectors.verify.rlp import encode_bytes, encode_data, encode_fixed, encode_list, encode_quantity
from defiwatch.collectors.verify.trie import list_root
from defiwatch.domain.frames import RawLog
from defiwatch.domain.units import from_hex

TYPES = {0: "legacy", 1: "access list (2930)", 2: "dynamic fee (1559)", 3: "blob (4844)", 4: "set code (7702)"}
"""The transaction types whose receipts are encoded the same way."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One receipt as `eth_getBlockReceipts` returns it."""

    cumulative_gas_used: str
    logs: tuple[RawLog, ...] = ()
    transaction_index: str | None = None
    transaction_hash: str | None = None
    block_hash: str | None = None
    type: str | None = None
    status: str | None = None
    root: str | None = None
    logs_bloom: str | None = None


class ReceiptTypeError(ValueError):
    """A receipt of a type that this version does not know how to encode."""


def encode_receipt(receipt: Receipt, *, own_bloom: bool = False) -> bytes:
    """A receipt as it lies in the trie. ReceiptTypeError for an unknown type, ValueError for one that is malformed.

    The bloom is the one given, or with `own_bloom` (or if none is given) the one of its logs. Which of them does not
    matter to what a fitting root proves: the root covers the bloom and the logs.
    """
    kind = from_hex(receipt.type) if receipt.type else 0
    if kind not in TYPES:
        raise ReceiptTypeError(f"a receipt of transaction type {receipt.type}")
    if receipt.status is not None:
        outcome = encode_quantity(receipt.status)
    elif receipt.root is not None:
        outcome = encode_fixed(receipt.root, 32)
    else:
        raise ValueError("a receipt with neither status nor root")
    if own_bloom or not receipt.logs_bloom:
        bloom = encode_bytes(bloom_of(receipt.logs).to_bytes(BLOOM_BYTES))
    else:
        bloom = encode_fixed(receipt.logs_bloom, BLOOM_BYTES)
    logs = encode_list([encode_log(log) for log in receipt.logs])
    body = encode_list((outcome, encode_quantity(receipt.cumulative_gas_used), bloom, logs))
    return body if kind == 0 else bytes((kind,)) + body


def encode_log(log: RawLog) -> bytes:
    """A log as it lies in a receipt: address, topics, data."""
    topics = encode_list([encode_fixed(topic, 32) for topic in log.topics])
    return encode_list((encode_fixed(log.address, 20), topics, encode_data(log.data)))


def receipts_root(receipts: Sequence[Receipt], *, own_bloom: bool = False) -> bytes:
    """The root of a block's receipts, which must be all of them and in order. Errors as `encode_receipt`."""
    return list_root([encode_receipt(receipt, own_bloom=own_bloom) for receipt in receipts])
