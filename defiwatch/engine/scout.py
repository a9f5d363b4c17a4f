"""A scout: a second line of a chain, at its head, while the chain's own line goes through a gap behind it in order.

It begins cold at the first frame marked `ahead`, with what the own line's models have learnt and with the accounts that
are nearest to their liquidation by what the own line knows. It ends once the own line has judged the newest block that
the scout was shown, or where the next begins. The own line knows nothing of it: its state is that of a run in order.

An alert key that the scout has spoken of is the scout's until then: what the own line, still in the past, says of it is
not told. In the end what was told is brought in line with what the own line holds, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.alerts.entry import retold
from defiwatch.domain.frames import BlockFrame, InputFrame, ReadsFrame, RemovedFrame
from defiwatch.domain.risk import Alert, Position
from defiwatch.domain.units import from_hex, iso
from defiwatch.domain.view import AlertRow
from defiwatch.engine.line import Line
from defiwatch.protocols.spec import Instance

PAIRS = 5_000
"""Accounts times markets that a protocol is asked for at once when a scout begins."""


class Scout:
    """`line` is the second line; nothing of it is used before `begin`."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.handed: frozenset[tuple[str, str, str]] = frozenset()
        """Protocol, market and account of the positions that it was told to look at."""
        self.held: set[str] = set()
        """The ids of alerts of the own line that were not told."""
        self._spoken: set[str] = set()
        self._height: int | None = None

    def begin(self, own: Line, private: Iterable[str]) -> None:
        """Take over what the own line has learnt, and whom to look at; `private` are accounts that may be named to the
        chain's endpoints in any case."""
        line = self.line
        line.arrival = own.arrival
        line.judge.models.load(own.judge.models.dump())
        line.judge.outlook.load(own.judge.outlook.dump())
        handed: set[tuple[str, str, str]] = set()
        head = own.intake.head
        for mine, theirs in zip(line.intake.instances, own.intake.instances, strict=True):
            known = () if head is None else tuple(theirs.positions(own.intake.book, head))
            near = _nearest(known)
            _watch(mine, [position.account for position in near], private)
            handed |= {(p.protocol, p.market, p.account) for p in near}
        self.handed = frozenset(handed)

    def goes_on(self, frame: BlockFrame) -> bool:
        """Whether that block can be one of this scout's. One that leaves some out is the first of another: the run was
        stopped meanwhile."""
        head = self.line.intake.head
        return head is None or from_hex(frame.header.number) <= head.number + 1

    def step(self, frame: BlockFrame | RemovedFrame | ReadsFrame) -> list[Alert]:
        """Take a frame of the head."""
        if isinstance(frame, BlockFrame):
            self._height = from_hex(frame.header.number)
        elif isinstance(frame, RemovedFrame):
            self._height = from_hex(frame.number) - 1
        return self.spoke(self.line.step(frame))

    def spoke(self, alerts: list[Alert]) -> list[Alert]:
        """The scout tells these; from here on their keys are its own."""
        self._spoken.update(alert.key for alert in alerts)
        return alerts

    def let_through(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Of what the own line says, that of which the scout has not spoken."""
        self.held.update(alert.id for alert in alerts if alert.key in self._spoken)
        return [alert for alert in alerts if alert.key not in self._spoken]

    def is_reached(self, own: Line) -> bool:
        """Whether the own line has judged the newest block that the scout was shown."""
        return self._height is not None and own.judged >= self._height

    def hand_over(self, own: Line) -> list[Alert]:
        """The own line speaks for itself again: what is to be told so that what was told is what it holds."""
        theirs = {row.alert.key: row for row in own.judge.alerts.standing()}
        mine = {row.alert.key: row for row in self.line.judge.alerts.standing()}
        now = max(own.clock.now, self.line.clock.now)
        told: list[Alert] = []
        for key in sorted(self._spoken):
            held, said = theirs.get(key), mine.get(key)
            if held is None and said is not None:
                told.append(retold(said.alert, "cleared", now, "over by now"))
            elif held is not None and said is None:
                told.append(held.alert)
            elif held is not None and said is not None:
                _carry(said, own, now)
        return told

    def standing(self, own: Sequence[AlertRow]) -> list[AlertRow]:
        """The standing alerts of both, each key once."""
        kept = [row for row in own if row.alert.key not in self._spoken]
        return [*kept, *self.line.judge.alerts.standing()]

    def feed(self, own: Sequence[Alert]) -> list[Alert]:
        """The last changes that were told of both."""
        return [*(alert for alert in own if alert.id not in self.held), *self.line.judge.alerts.feed()]


def _nearest(positions: Sequence[Position]) -> list[Position]:
    """The positions with debt that are nearest to their liquidation, as many as may be asked for at once."""
    owing = [position for position in positions if position.debt_base > 0 and not position.unknown]
    owing.sort(key=lambda p: (p.health_factor, p.market, p.account))
    markets = len({position.market for position in owing}) or 1
    return owing[: max(1, PAIRS // markets)] if owing else []


def _watch(instance: Instance, accounts: Iterable[str], private: Iterable[str]) -> None:
    wanted = sorted({*accounts, *private})
    if wanted:
        instance.watch(wanted)


def _carry(said: AlertRow, own: Line, now: float) -> None:
    """What the user said of an alert while it was the scout's."""
    if said.acked:
        own.judge.on_input(InputFrame("ack", said.alert.key), now)
    if said.snoozed_until is not None and said.snoozed_until > now:
        own.judge.on_input(InputFrame("snooze", said.alert.key, until=iso(said.snoozed_until)), now)
