"""`defiwatch evaluate`: recordings and labels in; precision, recall, lead time and false alarms a day out.

Beside the whole stand each of its parts removed and two plain baselines, in the same run; and where there are no
labels, what is inserted into a calm recording stands in for them.

    labels      what really happened
    match       alerts held against labels
    altered     the engine with a part removed, or heard while it runs
    rivals      the baselines' alerts on what the engine saw
    insertions  what did not happen, put into a recording
    trials      who finds it, at equal false alarms
    tails       whether tail probabilities are what they say
    words       all of it for people
    command     the command itself
"""

from __future__ import annotations

from defiwatch.commands.evaluate.labels import Label, parse_labels, read_labels
from defiwatch.commands.evaluate.match import LEAD_S, evaluate
from defiwatch.commands.evaluate.results import EVALUATION_SCHEMA, Evaluation, KindResult
from defiwatch.commands.evaluate.words import table

__all__ = [
    "EVALUATION_SCHEMA",
    "LEAD_S",
    "Evaluation",
    "KindResult",
    "Label",
    "evaluate",
    "parse_labels",
    "read_labels",
    "table",
]
