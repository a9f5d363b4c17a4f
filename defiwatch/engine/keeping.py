"""What outlives a restart: each line's book and journal, its alerts, what its models learnt and have yet to learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.keccak import keccak
from defiwatch.domain.learning import Observation
from defiwatch.engine.core import Engine
from defiwatch.engine.learnt import write_learnt
from defiwatch.engine.line import Line
from defiwatch.engine.searches import Search
from defiwatch.errors import StoreError
from defiwatch.models.checkpoint import pack, unpack
from defiwatch.sinks.ledger import FILE_NAME, Kept, KeptChain, LedgerStore
from defiwatch.state.kept import Changes, changes, restore

_CONFIG, _MODELS = "config", "models"


class Keeper:
    """Keeps one engine's state in a folder. `resumed` says whether it went on from what was there."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._store = LedgerStore(folder / FILE_NAME)
        self.resumed = False

    def open(self) -> None:
        """Take up what is on disk; what cannot be used is told, forgotten, and the start is a cold one."""
        try:
            kept = self._store.load()
            if kept is not None:
                resume(self._engine, kept)
                self.resumed = True
        except StoreError as error:
            self._engine.notice(f"starting cold: {error}")
            self._store.clear()

    def save(self) -> None:
        """Write what changed, in one transaction. StoreError if the disk refuses."""
        chains, meta = gather(self._engine)
        self._store.save(chains, meta)
        write_learnt(self._folder, self._engine)

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()


class _Owed(msgspec.Struct, frozen=True):
    """Observations of blocks that are not confirmed yet."""

    at: BlockRef
    observations: tuple[Observation, ...]


class _LineState(msgspec.Struct, frozen=True):
    clock: float
    owed: tuple[_Owed, ...]
    alerts: msgspec.Raw
    traded: tuple[tuple[tuple[str, str], int], ...]
    events: int
    reorgs: int
    limits: dict[str, int] = {}
    searches: tuple[Search, ...] = ()
    midway: bool = False


def fingerprint(engine: Engine) -> bytes:
    """What a kept state depends on: chains, deployments, and how long blocks stay unconfirmed."""
    plain = [
        (line.settings.chain_id, line.settings.confirmations, msgspec.to_builtins(instance.deployment))
        for chain_id, line in sorted(engine.lines.items())
        for instance in line.intake.instances
    ]
    return keccak(msgspec.json.encode(plain, order="sorted")).hex().encode()


def gather(engine: Engine) -> tuple[dict[int, Changes], dict[str, bytes]]:
    """What changed in every chain's book since the last call, and the rest whole: as `LedgerStore.save` takes it."""
    chains: dict[int, Changes] = {}
    meta = {_CONFIG: fingerprint(engine)}
    for chain_id, line in sorted(engine.lines.items()):
        line.intake.book.track()
        chains[chain_id] = changes(line.intake.book)
        meta[f"line.{chain_id}"] = msgspec.json.encode(_state(line))
    meta[_MODELS] = pack(engine.checkpoint())
    return chains, meta


def _state(line: Line) -> _LineState:
    return _LineState(
        clock=line.clock.now,
        owed=tuple(_Owed(at, observations) for at, observations in line.owed),
        alerts=msgspec.Raw(msgspec.json.encode(line.judge.alerts.dump())),
        traded=tuple(sorted(line.judge.traded.items())),
        events=line.intake.events,
        reorgs=line.intake.reorgs,
        limits=dict(line.limits),
        searches=line.searches.dump(),
        midway=line.midway,
    )


def resume(engine: Engine, kept: Kept) -> None:
    """Take up what was kept. StoreError, and the engine unchanged, if it is of another configuration or damaged.

    Damaged models alone start cold, with a notice.
    """
    if kept.meta.get(_CONFIG) != fingerprint(engine):
        raise StoreError("the state on disk is of another configuration")
    states: dict[int, _LineState] = {}
    try:
        for chain_id in engine.lines:
            states[chain_id] = msgspec.json.decode(kept.meta[f"line.{chain_id}"], type=_LineState)
    except (KeyError, msgspec.DecodeError) as error:
        raise StoreError(f"the state on disk is damaged: {error}") from error
    for chain_id, line in sorted(engine.lines.items()):
        chain = kept.chains.get(chain_id, KeptChain((), ()))
        restore(line.intake.book, chain.rows, chain.pages)
        _take_up(line, states[chain_id])
    _models(engine, kept.meta)


def _take_up(line: Line, state: _LineState) -> None:
    line.intake.book.track()
    line.intake.book.take_dirty()
    line.judge.alerts.load(msgspec.json.decode(state.alerts))
    line.judge.traded.update(state.traded)
    line.limits.update(state.limits)
    line.searches.load(state.searches, line.intake.resyncs)
    line.intake.events, line.intake.reorgs = state.events, state.reorgs
    line.resume(state.clock, [(item.at, item.observations) for item in state.owed], midway=state.midway)


def _models(engine: Engine, meta: Mapping[str, bytes]) -> None:
    try:
        engine.restore(unpack(meta.get(_MODELS, b"")))
    except StoreError as error:
        engine.notice(f"what the models had learnt cannot be used, they start cold: {error}")
