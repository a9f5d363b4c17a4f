"""What the keys do."""

from __future__ import annotations

import msgspec
import pytest
from textual.widgets import Footer

from defiwatch.domain.view import PositionRow, Snapshot
from defiwatch.tui.screens.detail import Detail
from defiwatch.tui.screens.help import Help
from defiwatch.tui.screens.snooze import Snooze
from tests.tui.samples import story
from tests.tui.stage import CRASH, StillFeed, dashboard, play, press, screen_text, shown, table


async def test_the_overview_shows_positions_pools_and_alerts_at_once_in_80x24() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        text = screen_text(app)
        for told in ("treasury.eth", "0.968", "-3.3 %", "crvUSD/USDC", "31 % of the value left", "quit"):
            assert told in text
        assert {widget.id for widget in app.screen.query("Table") if widget.size.height} == {
            "positions",
            "standing",
            "pools",
        }


@pytest.mark.parametrize(
    ("key", "titles"),
    [
        ("2", ["Positions"]),
        ("3", ["Pools"]),
        ("4", ["Markets"]),
        ("5", ["Prices and oracles"]),
        ("6", ["Standing alerts", "Changes"]),
        ("7", ["Sources", "Models"]),
    ],
)
async def test_digits_open_the_views(key: str, titles: list[str]) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, key)
        heads = [str(widget.border_title) for widget in app.screen.query("Table")]
        assert len(heads) == len(titles)
        assert all(title in head for title, head in zip(titles, heads, strict=True))
        await press(pilot, "1")
        assert len(app.screen.query("Table")) == 6


async def test_a_view_opened_late_shows_the_newest_picture() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "2", "1")
        app.take(story(CRASH + 1))
        await press(pilot, "2")
        assert app.screen.query_one("#position").picture.snapshot.sequence == CRASH + 1  # type: ignore[attr-defined]


async def test_positions_stand_by_severity_then_the_watched_then_by_distance_and_unknown_ones_last() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "2")
        rows: list[PositionRow] = list(table(app, "position").rows)
        assert (rows[0].severity, rows[0].label, rows[0].watched) == ("critical", "treasury.eth", True)
        assert rows[1].severity == "critical"
        assert not rows[1].watched
        assert rows[1].distance is not None
        assert rows[0].distance is not None
        assert rows[1].distance < rows[0].distance
        told = [row.distance for row in rows if row.distance is not None and row.severity is None and not row.watched]
        assert told == sorted(told)
        assert rows[-1].distance is None


async def test_dust_below_the_line_does_not_hide_what_matters() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        crash = story(CRASH)
        some = crash.positions[-1]
        dust = [
            msgspec.structs.replace(some, key=f"dust{at}", severity=None, watched=False, distance=-0.5 - at, unknown="")
            for at in range(30)
        ]
        app.take(msgspec.structs.replace(crash, sequence=CRASH + 1, positions=(*dust, *crash.positions)))
        await pilot.pause()
        rows: list[PositionRow] = list(table(app, "positions").rows)
        assert [row.severity for row in rows[:2]] == ["critical", "critical"]


async def test_what_somebody_has_in_hand_stands_after_what_nobody_has() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        crash = story(CRASH)
        fresh = [msgspec.structs.replace(row, acked=False, snoozed_until=None) for row in crash.alerts]
        worst = fresh[0]
        acked = (msgspec.structs.replace(worst, acked=True), *fresh[1:])
        app.take(msgspec.structs.replace(crash, sequence=CRASH + 1, alerts=acked))
        await pilot.pause()
        rows = table(app, "standing").rows
        assert rows[-1].alert.key == worst.alert.key
        assert rows[0].alert.key == crash.alerts[1].alert.key
        assert "1 in hand" in str(table(app, "standing").border_title)


async def test_the_cursor_moves_by_arrows_and_letters_and_shows_only_with_the_focus() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        positions = table(app, "positions")
        await press(pilot, "j", "down", "k")
        assert positions.cursor == 1
        await press(pilot, "G")
        assert positions.cursor == len(positions.rows) - 1
        assert positions.scroll_offset.y == len(positions.rows) - (positions.size.height - 1)
        await press(pilot, "g")
        assert (positions.cursor, positions.scroll_offset.y) == (0, 0)
        await press(pilot, "tab")
        assert app.focused is table(app, "standing")


