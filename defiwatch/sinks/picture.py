"""The last snapshot on disk: what `explain` and `models` read while no engine can be asked."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from defiwatch.domain.view import Snapshot
from defiwatch.errors import StoreError

FILE_NAME = "snapshot.json"
"""Its name inside the data directory."""


def write_picture(folder: Path, snapshot: Snapshot) -> None:
    """Replace the picture in the data directory, whole or not at all. StoreError if it cannot be written."""
    path = folder / FILE_NAME
    fresh = folder / f"{FILE_NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.encode(snapshot))
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from error


def read_picture(folder: Path) -> Snapshot | None:
    """The last picture; None if there is none yet. StoreError if it cannot be read."""
    path = folder / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    except msgspec.MsgspecError as error:
        raise StoreError(f"{path}: is not a snapshot of this version ({error}); the next run replaces it") from error
