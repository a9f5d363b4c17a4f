"""Pictures of the screen, as SVG. `--snapshot-update` takes them anew; look at each one then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from tests.tui.samples import story
from tests.tui.stage import CRASH, dashboard, play, press

TAKEN_WITH = {"textual": "8.2.8", "rich": "15.0.0"}
"""Another version may draw a border or escape a colour otherwise; the other tests of this folder hold with any."""

OTHER = [f"{name} {version(name)}" for name, taken in TAKEN_WITH.items() if version(name) != taken]

pytestmark = pytest.mark.skipif(
    bool(OTHER), reason=f"pictures were taken with {TAKEN_WITH}, not with {', '.join(OTHER)}"
)

SCENES: dict[str, tuple[str, ...]] = {
    "overview": (),
    "positions": ("2",),
    "position-page": ("2", "j", "enter"),
    "pool-page": ("3", "enter"),
    "alerts": ("6",),
    "sources": ("7",),
    "help": ("question_mark",),
}
"""What to press for each picture."""

SMALL, WIDE = (80, 24), (160, 45)
TRAIL = 47
"""Steps that fill the trails."""

Compare = Callable[..., bool]
Scene = Callable[[Pilot[Any]], Awaitable[None]]


def _scene(*keys: str, until: int = 64) -> Scene:
    async def act(pilot: Pilot[Any]) -> None:
        await play(pilot, until, max(0, until - TRAIL))
        await press(pilot, *keys)

    return act


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "160x45"])
@pytest.mark.parametrize("name", SCENES)
def test_scenes(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard(), terminal_size=size, run_before=_scene(*SCENES[name]))


def test_light(snap_compare: Compare) -> None:
    assert snap_compare(dashboard(theme="defiwatch-light"), terminal_size=SMALL, run_before=_scene())


def test_no_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(dashboard(), terminal_size=SMALL, run_before=_scene())


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "160x45"])
def test_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard(), terminal_size=size)


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "160x45"])
def test_stale_and_unknown(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await play(pilot, 20, 0)
        late = story(20)
        pilot.app.take(msgspec.structs.replace(late, time=late.time + 4000.0))  # type: ignore[attr-defined]
        await press(pilot, "2", "G")

    assert snap_compare(dashboard(), terminal_size=size, run_before=act)


def test_filter(snap_compare: Compare) -> None:
    assert snap_compare(dashboard(), terminal_size=SMALL, run_before=_scene("slash", "w", "e", "t", "h"))


def test_snooze(snap_compare: Compare) -> None:
    assert snap_compare(dashboard(), terminal_size=SMALL, run_before=_scene("z"))


def test_stopped(snap_compare: Compare) -> None:
    async def act(pilot: Pilot[Any]) -> None:
        await play(pilot, since=CRASH - TRAIL)
        pilot.app._feed.on_end("no source could be reached: wss://mainnet.example/*** refused", 3)  # type: ignore[attr-defined]
        await pilot.pause()

    assert snap_compare(dashboard(), terminal_size=SMALL, run_before=act)