async def test_the_cursor_follows_its_row_and_stays_at_the_top_until_it_is_moved() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot, 10)
        positions = table(app, "positions")
        await press(pilot, "j")
        held = positions.row.key  # type: ignore[union-attr]
        calm = story(10)
        other = [row for row in calm.positions if row.key != held]
        sunk = [
            msgspec.structs.replace(row, distance=0.9, severity=None, watched=False)
            for row in calm.positions
            if row.key == held
        ]
        app.take(msgspec.structs.replace(calm, sequence=11, positions=(*sunk, *other)))
        await pilot.pause()
        assert positions.row.key == held  # type: ignore[union-attr]
        assert positions.cursor > 1
        await press(pilot, "g")
        app.take(story(CRASH))
        await pilot.pause()
        assert positions.cursor == 0


async def test_s_sorts_by_each_column_in_turn_and_comes_back() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        positions = table(app, "positions")
        own = [row.key for row in positions.rows]
        await press(pilot, "s")
        assert [row.label.lower() for row in positions.rows] == sorted(row.label.lower() for row in positions.rows)
        assert "account▴" in shown(positions)[0]
        await press(pilot, "S")
        assert "account▾" in shown(positions)[0]
        await press(pilot, "s", "s", "s", "s")
        debts = [row.debt_usd for row in positions.rows]
        assert debts == sorted(debts, reverse=True)
        await press(pilot, "s", "s", "s", "s")
        assert [row.key for row in positions.rows] == own


async def test_the_filter_narrows_while_typing_and_escape_shows_all() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        positions, pools = table(app, "positions"), table(app, "pools")
        await press(pilot, "slash", *"wsteth")
        assert {row.nearest.split()[0] for row in positions.rows} == {"wstETH"}
        assert [row.label for row in pools.rows] == ["wstETH/WETH"]
        await press(pilot, "enter")
        assert app.focused is positions
        assert "/wsteth" in str(positions.border_title)
        await press(pilot, "slash", "space", *"zzz", "enter")
        assert not positions.rows
        assert "none of 11" in shown(positions)[1]
        await press(pilot, "escape")
        assert len(positions.rows) == 11


async def test_words_of_a_filter_are_not_markup() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "slash", *"[red]x[/", "enter")
        assert "0 of 11 · /[red]x[/" in screen_text(app)


async def test_enter_opens_the_reasons_which_follow_their_row() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 40)) as pilot:
        await play(pilot)
        await press(pilot, "enter")
        text = screen_text(app)
        assert isinstance(app.screen, Detail)
        for told in (
            "treasury.eth",
            "0.968",
            "liq. price",
            "2,234.94",
            "health factor",
            "usual 1.6",
            "+62.0",
            "if nothing is done",
        ):
            assert told in text
        app.take(story(CRASH + 20))
        await pilot.pause()
        assert "1.0" in screen_text(app)
        after = screen_text(app)
        assert "0.968" not in after
        app.take(msgspec.structs.replace(story(CRASH + 21), positions=()))
        await pilot.pause()
        assert "no longer listed" in screen_text(app)
        await press(pilot, "escape")
        assert not isinstance(app.screen, Detail)


async def test_a_page_shows_and_copies_the_row_as_json() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "enter", "v")
        assert '"health_factor": 0.96' in screen_text(app)
        await press(pilot, "y")
        copied = msgspec.json.decode(app.clipboard, type=PositionRow)
        assert copied.label == "treasury.eth"
        await press(pilot, "c")
        assert app.clipboard == copied.account


