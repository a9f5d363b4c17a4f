from __future__ import annotations

from defiwatch.commands.models import table
from defiwatch.domain.view import ModelRow


def test_a_table_with_aligned_columns() -> None:
    rows = (
        ModelRow("forest", "pool", 1234, "AUC", 0.9123456, "young", 21.54),
        ModelRow("running statistics", "feed", 7, "coverage", None),
    )
    assert table(rows) == [
        "model               kind  events  metric     value  µs/event",
        "forest              pool   1,234  AUC       0.9123      21.5  young",
        "running statistics  feed       7  coverage       -         -",
    ]
