"""Labels against alerts: what finds, what is missed, what is false, and the lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.commands.evaluate import EVALUATION_SCHEMA, Evaluation, evaluate, parse_labels, read_labels, table
from defiwatch.domain.frames import BlockFrame, Frame, Header, QuoteFrame, RawLog, TickFrame
from defiwatch.domain.risk import Alert, Evidence, State, Subject
from defiwatch.domain.units import iso
from defiwatch.errors import UsageError

HOUR = 3600.0
POOL = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"


def alert(
    at: float, state: State = "raised", *, kind: str = "pool.anomaly", key: str = "k", label: str = "USDC/WETH 0.05%"
) -> Alert:
    return Alert(
        id=f"{key}{at}{state}",
        key=key,
        state=state,
        kind=kind,
        severity="warning",
        score=80.0,
        time=iso(at),
        title="",
        subject=Subject("pool", 1, "uniswap_v3", f"0xmarket:{POOL}", label),
        reasons=(),
        evidence=Evidence(),
        finality="head",
        trust="single",
    )


def stream(*alerts: Alert, span: float = 86_400.0) -> Iterator[tuple[Frame, Sequence[Alert]]]:
    """A day of two blocks with a log each and one quote; the alerts come with the first."""
    log = RawLog("0x0", ("0x1",))
    yield BlockFrame(1, Header("0x1", hex(0)), (log, log)), alerts
    yield QuoteFrame("v", "ETH", "USD", "1", iso(5.0)), ()
    yield BlockFrame(1, Header("0x2", hex(int(span))), (log,)), ()
    yield TickFrame(iso(span)), ()


def label(kind: str, start: float, end: float, subject: str = "") -> str:
    line = {"kind": kind, "from": iso(start), "to": iso(end)} | ({"subject": subject} if subject else {})
    return msgspec.json.encode(line).decode()


def held(labels: list[str], *alerts: Alert, **more: float) -> Evaluation:
    return evaluate(stream(*alerts), parse_labels("\n".join(labels), "labels.jsonl"), clock=None, **more)


def test_found_missed_and_false() -> None:
    result = held(
        [label("pool.anomaly", 10 * HOUR, 11 * HOUR), label("pool.anomaly", 20 * HOUR, 21 * HOUR, "USDC/WETH 0.05%")],
        alert(9.5 * HOUR, key="a"),
        alert(10.5 * HOUR, key="b"),
        alert(15 * HOUR, key="c"),
        alert(15.1 * HOUR, "worsened", key="c"),
        *(alert(16 * HOUR, "cleared", key=key) for key in "abc"),
    )
    kind = result.kinds["pool.anomaly"]
    assert (kind.labels, kind.found, kind.alerts, kind.false) == (2, 1, 3, 1)
    assert kind.missed == ("USDC/WETH 0.05% (labels.jsonl:2)",)
    assert kind.lead_s is not None
    assert (kind.lead_s.median, kind.lead_s.min) == (1800.0, 1800.0)
    assert kind.precision == pytest.approx(2 / 3)
    assert kind.recall == 0.5
    assert kind.false_per_day == pytest.approx(1.0)
    assert (result.schema, result.events, result.span_days) == (EVALUATION_SCHEMA, 4, 1.0)
    assert result.events_per_s is None


def test_lead_is_negative_after_the_beginning_and_its_median_is_over_labels() -> None:
    kind = held(
        [label("pool.anomaly", t * HOUR, (t + 1) * HOUR) for t in (2, 6, 10)],
        alert(2.5 * HOUR, key="a"),
        alert(6.25 * HOUR, key="b"),
        alert(9.75 * HOUR, key="c"),
    ).kinds["pool.anomaly"]
    assert kind.lead_s is not None
    assert (kind.lead_s.median, kind.lead_s.min) == (-900.0, -1800.0)


def test_the_lead_window_and_what_still_stands() -> None:
    wanted = [label("pool.anomaly", 10 * HOUR, 11 * HOUR, "WETH")]
    early = alert(8 * HOUR)
    assert held(wanted, early).kinds["pool.anomaly"].found == 1
    assert held([label("pool.anomaly", 10 * HOUR, 11 * HOUR)], early).kinds["pool.anomaly"].found == 0
    assert held(wanted, early, alert(9 * HOUR, "cleared")).kinds["pool.anomaly"].found == 0
    assert held(wanted, early, alert(9 * HOUR, "cleared"), lead=2 * HOUR).kinds["pool.anomaly"].found == 1
    assert held(wanted, alert(11.01 * HOUR)).kinds["pool.anomaly"].found == 0
    assert held(wanted, alert(11 * HOUR)).kinds["pool.anomaly"].found == 1


def test_what_a_reorg_retracted_counts_for_nothing() -> None:
    wanted = [label("pool.anomaly", 10 * HOUR, 11 * HOUR)]
    kind = held(wanted, alert(10.2 * HOUR), alert(10.3 * HOUR, "retracted")).kinds["pool.anomaly"]
    assert (kind.found, kind.alerts, kind.false, kind.precision) == (0, 0, 0, None)
    over = held(wanted, alert(10.2 * HOUR), alert(10.25 * HOUR, "cleared"), alert(10.3 * HOUR, "retracted"))
    assert over.kinds["pool.anomaly"].alerts == 0


@pytest.mark.parametrize(
    "subject", ["", POOL, POOL.upper().replace("0X", "0x"), f"0xmarket:{POOL}", "WETH", "usdc", "USDC/WETH 0.05%"]
)
def test_subjects_that_are_meant(subject: str) -> None:
    assert held([label("pool.anomaly", 0, HOUR, subject)], alert(60.0)).kinds["pool.anomaly"].found == 1


@pytest.mark.parametrize("subject", ["DAI", "0x88e6", "WET", "0.05%"])
def test_subjects_that_are_not_meant(subject: str) -> None:
    assert held([label("pool.anomaly", 0, HOUR, subject)], alert(60.0)).kinds["pool.anomaly"].found == 0


def test_a_star_stands_for_every_kind_below() -> None:
    result = held(
        [label("pool.*", 0, HOUR), label("price.depeg", 0, HOUR)],
        alert(60.0, kind="pool.drain", key="a"),
        alert(70.0, kind="source.silent", key="b"),
    )
    assert set(result.kinds) == {"pool.*", "price.depeg", "source.silent"}
    assert (result.kinds["pool.*"].found, result.kinds["pool.*"].alerts) == (1, 1)
    assert (result.kinds["price.depeg"].found, result.kinds["price.depeg"].precision) == (0, None)
    silent = result.kinds["source.silent"]
    assert (silent.labels, silent.alerts, silent.false, silent.precision, silent.recall) == (0, 1, 1, 0.0, None)


def test_an_alert_that_finds_a_broader_label_is_not_false_in_the_narrower_row() -> None:
    result = held(
        [label("pool.*", 0, HOUR), label("pool.anomaly", 9 * HOUR, 10 * HOUR)], alert(60.0), alert(61.0, "cleared")
    )
    assert result.kinds["pool.anomaly"].false == 0
    assert result.kinds["pool.*"].false == 0


def test_labels_that_one_source_tells_are_scored_apart() -> None:
    unsure = label("pool.anomaly", 5 * HOUR, 6 * HOUR).replace('{"kind"', '{"status":"unconfirmed","kind"', 1)
    missed = label("pool.anomaly", 20 * HOUR, 21 * HOUR).replace('{"kind"', '{"status":"unconfirmed","kind"', 1)
    result = held(
        [label("pool.anomaly", 0, HOUR), unsure, missed],
        alert(60.0, key="a"),
        alert(5.5 * HOUR, key="b"),
        alert(12 * HOUR, key="c"),
    ).kinds["pool.anomaly"]
    assert (result.labels, result.found, result.alerts, result.false, result.precision) == (1, 1, 3, 1, 0.5)
    assert result.unconfirmed is not None
    assert (result.unconfirmed.labels, result.unconfirmed.found, result.unconfirmed.alerts) == (2, 1, 1)
    assert len(result.unconfirmed.missed) == 1


def test_events_a_second_come_from_the_clock_alone() -> None:
    ticks = iter([10.0, 12.0])
    assert evaluate(stream(), (), clock=lambda: next(ticks)).events_per_s == 2.0
    assert evaluate(iter(()), (), clock=None) == Evaluation(EVALUATION_SCHEMA, 0, None, 0.0, {})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "expected one JSON object a line"),
        ('{"kind":"a","from":"2026-01-01"}', "missing required field `to`"),
        ('{"kind":"a","from":"x","to":"2026-01-01"}', "from: expected a time such as"),
        ('{"kind":"a","from":"2026-01-02","to":"2026-01-01"}', "to: expected a time not before"),
        ('{"kind":"","from":"2026-01-01","to":"2026-01-01"}', "kind: expected a kind of alert"),
        ('{"kind":"p*.x","from":"2026-01-01","to":"2026-01-01"}', "kind: expected a kind of alert"),
        ("[]", "Expected `object`"),
    ],
)
def test_a_bad_label_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(label("a", 0, 1) + "\n\n" + line + "\n")
    with pytest.raises(UsageError) as told:
        read_labels(file)
    assert str(told.value).startswith(f"{file}:3: ")
    assert says in str(told.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_labels(tmp_path / "binary")


def test_the_table_for_people() -> None:
    text = table(held([label("pool.anomaly", 10 * HOUR, 11 * HOUR, "DAI")], alert(9.5 * HOUR)))
    assert "4 events over 1.00 days" in text
    assert "pool.anomaly" in text
    assert "0 %" in text
    assert "missed:\n  pool.anomaly: DAI (labels.jsonl:1)" in text


TIMES = st.floats(0, 86_400).map(round)


@given(
    spans=st.lists(st.tuples(TIMES, st.integers(0, 7200)), max_size=6),
    raised=st.lists(TIMES, max_size=12),
)
def test_counts_agree(spans: list[tuple[int, int]], raised: list[int]) -> None:
    labels = [label("pool.anomaly", start, start + length) for start, length in spans]
    result = held(labels, *(alert(t, key=str(i)) for i, t in enumerate(raised)))
    if not labels and not raised:
        assert result.kinds == {}
        return
    kind = result.kinds["pool.anomaly"]
    assert kind.found + len(kind.missed) == kind.labels == len(labels)
    assert kind.alerts == len(raised)
    assert 0 <= kind.false <= kind.alerts
    late = [t for t in raised if not any(start - HOUR <= t <= start + length for start, length in spans)]
    assert kind.false == len(late)