async def test_ack_snooze_and_judgements_are_sent_as_input_frames() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "a")
        frame = feed.sent[-1]
        assert (frame.action, frame.time) == ("ack", "2026-03-10T12:12:50Z")
        assert frame.key.endswith(":0x12c4aa5fb5c1b8f4f9b1a3a6d0e6f14f3c02b1ab:liquidation")
        await press(pilot, "z")
        assert isinstance(app.screen, Snooze)
        await press(pilot, "2")
        assert (feed.sent[-1].action, feed.sent[-1].until) == ("snooze", "2026-03-10T14:12:50Z")
        await press(pilot, "z", "escape")
        assert len(feed.sent) == 2
        await press(pilot, "6", "n", "r")
        assert [sent.action for sent in feed.sent[2:]] == ["noise", "real"]
        assert feed.sent[2].key == table(app, "alert").rows[0].alert.key


async def test_what_cannot_be_acknowledged_says_so_and_sends_nothing() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await play(pilot)
        await press(pilot, "5", "a")
        assert "a price has no alert" in screen_text(app)
        assert not feed.sent


async def test_from_an_alert_one_gets_to_its_subject() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "6", "enter", "o")
        assert isinstance(app.screen, Detail)
        assert app.screen.kind.name == "pool"
        assert "crvUSD/USDC" in screen_text(app)
        await press(pilot, "2")
        assert not isinstance(app.screen, Detail)


async def test_space_holds_the_picture_and_counts_what_is_missed() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot, 40)
        await press(pilot, "space")
        for step in range(41, CRASH):
            app.take(story(step))
        await pilot.pause()
        text = screen_text(app)
        assert "PAUSED" in text
        assert "12:08:02" in text
        assert "new" in text
        await press(pilot, "space")
        assert "PAUSED" not in screen_text(app)
        assert "12:12:38" in screen_text(app)


async def test_help_and_the_palette_open_and_close() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, Help)
        assert "acknowledge" in screen_text(app)
        await press(pilot, "escape", "colon")
        assert app.screen.id == "--command-palette"
        await press(pilot, "escape")
        assert len(app.screen_stack) == 1


async def test_the_footer_names_the_keys() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        assert app.screen.query_one(Footer).region.height == 1
        last = screen_text(app).splitlines()[-1]
        for told in ("reasons", "sort", "/ filter", "a ack", "z snooze", "space pause", "? help", "q quit"):
            assert told in last


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_one_key_leaves(key: str) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "2", "enter")
        await pilot.press(key)
    assert app.return_code == 0


async def test_t_turns_dark_to_light_and_the_table_is_inked_anew() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        dark = table(app, "positions").render_line(1)
        await press(pilot, "t")
        light = table(app, "positions").render_line(1)
        assert app.theme == "defiwatch-light"
        assert dark.text == light.text
        assert [segment.style for segment in dark] != [segment.style for segment in light]


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light", "nord", "textual-light"])
async def test_other_themes_are_worn(theme: str) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        app.theme = theme
        await pilot.pause()
        assert "treasury.eth" in screen_text(app)


async def test_without_colour_letters_and_signs_still_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = dashboard()
    async with app.run_test(size=(80, 40)) as pilot:
        await play(pilot)
        lines = shown(table(app, "positions"))
        assert lines[1].startswith("C★ treasury.eth")
        assert lines[3].startswith("W")
        assert shown(table(app, "log"))[1].startswith("↶ i")


def _without(snapshot: Snapshot, **rows: object) -> Snapshot:
    return msgspec.structs.replace(snapshot, **rows)


async def test_empty_tables_say_what_is_awaited() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "no position yet: the engine is starting" in screen_text(app)
        warming = _without(story(3), positions=(), pools=())
        app.take(warming)
        await pilot.pause()
        assert "no position yet: warming up on past blocks (base 62 %)" in screen_text(app)
        down = tuple(msgspec.structs.replace(source, state="down") for source in warming.sources)
        calm = tuple(msgspec.structs.replace(chain, warming=None) for chain in warming.chains)
        app.take(_without(warming, sources=down, chains=calm))
        await pilot.pause()
        assert "no pool yet: none of 5 sources answers" in screen_text(app)
        app.take(_without(warming, chains=calm))
        await pilot.pause()
        assert "none of the watched markets has a borrower in sight" in screen_text(app)
