"""Lines of pieces: exact in width, deaf to markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import cut, fit, meter, plain, width_of, wrap

_TEXTS = st.text(max_size=40)


@given(st.lists(_TEXTS, max_size=5), st.integers(1, 60), st.booleans())
def test_a_fitted_line_has_exactly_its_width(texts: list[str], width: int, right: bool) -> None:
    line = tuple((plain(text), "text") for text in texts)
    assert width_of(fit(line, width, right)) == width


@given(_TEXTS, st.integers(1, 30))
def test_a_cut_text_never_outgrows_its_width(text: str, width: int) -> None:
    assert cell_len(cut(plain(text), width)) <= width


@given(st.text(max_size=200), st.integers(2, 40))
def test_wrapped_lines_fit_and_keep_every_letter(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(cell_len(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == plain(text).replace(" ", "")


@pytest.mark.parametrize("width", [0, -3])
def test_where_there_is_no_room_a_text_is_broken_at_every_letter(width: int) -> None:
    assert wrap("ab c", width) == ["a", "b", "c"]


def test_a_line_that_is_cut_says_so_also_where_a_later_piece_is_lost() -> None:
    assert fit((("abc", "text"), ("def", "text")), 3) == (("ab…", "text"),)


@given(st.floats(-2, 3), st.integers(1, 40))
def test_a_meter_is_as_long_as_asked(part: float, width: int) -> None:
    assert width_of(meter(part, width)) == width


def test_a_meter_tells_without_colour() -> None:
    assert "".join(text for text, _ in meter(0.5, 4)) == "━━──"
    assert "".join(text for text, _ in meter(0.625, 4)) == "━━╸─"


def test_plain_takes_out_what_could_steer_a_terminal() -> None:
    assert plain("a\x1b[31mb\u202ec\n") == "abc"
    assert plain("WETH") == "WETH"


@given(st.integers(1, 80), _TEXTS, st.lists(_TEXTS, max_size=4))
def test_a_page_is_never_wider_than_asked(width: int, title: str, texts: list[str]) -> None:
    page = Page(width)
    page.head(plain(title))
    page.facts((text, ((text, "text"),)) for text in texts)
    page.table(("name", "value"), [(((text, "text"),), ((text, "text"),)) for text in texts])
    for text in texts:
        page.text(text, indent=3)
    assert all(width_of(line) <= max(20, width) for line in page.lines)
