"""The life of an alert: hysteresis, cool-down, incidents, once, the user, and the disk."""

from __future__ import annotations

import math

import msgspec
import pytest

from defiwatch.alerts import AlertBook
from defiwatch.alerts.book import LINGER_S, RAISES
from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert, Assessment, Evidence, Reason, Severity, Subject
from defiwatch.errors import StoreError

COOL = 600.0
KEY = "1:p:0xpool:aspect"


def judgement(
    score: float,
    severity: Severity | None,
    *,
    key: str = KEY,
    kind: str = "liquidation.warning",
    once: bool = False,
    incident: bool = False,
    aspect: str = "",
    block: int = 0,
    relieved: bool = False,
) -> Assessment:
    return Assessment(
        key=key,
        kind=kind,
        subject=Subject("pool", 1, "p", "0xpool", "pool"),
        severity=severity,
        score=score,
        reasons=(Reason("a", 1.23456789, score * 0.6, "a"), Reason("b", 0.5, score * 0.4, "b", 0.1)),
        title=f"at {score:g}",
        evidence=Evidence(block=block, block_hash=f"0x{block:x}"),
        once=once,
        incident=incident,
        aspect=aspect,
        relieved=relieved,
    )


class Line:
    """A book and its clock; a block every 12 s."""

    def __init__(self, settings: Alerts | None = None) -> None:
        self.book = AlertBook(settings or Alerts())
        self.number = 100
        self.now = 1_000_000.0
        self.open()

    def open(self, seconds: float = 12.0) -> None:
        self.number += 1
        self.now += seconds
        self.book.open_block(self.at)

    @property
    def at(self) -> BlockRef:
        return BlockRef(1, self.number, f"0x{self.number:x}", int(self.now))

    def tell(
        self, score: float, severity: Severity | None, *, wait: float = 12.0, **more: object
    ) -> list[tuple[str, str]]:
        """One judgement in a new block; returns (state, severity) of what was told."""
        self.open(wait)
        return self.again(score, severity, **more)

    def again(self, score: float, severity: Severity | None, **more: object) -> list[tuple[str, str]]:
        found = judgement(score, severity, block=self.number, **more)  # type: ignore[arg-type]  # keywords of `judgement`
        return [(alert.state, alert.severity) for alert in self.book.update(found, self.now, at=self.at)]

    def undo(self) -> list[Alert]:
        told = self.book.undo_block(self.at, self.now)
        self.number -= 1
        return list(told)

    def standing(self) -> list[str]:
        return [row.alert.severity for row in self.book.standing()]


def test_raised_once_worsened_eased_cleared() -> None:
    line = Line()
    assert line.tell(30, None) == []
    assert line.tell(50, "warning") == [("raised", "warning")]
    assert line.tell(52, "warning") == []
    assert line.tell(62, "warning", wait=COOL) == [("worsened", "warning")]
    assert line.tell(65, "critical") == [("worsened", "critical")]
    assert line.tell(50, "warning") == []
    assert line.tell(50, "warning", wait=COOL) == [("eased", "warning")]
    assert line.tell(20, None) == [("cleared", "warning")]
    assert line.standing() == []


def test_what_goes_up_and_down_is_told_once() -> None:
    """A health factor through a crash: partly liquidated, it recovers for a minute and falls again."""
    line = Line()
    told = []
    for score, severity in ((54, "warning"), (67, "warning"), (81, "critical"), (94, "critical"), (65, "warning")) * 8:
        told += line.tell(score, severity)  # type: ignore[arg-type]  # the table's words are severities
    assert told == [("raised", "warning"), ("worsened", "critical")]
    assert line.tell(94, "critical", wait=COOL) == [("worsened", "critical")]


def test_what_dips_below_every_line_does_not_ease_at_once() -> None:
    line = Line()
    line.tell(80, "critical")
    assert line.tell(75, None) == []
    assert line.tell(65, "warning", wait=COOL - 20) == []
    assert line.tell(65, "warning", wait=30) == [("eased", "warning")]


def test_what_somebody_made_better_is_told_at_once() -> None:
    line = Line()
    line.tell(80, "critical")
    assert line.tell(65, "warning", relieved=True) == [("eased", "warning")]
    assert line.tell(80, "critical") == [("worsened", "critical")]
    assert line.tell(79, None) == []
    assert line.tell(79, None, relieved=True) == [("cleared", "critical")]


def test_an_alert_is_what_was_judged() -> None:
    line = Line()
    (alert,) = line.book.update(judgement(71.23456789, "warning", block=101), line.now, at=line.at, trust="quorum")
    assert alert.schema == "defiwatch.alert/1"
    assert alert.score == 71.2346
    assert alert.reasons[0].value == 1.23457
    assert math.fsum(reason.points for reason in alert.reasons) == pytest.approx(alert.score, abs=0.5)
    assert alert.time == "1970-01-12T13:46:52Z"
    assert (alert.finality, alert.trust) == ("head", "quorum")
    assert alert.evidence.block_hash == "0x65"


