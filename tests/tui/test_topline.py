"""What the top line says of a chain."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.domain.view import ChainRow
from defiwatch.tui.widgets.topline import _chain

ROW = ChainRow("ethereum", 1, 23_000_001, 22_999_989, 1_000.0, "single", 5, 2)


def said(row: ChainRow, *, full: bool) -> str:
    return "".join(text for text, _ in _chain(row, 1_004.0, full=full))


@pytest.mark.parametrize("full", [True, False])
def test_a_gap_behind_the_head_is_told(full: bool) -> None:
    gap = msgspec.structs.replace(ROW, gap=1_234, warming=0.4)
    assert ("1,234" if full else "1234") in said(gap, full=full)
    assert "warming" not in said(gap, full=full)
    assert "missing" not in said(ROW, full=full)
    assert "gap" not in said(ROW, full=full)


def test_without_one_reorgs_and_warming_are_told_as_before() -> None:
    assert said(ROW, full=True).endswith("2 reorgs")
    assert said(msgspec.structs.replace(ROW, warming=0.4), full=True).endswith("warming 40 %")
