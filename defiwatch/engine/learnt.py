"""What a run has learnt of how its markets move, in a file of its own: for commands that look at a chain once, also
while that run goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from defiwatch.domain.ids import MARKET
from defiwatch.engine.core import Engine
from defiwatch.errors import StoreError
from defiwatch.models import Outlook
from defiwatch.models.outlook import KeptOutlook
from defiwatch.sinks import learnt as disk
from defiwatch.state.lending.pushes import Rhythm

OLD_S = 7.0 * 86_400.0
"""What was learnt until longer ago says little of now."""


class LearntChain(msgspec.Struct, frozen=True):
    """One chain: until when it was watched (Unix seconds, the blocks' time), volatilities, rhythms by mark key, and how
    much one question to its endpoints may ask for."""

    time: float
    outlook: KeptOutlook
    rhythms: dict[str, Rhythm]
    limits: dict[str, int] = {}


class Learnt(msgspec.Struct, frozen=True):
    """Every chain of a run, by chain id."""

    chains: dict[int, LearntChain]


def write_learnt(folder: Path, engine: Engine) -> None:
    """Replace the file, whole or not at all. StoreError if it cannot be written."""
    chains = {
        chain_id: LearntChain(line.clock.now, line.judge.outlook.lend(), line.judge.rhythms, dict(line.limits))
        for chain_id, line in sorted(engine.lines.items())
        if chain_id != MARKET
    }
    disk.write(folder, msgspec.json.encode(Learnt(chains)))


def read_learnt(folder: Path, chain_id: int) -> tuple[LearntChain, Outlook] | None:
    """What was learnt of a chain, and an outlook that knows it; None if nothing was. StoreError if it cannot be
    read."""
    content = disk.read(folder)
    if content is None:
        return None
    try:
        found = msgspec.json.decode(content, type=Learnt).chains.get(chain_id)
    except msgspec.MsgspecError as error:
        path = folder / disk.FILE_NAME
        raise StoreError(f"{path}: is not of this version ({error}); the next run replaces it") from error
    if found is None:
        return None
    outlook = Outlook()
    outlook.load(found.outlook)
    return found, outlook
