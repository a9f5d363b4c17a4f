from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, InputFrame, ReadsFrame, TickFrame, encode
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import iso
from defiwatch.domain.view import Snapshot
from defiwatch.errors import RecordingError, SourceError
from defiwatch.session import Pace, Parts, Session, Stop, run
from defiwatch.sinks.history import FILE_NAME, Store
from defiwatch.sinks.outlets import Outlets
from defiwatch.sinks.picture import read_picture
from tests.unit.cli.fakes import FakeEngine, inputs, parts, recording, replay
from tests.unit.sinks.samples import START, alert, block, header


class Ear:
    """Listens; wants a snapshot when `wanted` says so."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.notices: list[str] = []
        self.snapshots: list[Snapshot] = []
        self.ends: list[Snapshot] = []
        self.times: list[float] = []
        self.wanted: Callable[[float, float], bool] = lambda _wall, _frames: False
        self.heard: Callable[[Alert], None] = lambda _: None

    def on_alert(self, item: Alert) -> None:
        self.alerts.append(item)
        self.heard(item)

    def on_notice(self, text: str) -> None:
        self.notices.append(text)

    def due(self, wall: float, frames: float) -> bool:
        self.times.append(frames)
        return self.wanted(wall, frames)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def on_end(self, snapshot: Snapshot) -> None:
        self.ends.append(snapshot)


def made(
    ear: Ear, *, outlets: Outlets | None = None, stop: Stop | None = None, picture: Path | None = None, door: Parts
) -> Session:
    return Session(
        Config(),
        mode="live",
        listener=ear,
        outlets=outlets or Outlets(),
        stop=stop or Stop(),
        picture=picture,
        parts=door,
    )


def engine_of(session: Session) -> FakeEngine:
    assert isinstance(session.engine, FakeEngine)
    return session.engine


def kept(tmp_path: Path) -> Outlets:
    return Outlets.open(data_dir=tmp_path, sinks=None, record=None, force=False, tell=print)


# Replays.


def test_a_replay_tells_every_alert_and_the_end(tmp_path: Path) -> None:
    ear = Ear()
    session = made(ear, door=parts())
    session.replay([recording(tmp_path / "r.gz", 4)], speed=None)
    assert [(a.key, a.state) for a in ear.alerts] == [
        ("k2", "raised"),
        ("k2", "cleared"),
        ("k4", "raised"),
        ("finish", "raised"),
    ]
    assert (session.frames, session.alerts) == (5, 4)
    assert [s.sequence for s in ear.ends] == [5]


def test_a_replay_of_several_files_is_one(tmp_path: Path) -> None:
    ear = Ear()
    session = made(ear, door=parts())
    session.replay([recording(tmp_path / "a.gz", 3), recording(tmp_path / "b.gz", 3, first=4)], speed=None)
    numbers = [int(f.header.number, 16) for f in engine_of(session).fed if isinstance(f, BlockFrame)]
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_a_replay_keeps_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(Pace, "__init__", _paced(lambda: now[0]))
    fed: list[tuple[int, float]] = []
    ear = Ear()
    ear.heard = lambda item: fed.append((int(item.id[3:]), round(now[0] - 100.0, 3)))
    session = made(ear, door=parts())
    session.replay([recording(tmp_path / "r.gz", 6)], speed=24.0)
    assert fed[:5] == [(2, 0.5), (3, 1.0), (4, 1.5), (5, 2.0), (6, 2.5)], "a block of 12 s takes half a second"


def _paced(wall: Callable[[], float]) -> Callable[..., None]:
    original = Pace.__init__

    def init(self: Pace, speed: float | None) -> None:
        original(self, speed, wall)

    return init


def test_pace() -> None:
    now = [10.0]
    pace = Pace(2.0, lambda: now[0])
    assert pace.delay(None) == 0.0
    assert pace.delay(1000.0) == 0.0
    assert pace.delay(1006.0) == 3.0
    now[0] = 12.5
    assert pace.delay(1006.0) == 0.5
    assert pace.delay(900.0) < 0
    assert Pace(None).delay(1e12) == 0.0


def test_what_the_user_does_while_a_replay_waits_is_taken_at_once(tmp_path: Path) -> None:
    ear, stop = Ear(), Stop()
    session = made(ear, stop=stop, door=parts())
    ear.wanted = lambda _, frames: frames >= START + 24 and not inputs(engine_of(session))

    def act(snapshot: Snapshot) -> None:
        session.send(InputFrame(action="ack", key="k2", time=iso(START)))

    ear.on_snapshot = act  # type: ignore[method-assign]
    worker = threading.Thread(target=lambda: session.replay([recording(tmp_path / "r.gz", 50)], speed=1.0))
    worker.start()
    deadline = time.monotonic() + 20
    while not inputs(engine_of(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    worker.join(20)
    assert not worker.is_alive(), "a replay at its own speed must stop at once"
    assert inputs(engine_of(session)) == ["k2"]
    assert "finish" not in [a.key for a in ear.alerts], "a replay that was stopped did not end"


def test_a_replay_of_its_first_seconds(tmp_path: Path) -> None:
    ear = Ear()
    session = made(ear, door=parts())
    session.replay([recording(tmp_path / "r.gz", 50)], speed=None, duration=36.0)
    assert [a.id for a in ear.alerts] == ["id-2", "id-3", "id-4", "id-999"]


def test_snapshots_by_the_frames_time_see_the_state_before_it(tmp_path: Path) -> None:
    ear = Ear()
    session = made(ear, door=parts())
    ear.wanted = lambda _, frames: frames == START + 36
    session.replay([recording(tmp_path / "r.gz", 5)], speed=None)
    assert [s.sequence for s in ear.snapshots] == [3], "header and two blocks: the third is not applied yet"


def test_a_replay_goes_by_its_blocks_and_not_by_ticks_of_another_day(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    far = TickFrame(time=iso(START + 300 * 86_400))
    told = [header(), far, *(frame for n in range(1, 5) for frame in (block(n), far))]
    path.write_bytes(gzip.compress(b"".join(encode(frame) + b"\n" for frame in told), mtime=0))
    ear = Ear()
    session = made(ear, door=parts())
    session.replay([path], speed=None)
    assert ear.times[2:] == [START + 12.0 * n for n in (1, 1, 2, 2, 3, 3, 4, 4)], "the first tick knows no block yet"


def test_events_a_second_count_what_a_block_brought_once_the_clock_has_moved(tmp_path: Path) -> None:
    ear = Ear()
    session = made(ear, door=parts())
    ear.wanted = lambda _wall, _frames: True
    engine = engine_of(session)
    engine.events = lambda: 24 * sum(isinstance(frame, BlockFrame) for frame in engine.fed)  # type: ignore[method-assign]
    rates: list[float] = []

    def note(snapshot: Snapshot) -> None:
        rates.append(engine.events_per_s)

    ear.on_snapshot = note  # type: ignore[method-assign]
    path = tmp_path / "r.gz"
    read = ReadsFrame(chain_id=1, block="0x1", calls=())
    told = [header(), *(frame for n in range(1, 5) for frame in (block(n), read))]
    path.write_bytes(gzip.compress(b"".join(encode(frame) + b"\n" for frame in told), mtime=0))
    session.replay([path], speed=None)
    assert rates[-1] == 2.0


def test_a_recording_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "r.gz").write_text("hello")
    ear = Ear()
    with pytest.raises(RecordingError):
        made(ear, door=parts()).replay([tmp_path / "r.gz"], speed=None)
    assert ear.ends == []


# Live.


def test_a_live_run_records_keeps_and_tells(tmp_path: Path) -> None:
    ear = Ear()
    recorded: list[Frame] = []

    class Tape(Outlets):
        def frame(self, frame: Frame) -> None:
            recorded.append(frame)

    session = made(ear, outlets=Tape(), picture=tmp_path / "data", door=parts())
    session.live(lookback=17, duration=None, once=True)
    assert isinstance(recorded[0], HeaderFrame)
    assert recorded[1:] == engine_of(session).fed
    assert ear.notices == ["lookback 17"]
    assert [a.id for a in ear.alerts] == ["id-2", "id-3", "id-4"]
    assert read_picture(tmp_path / "data") == ear.ends[0]


def test_a_live_run_ends_when_asked() -> None:
    ear, stop = Ear(), Stop()
    session = made(ear, stop=stop, door=parts(blocks=2))
    ear.heard = lambda _: stop.set()
    session.live(lookback=0, duration=None, once=False)
    assert len(ear.ends) == 1


def test_a_stop_before_the_start_ends_it() -> None:
    ear, stop = Ear(), Stop()
    stop.set()
    made(ear, stop=stop, door=parts(blocks=1)).live(lookback=0, duration=None, once=False)
    assert len(ear.ends) == 1


def test_an_unreachable_source_is_raised_with_its_notices() -> None:
    ear = Ear()
    session = made(ear, door=parts(unreachable=True))
    session.tell("a sink says")
    with pytest.raises(SourceError, match="no source"):
        session.live(lookback=0, duration=None, once=False)
    assert ear.notices == ["a sink says"]
    assert ear.ends == []


def test_a_fault_of_a_listener_ends_the_run() -> None:
    ear = Ear()

    def broken(wall: float, frames: float) -> bool:
        raise ZeroDivisionError

    ear.wanted = broken
    with pytest.raises(ZeroDivisionError):
        made(ear, door=parts()).live(lookback=0, duration=None, once=False)


def test_what_was_said_before_and_meanwhile_reaches_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "INBOX_S", 0.01)
    with Store(tmp_path / FILE_NAME) as store:
        store.append([alert(1, key="old")])
        store.add_input(InputFrame(action="ack", key="old", time=iso(START + 5)), "command")
    outlets = kept(tmp_path)
    ear, stop = Ear(), Stop()
    session = made(ear, outlets=outlets, stop=stop, door=parts(blocks=1))
    worker = threading.Thread(target=lambda: session.live(lookback=0, duration=None, once=False))
    worker.start()
    deadline = time.monotonic() + 20

    def wait_for(*keys: str) -> None:
        while inputs(engine_of(session)) != list(keys) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert inputs(engine_of(session)) == list(keys)

    wait_for("old")
    assert engine_of(session).fed[0] == InputFrame(action="ack", key="old", time=iso(START + 5))
    with Store(tmp_path / FILE_NAME) as store:
        store.add_input(InputFrame(action="ack", key="elsewhere", time=iso(START)), "command")
    wait_for("old", "elsewhere")
    session.send(InputFrame(action="ack", key="here", time=iso(START)))
    wait_for("old", "elsewhere", "here")
    stop.set()
    worker.join(20)
    outlets.close()
    with Store(tmp_path / FILE_NAME) as store:
        assert [frame.key for _, frame in store.inputs()] == ["old", "elsewhere", "here"]


def test_notices_of_sinks_are_the_engines_too() -> None:
    ear = Ear()
    session = made(ear, door=parts())
    session.tell("history: disk is full")
    session.live(lookback=1, duration=None, once=True)
    assert sorted(ear.notices) == sorted(engine_of(session).told) == ["history: disk is full", "lookback 1"]


def test_stop_listeners() -> None:
    stop = Stop()
    heard: list[str] = []

    def first() -> None:
        heard.append("first")

    def second() -> None:
        heard.append("second")

    stop.listen(first)
    stop.listen(second)
    stop.forget(second)
    stop.set()
    stop.listen(second)
    assert heard == ["first", "second"]


class Notes:
    """A keeper that notes after how many frames it was asked to keep the state, and whether a block was midway."""

    def __init__(self, engine: FakeEngine, _folder: Path) -> None:
        self.engine = engine
        self.saves: list[tuple[int, bool]] = []

    def open(self) -> None:
        pass

    def save(self) -> None:
        self.saves.append((len(self.engine.fed), self.engine.midway))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("late", [30.0, 0.0])
def test_the_state_is_kept_between_two_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, late: float) -> None:
    keepers: list[Notes] = []

    def keeper(engine: FakeEngine, folder: Path) -> Notes:
        keepers.append(Notes(engine, folder))
        return keepers[0]

    async def run_live(engine: FakeEngine, **_: object) -> None:
        for number in range(1, 7):
            engine.feed(block(number))
            engine.midway = number % 3 != 0

    monkeypatch.setattr(run, "KEEP_S", 0.0)
    monkeypatch.setattr(run, "OVERDUE_S", late)
    door = Parts(engine=FakeEngine, run_live=run_live, replay=replay, keeper=keeper)
    made(Ear(), picture=tmp_path, door=door).live(lookback=0, duration=None, once=False)
    during = keepers[0].saves[:-1]
    assert (3, False) in during
    assert any(midway for _, midway in during) is (late == 0.0)
