"""What a run has learnt, in a file of its own in the data directory: replaced whole, read without a lock."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from defiwatch.errors import StoreError

FILE_NAME = "learnt.json"
"""Its name inside the data directory."""


class _Chain(msgspec.Struct, frozen=True):
    limits: dict[str, int] = {}


class _Limits(msgspec.Struct, frozen=True):
    chains: dict[int, _Chain] = {}


def write(folder: Path, content: bytes) -> None:
    """Replace the file, whole or not at all. StoreError if it cannot be written."""
    path = folder / FILE_NAME
    fresh = folder / f"{FILE_NAME}.{os.getpid()}"
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from error


def read(folder: Path) -> bytes | None:
    """What it holds; None if there is none yet. StoreError if it cannot be read."""
    path = folder / FILE_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error


def limits(folder: Path, chain_id: int) -> dict[str, int]:
    """What a run has learnt of how much one question to a chain's endpoints may ask for; {} if nothing is known."""
    try:
        content = read(folder)
        found = msgspec.json.decode(content or b"{}", type=_Limits).chains.get(chain_id)
    except (StoreError, msgspec.MsgspecError):
        return {}
    return {} if found is None else found.limits
