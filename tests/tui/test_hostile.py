"""Labels that strangers wrote draw nothing but letters."""

from __future__ import annotations

import msgspec
import pytest

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


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_hostile_texts_neither_break_lines_nor_steer(text: str, size: tuple[int, int]) -> None:
    snapshot = story(64)
    replace = msgspec.structs.replace
    alert = replace(
        snapshot.feed[0],
        title=text,
        kind=text,
        key=text or "k",
        subject=replace(snapshot.feed[0].subject, label=text, id=text, protocol=text),
        reasons=tuple(replace(reason, name=text, text=text) for reason in snapshot.feed[0].reasons),
    )
    snapshot = replace(
        snapshot,
        mode=text,
        notices=(text,),
        chains=tuple(replace(row, name=text, trust=text) for row in snapshot.chains),
        pools=tuple(
            replace(
                row,
                label=text,
                protocol=text,
                chain=text,
                source=text,
                unknown=text if at else "",
                reasons=tuple(replace(reason, name=text, text=text) for reason in row.reasons),
            )
            for at, row in enumerate(snapshot.pools)
        ),
        positions=tuple(
            replace(
                row,
                label=text,
                nearest=text,
                protocol=text,
                source=text,
                market=text,
                trust=text,
                assets=tuple(replace(asset, symbol=text) for asset in row.assets),
                p_liquidation={text: 0.5},
            )
            for row in snapshot.positions
        ),
        markets=tuple(replace(row, label=text, facts=((text, text),)) for row in snapshot.markets),
        prices=tuple(replace(row, symbol=text, source=text) for row in snapshot.prices),
        sources=tuple(replace(row, name=text, detail=text, state=text) for row in snapshot.sources),
        models=tuple(replace(row, name=text, metric=text, note=text) for row in snapshot.models),
        alerts=tuple(replace(row, alert=alert) for row in snapshot.alerts[:1]),
        feed=(alert, *snapshot.feed[1:]),
    )
    app = dashboard()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.take(snapshot)
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
