"""Labels that strangers wrote draw nothing but letters."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from defiwatch.domain.risk import Alert, Reason
from defiwatch.domain.view import Snapshot
from defiwatch.tui.widgets.table import Table
from tests.tui.samples import story
from tests.tui.stage import dashboard, press, screen_text

HOSTILE = (
    "[bold red]PWNED[/]",
    "[/]]][@click=app.quit]x[/]",
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\tc\r\x00d",
    "\u202egnirts desrever\u2066",
    "z̷̢̛͎̦a̸͖͝lgo" * 3,
    "漢字漢字漢字漢字漢字漢字漢字漢字",
    "👩‍👩‍👧‍👦🏴‍☠️" * 5,
    "\U000e0041\U000e0042invisible\u200b\u200d\ufeff",
    "x" * 100_000,
    "$accent {color} %s \\[x] &amp; <script>",
    "",
)


def _hostile(shift: int) -> Snapshot:
    """Every text of every row replaced by a hostile one, no two neighbours by the same."""
    texts = itertools.cycle((*HOSTILE[shift:], *HOSTILE[:shift]))
    snapshot = story(64)
    replace = msgspec.structs.replace

    def worded(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        return tuple(replace(reason, name=next(texts), text=next(texts)) for reason in reasons)

    def alerted(alert: Alert) -> Alert:
        label = next(texts)
        subject = replace(alert.subject, label=label, id=next(texts), protocol=next(texts), type=next(texts))
        return replace(
            alert,
            title=next(texts),
            kind=next(texts),
            subject=subject,
            reasons=worded(alert.reasons),
            key=next(texts) or "k",
        )

    return replace(
        snapshot,
        mode=next(texts),
        notices=HOSTILE,
        chains=tuple(replace(row, name=next(texts), trust=next(texts)) for row in snapshot.chains),
        pools=tuple(
            replace(
                row,
                label=next(texts),
                protocol=next(texts),
                chain=next(texts),
                source=next(texts),
                unknown=next(texts) if at % 2 else "",
                reasons=worded(row.reasons),
            )
            for at, row in enumerate(snapshot.pools)
        ),
        positions=tuple(
            replace(
                row,
                label=next(texts),
                nearest=next(texts),
                protocol=next(texts),
                source=next(texts),
                market=next(texts),
                trust=next(texts),
                assets=tuple(replace(asset, symbol=next(texts)) for asset in row.assets),
                reasons=worded(row.reasons),
                p_liquidation={next(texts): 0.5},
            )
            for row in snapshot.positions
        ),
        markets=tuple(replace(row, label=next(texts), facts=((next(texts), next(texts)),)) for row in snapshot.markets),
        prices=tuple(replace(row, symbol=next(texts), source=next(texts)) for row in snapshot.prices),
        sources=tuple(
            replace(row, name=next(texts), detail=next(texts), state=next(texts)) for row in snapshot.sources
        ),
        models=tuple(replace(row, name=next(texts), metric=next(texts), note=next(texts)) for row in snapshot.models),
        alerts=tuple(replace(row, alert=alerted(row.alert)) for row in snapshot.alerts),
        feed=tuple(alerted(alert) for alert in snapshot.feed),
    )


@pytest.mark.parametrize(("shift", "size"), [(0, (80, 24)), (1, (160, 45)), (5, (80, 24))])
async def test_hostile_texts_neither_break_lines_nor_steer(shift: int, size: tuple[int, int]) -> None:
    app = dashboard()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.take(_hostile(shift))
        await pilot.pause()
        for key in "1234567":
            await press(pilot, key)
            for widget in app.screen.query(Table):
                for y in range(widget.size.height):
                    drawn = widget.render_line(y)
                    assert drawn.cell_length in (widget.room, widget.size.width)
                    assert drawn.text.isprintable()
                    assert not any(segment.style and segment.style.meta for segment in drawn)
            await press(pilot, "enter")
            screen = screen_text(app)
            assert "\x1b" not in screen
            assert "\u202e" not in screen
            await press(pilot, "v", "escape")
        assert app.is_running


async def test_markup_is_shown_as_it_is_written() -> None:
    snapshot = story(64)
    pools = tuple(msgspec.structs.replace(row, label="[b]x[/b]") for row in snapshot.pools)
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.take(msgspec.structs.replace(snapshot, pools=pools))
        await press(pilot, "3")
        assert "[b]x[/b]" in screen_text(app)