def test_hysteresis_holds_until_it_is_clearly_over_or_quiet_for_long() -> None:
    line = Line()
    line.tell(50, "warning")
    assert line.tell(48, None) == []
    assert line.tell(50, "warning") == []
    assert line.tell(41, None) == []
    assert line.tell(39, None) == [("cleared", "warning")]
    line = Line()
    line.tell(50, "warning")
    assert line.tell(48, None) == []
    assert line.tell(48, None, wait=COOL - 1) == []
    assert line.tell(48, None, wait=2) == [("cleared", "warning")]


def test_nothing_clears_in_the_block_that_kept_it_standing() -> None:
    line = Line()
    line.tell(50, "warning")
    assert line.again(1, None) == []
    assert line.tell(1, None) == [("cleared", "warning")]


def test_what_cleared_is_not_raised_again_within_the_cool_down() -> None:
    line = Line()
    line.tell(50, "warning")
    line.tell(10, None)
    assert line.tell(50, "warning") == []
    assert line.standing() == []
    assert line.tell(50, "warning", wait=COOL) == [("raised", "warning")]


def test_but_something_worse_is() -> None:
    line = Line()
    line.tell(50, "warning")
    line.tell(10, None)
    assert line.tell(75, "critical") == [("raised", "critical")]


def test_what_is_critical_is_raised_again_a_few_times() -> None:
    line = Line()
    raised = 0
    for _ in range(3 * RAISES):
        raised += line.tell(90, "critical") == [("raised", "critical")]
        line.tell(5, None)
    assert raised == RAISES
    assert line.tell(90, "critical", wait=COOL) == [("raised", "critical")]


def test_an_incident_lingers_and_the_next_one_is_its_own() -> None:
    line = Line()
    assert line.tell(80, "critical", incident=True) == [("raised", "critical")]
    assert line.again(85, "critical", incident=True) == []
    assert line.again(3, None, incident=True) == []
    assert line.again(80, "critical", incident=True) == []
    assert line.again(3, None, incident=True) == []
    assert line.tell(80, "critical", incident=True) == [("cleared", "critical"), ("raised", "critical")]
    assert line.again(3, None, incident=True) == []
    assert line.tell(3, None, incident=True) == []
    assert line.standing() == ["critical"]
    assert line.tell(3, None, wait=LINGER_S, incident=True) == [("cleared", "critical")]


def test_an_incident_that_goes_on_is_one() -> None:
    line = Line()
    line.tell(80, "critical", incident=True)
    assert [line.tell(80, "critical", incident=True) for _ in range(20)] == [[]] * 20


def test_small_trades_do_not_end_what_the_blocks_show() -> None:
    """Liquidity taken out block by block, ordinary trades in between: one incident."""
    line = Line()
    assert line.tell(80, "critical", incident=True) == [("raised", "critical")]
    for _ in range(20):
        assert line.tell(3, None, incident=True, aspect="trade") == []
        assert line.again(80, "critical", incident=True) == []
    assert line.tell(3, None, incident=True) == []
    assert line.tell(80, "critical", incident=True) == [("cleared", "critical"), ("raised", "critical")]


def test_a_trade_after_calm_trades_is_an_incident_of_its_own() -> None:
    """Although the block in which the first one was closed as unusual."""
    line = Line()
    assert line.tell(90, "critical", incident=True, aspect="trade") == [("raised", "critical")]
    assert line.again(75, "warning", incident=True) == []
    assert line.tell(3, None, incident=True, aspect="trade") == []
    assert line.again(90, "critical", incident=True, aspect="trade") == [
        ("cleared", "critical"),
        ("raised", "critical"),
    ]


def test_a_small_incident_does_not_repeat_within_the_cool_down() -> None:
    line = Line()
    assert line.tell(72, "warning", incident=True) == [("raised", "warning")]
    told = []
    for _ in range(20):
        told += line.tell(3, None, incident=True) + line.tell(72, "warning", incident=True)
    assert told == []
    for _ in range(6):
        told += line.tell(3, None, incident=True)
    assert told == [("cleared", "warning")]
    assert line.tell(72, "warning", incident=True) == []


def test_once_is_told_once_and_stands_as_history() -> None:
    line = Line()
    assert line.tell(60, "info", once=True) == [("raised", "info")]
    assert line.tell(60, "info", once=True) == []
    assert line.tell(99, "critical", once=True) == []
    assert line.tell(0, None, once=True) == []
    assert line.standing() == ["info"]
    assert line.tell(60, "info", once=True, key="other", wait=90_000) == [("raised", "info")]
    assert [row.alert.key for row in line.book.standing()] == ["other"]


