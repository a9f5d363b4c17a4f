"""Frames: whatever can change a result, as it came in at the door. Also the line format of a recording.

Field names are those of JSON-RPC and of the recording format, so a frame is decoded once, by msgspec, straight from
the wire. Unknown fields are ignored; fields that a source did not give are None (or ""). Types only gain fields with
defaults.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

RECORDING_SCHEMA = "defiwatch.recording/1"


class RawLog(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", gc=False):
    """One log as `eth_getLogs` returns it: hex strings, nothing decoded."""

    address: str
    topics: tuple[str, ...]
    data: str = "0x"
    block_number: str | None = None
    block_hash: str | None = None
    block_timestamp: str | None = None
    transaction_hash: str | None = None
    transaction_index: str | None = None
    log_index: str | None = None
    removed: bool = False


class Header(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", gc=False):
    """A block's header as `eth_getBlockByNumber` gives it; only number and timestamp are certain."""

    number: str
    timestamp: str
    hash: str = ""
    parent_hash: str = ""
    sha3_uncles: str | None = None
    miner: str | None = None
    state_root: str | None = None
    transactions_root: str | None = None
    receipts_root: str | None = None
    logs_bloom: str | None = None
    difficulty: str | None = None
    gas_limit: str | None = None
    gas_used: str | None = None
    extra_data: str | None = None
    mix_hash: str | None = None
    nonce: str | None = None
    base_fee_per_gas: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    excess_blob_gas: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None


class ChainRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chain as a recording's header names it."""

    chain_id: int
    name: str
    confirmations: int | None = None


class HeaderFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="header"):
    """The first line of a recording: what it is, and what it started from."""

    schema: str
    chains: tuple[ChainRef, ...] = ()
    deployments: tuple[msgspec.Raw, ...] = ()
    config_hash: str | None = None
    confirmations: int | None = None
    start: str = "cold"
    version: str | None = None


class BlockFrame(msgspec.Struct, frozen=True, tag_field="frame", tag="block"):
    """One block with those of its logs that the configuration asks for, in order."""

    chain_id: int
    header: Header
    logs: tuple[RawLog, ...] = ()
    ahead: bool | msgspec.UnsetType = msgspec.UNSET
    """Of the head, while blocks before it are still missing: not for the line that takes every block in order."""


class RemovedFrame(msgspec.Struct, frozen=True, tag_field="frame", tag="removed"):
    """A reorg took this block away; newest first."""

    chain_id: int
    number: str
    hash: str = ""
    ahead: bool | msgspec.UnsetType = msgspec.UNSET


class CallResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One contract read: what was asked and what came back. Exactly one of `result` and `error` is set.

    `error` is the node's error object or a hex string of the revert data, as it came.
    """

    to: str
    data: str
    result: str | None = None
    error: Any = None


class ReadsFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="reads"):
    """A batch of contract reads, all pinned to one block."""

    chain_id: int
    block: str
    calls: tuple[CallResult, ...]
    block_hash: str = ""
    ahead: bool | msgspec.UnsetType = msgspec.UNSET


class QuoteFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="quote"):
    """An off-chain price: `price` units of `quote` for one `base`, at `time` (ISO 8601, the venue's own)."""

    venue: str
    base: str
    quote: str
    price: str
    time: str
    confidence: str | None = None


class HealthFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="health"):
    """What became of a source: live, behind, silent, limited, untrusted or down. `source` has its secrets masked."""

    source: str
    state: str
    time: str
    chain_id: int | None = None
    detail: str | None = None
    height: int | None = None
    latency_ms: float | None = None


class VerifiedFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="verified"):
    """A verdict on a block's integrity: `trust` is single, quorum, consistent, proof, or untrusted / unsupported."""

    chain_id: int
    number: str
    hash: str
    trust: str
    detail: str | None = None


class TickFrame(msgspec.Struct, frozen=True, tag_field="frame", tag="tick"):
    """The wall clock went on: the only way silence becomes visible."""

    time: str


class InputFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="frame", tag="input"):
    """What the user did: ack, snooze, noise, real (a judgement on an alert), or config."""

    action: str
    key: str = ""
    time: str = ""
    until: str | None = None
    value: str | None = None


Frame: TypeAlias = (
    HeaderFrame
    | BlockFrame
    | RemovedFrame
    | ReadsFrame
    | QuoteFrame
    | HealthFrame
    | VerifiedFrame
    | TickFrame
    | InputFrame
)


def is_ahead(frame: Frame) -> bool:
    """Whether a frame is for a scout at the head, and not for the line that takes every block in order."""
    return isinstance(frame, BlockFrame | RemovedFrame | ReadsFrame) and bool(frame.ahead)


encode = msgspec.json.Encoder().encode
"""A frame as one line of a recording, without the newline."""

decode = msgspec.json.Decoder(Frame).decode
"""One line of a recording as a frame; msgspec.DecodeError (or its ValidationError) if it is none."""
