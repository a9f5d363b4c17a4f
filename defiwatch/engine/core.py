"""The engine: every frame, numbered at one door, to the lines it concerns; their alerts, in order, to whoever listens.

Synchronous and free of I/O: live, replay, evaluation and tests all call `Engine.feed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from defiwatch.clock import time_of
from defiwatch.config import Chain, Config, Deployment, digest
from defiwatch.config.load import checked_deployment
from defiwatch.domain.frames import (
    RECORDING_SCHEMA,
    BlockFrame,
    ChainRef,
    Frame,
    HeaderFrame,
    HealthFrame,
    InputFrame,
    QuoteFrame,
    ReadsFrame,
    RemovedFrame,
    VerifiedFrame,
)
from defiwatch.domain.ids import MARKET, is_address
from defiwatch.domain.keccak import keccak
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot, SourceRow
from defiwatch.engine.costs import TimedModels, TimedOutlook
from defiwatch.engine.judge import Judge, alert_budget
from defiwatch.engine.line import Line, LineSettings
from defiwatch.engine.picture import picture
from defiwatch.engine.scout import Scout
from defiwatch.errors import ConfigError, DecodeError, RecordingError, StoreError
from defiwatch.models import AlertBudget
from defiwatch.models.checkpoint import Checkpoint
from defiwatch.protocols.registry import create
from defiwatch.protocols.spec import Instance


class Engine:
    """All lines and their merge. `mode` is live, replay or demo and only tells the faces which it is.

    Live, the lines come from the configuration at once; a replay takes chains and deployments from the recording's
    header and the rest (thresholds, watch list, models) from the configuration.
    """

    def __init__(
        self,
        config: Config,
        *,
        mode: str = "live",
        on_alert: Callable[[Alert], None] | None = None,
        on_frame: Callable[[int, Frame], None] | None = None,
    ) -> None:
        self.config = config
        self.mode = mode
        self.on_alert = on_alert
        self.on_frame = on_frame
        self.sequence = 0
        self.progress: float | None = None
        self.lines: dict[int, Line] = {}
        self.scouts: dict[int, Scout] = {}
        """By chain id: who is at the head while the chain's own line still goes through a gap."""
        self._ready: dict[int, Scout] = {}
        self.budget = alert_budget(config)
        self._restored: Checkpoint | None = None
        self.sources: dict[str, SourceRow] = {}
        self.counted: dict[str, int] = {}
        self.events_per_s = 0.0
        self._notices: list[str] = []
        self.told: list[str] = []
        """Every notice handed out so far."""
        if mode == "live":
            for chain in config.chains:
                self._add_line(chain, [d for d in config.deployments if d.chain == chain.name])
        self._market()

    def feed(self, frame: Frame) -> list[Alert]:
        """Take one frame. Returns the alerts it led to, in output order (line by line, by chain id)."""
        self.sequence += 1
        if self.on_frame is not None:
            self.on_frame(self.sequence, frame)
        if isinstance(frame, HeaderFrame):
            self._header(frame)
            return []
        if isinstance(frame, BlockFrame | RemovedFrame | ReadsFrame | VerifiedFrame):
            try:
                alerts = self._of_chain(frame)
            except DecodeError as error:
                self.notice(f"chain {frame.chain_id}: {error}; the frame was skipped")
                return []
        else:
            if isinstance(frame, HealthFrame):
                self._health(frame)
            alerts = [alert for chain_id in sorted(self.lines) for alert in self._beside(chain_id, frame)]
        return self._tell(alerts)

    def scout(self, chain_id: int) -> Line:
        """The line of the chain's scout: the one at the head, or the one that will be once its first frame comes."""
        standing = self.scouts.get(chain_id) or self._ready.get(chain_id)
        if standing is None:
            standing = self._ready[chain_id] = self._made_scout(self._chain_line(chain_id))
        return standing.line

    def finish(self) -> list[Alert]:
        """The frames are over: judge what still waits for reads, and say which never came."""
        alerts: list[Alert] = []
        for chain_id in sorted(self.lines):
            scout = self.scouts.get(chain_id)
            told = self.lines[chain_id].settle()
            alerts += told if scout is None else scout.let_through(told) + scout.spoke(scout.line.settle())
        for line in self.lines.values():
            line.intake.tell_missing()
        return self._tell(alerts)

    def header(self) -> HeaderFrame:
        """The first line of a recording that begins now."""
        return HeaderFrame(
            schema=RECORDING_SCHEMA,
            chains=tuple(
                ChainRef(line.settings.chain_id, line.settings.name, line.settings.confirmations)
                for chain_id, line in sorted(self.lines.items())
                if chain_id != MARKET
            ),
            deployments=tuple(msgspec.Raw(_plain(d)) for d in self.config.deployments),
            config_hash=digest(self.config),
            start=self._start(),
        )

    def _start(self) -> str:
        """What the frames from here on build on: nothing, or the state with this digest."""
        books = [line.intake.book for _, line in sorted(self.lines.items()) if line.intake.book.head is not None]
        return "cold" if not books else "0x" + keccak("".join(book.digest() for book in books).encode()).hex()

    def notices(self) -> list[str]:
        """What is to be told and is no alert, each once; handing it out empties it."""
        fresh, self._notices = self._notices, []
        for chain_id in sorted(self.lines):
            lines = [self.lines[chain_id], *(scout.line for scout in (self.scouts.get(chain_id),) if scout)]
            fresh += [f"{line.settings.name}: {text}" for line in lines for text in line.intake.book.take_notices()]
        return fresh

    @property
    def midway(self) -> bool:
        """Whether a chain's head still waits for its reads: a state kept now would resume without them."""
        return any(line.midway for line in self.lines.values())

    def events(self) -> int:
        """Events applied so far, on all chains."""
        return sum(line.intake.events for line in self.lines.values())

    def snapshot(self) -> Snapshot:
        """The whole as it stands."""
        return picture(
            self.lines.values(),
            sequence=self.sequence,
            mode=self.mode,
            progress=self.progress,
            sources=self.sources.values(),
            notices=self.told[-50:],
            events_per_s=self.events_per_s,
            scouts=self.scouts,
        )

    def checkpoint(self, cursor: dict[str, str] | None = None) -> Checkpoint:
        """What was learnt up to now, to be kept over a restart; `cursor` says where the frames go on."""
        chains = [(str(chain_id), line.judge) for chain_id, line in sorted(self.lines.items()) if chain_id != MARKET]
        return Checkpoint(
            models={chain: judge.models.dump() for chain, judge in chains},
            budget=self.budget.dump(),
            outlooks={chain: judge.outlook.dump() for chain, judge in chains},
            cursor=dict(cursor or {}),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up what `checkpoint` gave, before the first frame. What was learnt under other settings is told as a
        notice and learnt anew."""
        self._restored = checkpoint
        if checkpoint.budget is not None:
            self.budget.load(checkpoint.budget)
        for line in self.lines.values():
            self._restore(line)

    def _restore(self, line: Line) -> None:
        chain = str(line.settings.chain_id)
        if self._restored is None:
            return
        try:
            if chain in self._restored.models:
                line.judge.models.load(self._restored.models[chain])
            if chain in self._restored.outlooks:
                line.judge.outlook.load(self._restored.outlooks[chain])
        except StoreError as error:
            self.notice(f"{line.settings.name}: {error}; its models start anew")

    def notice(self, text: str) -> None:
        """Tell something that is no alert, once."""
        count = self.counted.get(text, 0)
        self.counted[text] = count + 1
        if count == 0:
            self._notices.append(text)

    def _of_chain(self, frame: BlockFrame | RemovedFrame | ReadsFrame | VerifiedFrame) -> list[Alert]:
        """A frame of one chain: for its own line, or for its scout."""
        chain_id = frame.chain_id
        line = self._chain_line(chain_id)
        scout = self.scouts.get(chain_id)
        if not isinstance(frame, VerifiedFrame) and frame.ahead:
            alerts = []
            if isinstance(frame, BlockFrame):
                line.sign_of_life()
                if scout is not None and not scout.goes_on(frame):
                    alerts = scout.hand_over(line)
                    scout = None
                if scout is None:
                    scout = self._ready.pop(chain_id) if chain_id in self._ready else self._made_scout(line)
                    self.scouts[chain_id] = scout
                    scout.begin(line, self._private(chain_id))
            return alerts + scout.step(frame) if scout is not None else []
        alerts = line.step(frame)
        if scout is None:
            return alerts
        if isinstance(frame, VerifiedFrame):
            scout.line.step(frame)
        alerts = scout.let_through(alerts)
        if scout.is_reached(line):
            alerts += scout.hand_over(line)
            del self.scouts[chain_id]
        return alerts

    def _beside(self, chain_id: int, frame: Frame) -> list[Alert]:
        """A frame that is no chain's, or of a chain's sources: a scout has to do with prices and the user alone."""
        line, scout = self.lines[chain_id], self.scouts.get(chain_id)
        alerts = line.step(frame)
        if scout is None:
            return alerts
        scout.line.arrival = line.arrival
        if not isinstance(frame, QuoteFrame | InputFrame):
            return scout.let_through(alerts)
        return scout.let_through(alerts) + scout.spoke(scout.line.step(frame))

    def _tell(self, alerts: list[Alert]) -> list[Alert]:
        if self.on_alert is not None:
            for alert in alerts:
                self.on_alert(alert)
        return alerts

    def _header(self, frame: HeaderFrame) -> None:
        if frame.schema != RECORDING_SCHEMA:
            raise RecordingError(f"a recording of schema {frame.schema!r}; this version reads {RECORDING_SCHEMA}")
        if frame.start != "cold":
            self.notice(f"the recording did not start cold (state {frame.start}): what it began with is not known here")
        try:
            deployments = [
                checked_deployment(msgspec.json.decode(raw), f"deployments[{i}]")
                for i, raw in enumerate(frame.deployments)
            ]
        except (ConfigError, msgspec.DecodeError) as error:
            raise RecordingError(f"the recording's header: {error}") from error
        for ref in frame.chains:
            if ref.chain_id in self.lines:
                continue
            chain = self._configured(ref.chain_id) or Chain(name=ref.name, chain_id=ref.chain_id)
            confirmations = ref.confirmations or frame.confirmations or chain.confirmations or 12
            chain = msgspec.structs.replace(chain, name=ref.name, confirmations=confirmations)
            mine = [d for d in deployments if d.chain == ref.name] or [
                d for d in self.config.deployments if d.chain == chain.name
            ]
            self._add_line(chain, mine)

    def _configured(self, chain_id: int) -> Chain | None:
        return next((chain for chain in self.config.chains if chain.chain_id == chain_id), None)

    def _add_line(self, chain: Chain, deployments: Sequence[Deployment]) -> None:
        instances: list[Instance] = []
        for deployment in deployments:
            try:
                instances.append(create(chain.chain_id, deployment))
            except ConfigError as error:
                if self.mode == "live":
                    raise
                self.notice(f"the recording's header: {error}; left aside")
        settings = LineSettings(
            chain.chain_id, chain.name, chain.confirmations, chain.journal, chain.block_time or 12.0
        )
        judge = self._judge(settings)
        private = self._private(chain.chain_id)
        for instance in instances:
            instance.mine(self._wallets())
            if private:
                instance.watch(private)
        self.lines[chain.chain_id] = Line(settings, instances, judge)
        self._restore(self.lines[chain.chain_id])

    def _private(self, chain_id: int) -> list[str]:
        """The watched wallets, where all endpoints are the user's own nodes: only they may be told which are watched.
        Elsewhere wallets are met like all others."""
        chain = self._configured(chain_id) if self.mode == "live" else None
        if chain is None or not chain.endpoints or not all(endpoint.private for endpoint in chain.endpoints):
            return []
        return self._wallets()

    def _wallets(self) -> list[str]:
        """The watched wallets that are told by address."""
        return sorted(wallet.lower() for wallet in self.config.watch.wallets if is_address(wallet))

    def _made_scout(self, own: Line) -> Scout:
        """A cold line like the chain's own. Its alert budget is a copy: what the own line may tell stays as it is."""
        instances = [create(own.settings.chain_id, instance.deployment) for instance in own.intake.instances]
        for instance in instances:
            instance.mine(self._wallets())
        budget = alert_budget(self.config)
        budget.load(self.budget.dump())
        return Scout(Line(own.settings, instances, self._judge(own.settings, budget)))

    def _market(self) -> None:
        settings = LineSettings(MARKET, "market", 0)
        self.lines[MARKET] = Line(settings, (), self._judge(settings))

    def _judge(self, settings: LineSettings, budget: AlertBudget | None = None) -> Judge:
        depth = max(settings.journal, settings.confirmations + 1)
        return Judge(
            settings.chain_id,
            settings.name,
            self.config,
            depth=depth,
            confirmations=settings.confirmations,
            budget=budget or self.budget,
            models=TimedModels(self.config.models) if self.mode == "live" else None,
            outlook=TimedOutlook() if self.mode == "live" else None,
        )

    def _chain_line(self, chain_id: int) -> Line:
        line = self.lines.get(chain_id)
        if line is None:
            chain = self._configured(chain_id)
            if chain is None:
                self.notice(
                    f"frames of chain {chain_id}, which neither the recording's header nor the configuration names"
                )
                chain = Chain(name=f"chain-{chain_id}", chain_id=chain_id, confirmations=12, block_time=12.0)
            self._add_line(chain, [d for d in self.config.deployments if d.chain == chain.name])
            line = self.lines[chain_id]
        return line

    def _health(self, frame: HealthFrame) -> None:
        before = self.sources.get(frame.source)
        chain = self.lines[frame.chain_id].settings.name if frame.chain_id in self.lines else ""
        self.sources[frame.source] = SourceRow(
            name=frame.source,
            chain=chain,
            state=frame.state,
            detail=frame.detail or "",
            height=frame.height if frame.height is not None else (before.height if before else None),
            latency_ms=frame.latency_ms if frame.latency_ms is not None else (before.latency_ms if before else None),
            frames=(before.frames if before else 0) + 1,
            time=time_of(frame) or 0.0,
        )


def _plain(deployment: Deployment) -> bytes:
    """A deployment as JSON without the keys that were not set."""
    defaults = Deployment(chain="", protocol="")
    kept = {
        name: getattr(deployment, name)
        for name in deployment.__struct_fields__
        if getattr(deployment, name) != getattr(defaults, name)
    }
    return msgspec.json.encode(kept)