def test_what_is_below_the_users_severity_is_calm() -> None:
    line = Line(msgspec.structs.replace(Alerts(), min_severity="critical"))
    assert line.tell(50, "warning") == []
    assert line.tell(80, "critical") == [("raised", "critical")]


def test_without_blocks_time_alone_counts() -> None:
    book = AlertBook(Alerts())
    assert [a.state for a in book.update(judgement(50, "warning"), 10.0)] == ["raised"]
    assert [a.state for a in book.update(judgement(1, None), 11.0)] == ["cleared"]


def test_ids_follow_from_content() -> None:
    def ids(score: float, now: float = 5.0) -> list[str]:
        return [a.id for a in AlertBook(Alerts()).update(judgement(score, "warning"), now)]

    assert ids(50) == ids(50)
    assert len({*ids(50), *ids(51), *ids(50, 6.0)}) == 3
    book = AlertBook(Alerts())
    (proved,) = book.update(judgement(50, "warning"), 5.0, finality="finalized", trust="proof")
    assert [proved.id] == ids(50)


def test_standing_is_sorted_and_the_feed_newest_first() -> None:
    line = Line()
    line.tell(50, "warning", key="b")
    line.tell(80, "critical", key="c")
    line.tell(50, "warning", key="a")
    assert [row.alert.key for row in line.book.standing()] == ["c", "a", "b"]
    assert [alert.key for alert in line.book.feed()] == ["a", "c", "b"]
    assert line.book.subjects("liquidation.") == (("p", "0xpool"),)
    assert line.book.subjects("pool.") == ()


def user(action: str, until: str | None = None, key: str = KEY) -> InputFrame:
    return InputFrame(action=action, key=key, until=until)


def test_ack_is_of_this_alert_and_not_of_the_next() -> None:
    line = Line()
    line.tell(50, "warning")
    assert line.book.on_input(user("ack"), line.now)
    assert line.book.standing()[0].acked
    line.tell(1, None)
    line.tell(80, "critical")
    assert not line.book.standing()[0].acked


def test_a_snooze_holds_back_all_but_what_is_worse() -> None:
    line = Line()
    line.tell(50, "warning")
    assert line.book.on_input(user("snooze", "2h"), line.now)
    assert line.book.standing()[0].snoozed_until == line.now + 7200
    assert line.tell(65, "warning") == []
    assert line.tell(75, "critical") == [("worsened", "critical")]
    line = Line()
    line.tell(50, "warning")
    line.book.on_input(user("snooze", "1970-01-12T14:00:00Z"), line.now)
    assert line.tell(1, None) == [("cleared", "warning")]
    assert line.tell(50, "warning", wait=COOL) == []
    assert line.standing() == ["warning"]
    assert line.tell(50, "warning", wait=COOL) == [("raised", "warning")]


def test_inputs_that_mean_nothing_are_refused() -> None:
    line = Line()
    line.tell(50, "warning")
    assert not line.book.on_input(user("ack", key="none"), line.now)
    assert not line.book.on_input(user("snooze", "soon"), line.now)
    assert not line.book.on_input(user("config"), line.now)
    assert line.book.on_input(user("noise"), line.now)
    assert [(j.action, j.alert_id) for j in line.book.judgements()] == [("noise", line.book.standing()[0].alert.id)]


def test_to_disk_and_back_in_mid_life() -> None:
    one, other = Line(), Line()
    for line in (one, other):
        line.tell(50, "warning")
        line.tell(80, "critical", key="b", incident=True)
        line.book.on_input(user("ack"), line.now)
        line.book.on_input(user("snooze", "2h", key="b"), line.now)
        line.book.on_input(user("real"), line.now)
        line.tell(20, None)
    plain = msgspec.json.decode(msgspec.json.encode(one.book.dump()))
    one.book = AlertBook(Alerts())
    one.book.load(plain)
    assert one.book.dump() == other.book.dump()
    for line in (one, other):
        assert line.tell(50, "warning") == []
        assert [alert.state for alert in line.undo()] == []
    assert one.undo() == other.undo()
    assert one.book.standing() == other.book.standing()


@pytest.mark.parametrize("plain", [{}, [], {"slots": 3}, None])
def test_a_damaged_book_is_refused_and_changes_nothing(plain: object) -> None:
    line = Line()
    line.tell(50, "warning")
    with pytest.raises(StoreError, match="cannot be read"):
        line.book.load(plain)
    assert line.standing() == ["warning"]


def test_a_book_of_another_version_is_refused() -> None:
    line = Line()
    with pytest.raises(StoreError, match="version 99"):
        line.book.load({**line.book.dump(), "version": 99})
