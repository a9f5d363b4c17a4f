"""A checkpoint: what was learnt, as bytes that say what they are, and whether they are whole.

The first line is a JSON object with the schema, the version and the SHA-256 of the rest; the rest is JSON of the types
below and nothing else, so that loading one can build nothing but numbers and texts.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from defiwatch.errors import StoreError
from defiwatch.models.budget import KeptBudget
from defiwatch.models.outlook import KeptOutlook
from defiwatch.models.stage import KeptModels

SCHEMA = "defiwatch.checkpoint/1"


class Checkpoint(msgspec.Struct, frozen=True):
    """What is kept over a restart. `models` and `outlooks` by chain id; `cursor` says where the frames go on."""

    models: dict[str, KeptModels]
    budget: KeptBudget | None = None
    outlooks: dict[str, KeptOutlook] = {}
    cursor: dict[str, str] = {}


class _Head(msgspec.Struct, frozen=True):
    schema: str
    sha256: str


def pack(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint; the same content gives the same bytes."""
    body = msgspec.json.encode(checkpoint)
    head = _Head(SCHEMA, hashlib.sha256(body).hexdigest())
    return msgspec.json.encode(head) + b"\n" + body


def unpack(data: bytes) -> Checkpoint:
    """The checkpoint that `pack` made these bytes of. StoreError says what is wrong with any others."""
    first, found, body = data.partition(b"\n")
    if not found:
        raise StoreError("this is no checkpoint: it has no first line")
    head: Any = _decoded(first, _Head, "its first line")
    if head.schema != SCHEMA:
        raise StoreError(f"a checkpoint of schema {head.schema!r}; this version reads {SCHEMA}")
    if hashlib.sha256(body).hexdigest() != head.sha256:
        raise StoreError("the checkpoint is damaged: its checksum does not fit")
    checkpoint: Checkpoint = _decoded(body, Checkpoint, "its content")
    return checkpoint


def _decoded(data: bytes, kind: type, what: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"this is no checkpoint: {what} cannot be read ({error})") from error
