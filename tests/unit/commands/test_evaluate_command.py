"""The command as a whole, on small frames of quotes and pools; and what its parts promise."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import jsonschema
import msgspec
import pytest

from defiwatch.cli.options import INSERTIONS
from defiwatch.commands.evaluate import Evaluation, table
from defiwatch.commands.evaluate.altered import Step
from defiwatch.commands.evaluate.command import Asked, evaluated, run, within
from defiwatch.commands.evaluate.insertions import KINDS, LASTING, Plan, insert_quotes
from defiwatch.commands.evaluate.labels import Label
from defiwatch.commands.evaluate.rivals import COOL_DOWN_S, Point, alarms, points
from defiwatch.commands.evaluate.tails import LEAST, calibration, interval, shares
from defiwatch.commands.schema import schema
from defiwatch.config import Config
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Subject
from defiwatch.domain.units import iso
from defiwatch.errors import UsageError
from defiwatch.models.baselines import ZScores
from tests.convert import header_frame, write_recording

BEGIN = 1_700_000_000


def quotes(n: int = 600, *, symbols: tuple[str, ...] = ("USDC", "DAI"), seed: int = 1) -> list[Frame]:
    """Hourly prices of pegged assets, a tenth of a per cent around 1."""
    draw = random.Random(seed)
    frames: list[Frame] = [header_frame({})]
    for i in range(n):
        for symbol in symbols:
            price = 1.0 + 0.001 * draw.gauss(0.0, 1.0)
            frames.append(QuoteFrame("venue", symbol, "USD", f"{price:.6f}", iso(BEGIN + 3600 * i)))
    return frames


def test_what_is_inserted_into_quotes_is_found_and_the_baselines_stand_beside() -> None:
    asked = Asked(insert=("price_move",), sizes=(0.05,), times=4, ablate=True, baselines=True)
    result = evaluated(Config(), quotes(), (), asked)
    kind = result.kinds["price.*"]
    assert kind.groups == {"price_move 5 %": (kind.found, 4)}
    assert (kind.found, kind.labels) == (4, 4)
    assert set(result.others) == {
        "without band",
        "without lasting",
        "without glitches",
        "weighted z-score",
        "plain half-space trees",
    }
    assert all(other["price.*"].labels == 4 for other in result.others.values())
    assert all(result.others[name]["price.*"].false <= kind.false for name in list(result.others)[3:])
    assert result.trials is None


def test_json_is_what_the_schema_says_and_the_table_names_everything(tmp_path: Path) -> None:
    path, labels = tmp_path / "r.gz", tmp_path / "l.jsonl"
    write_recording(path, quotes(2600))
    span = {"from": iso(BEGIN + 36_000), "to": iso(BEGIN + 72_000)}
    lines = [
        {"kind": "price.depeg", "subject": "USDC", **span},
        {"kind": "price.*", "from": "2001-01-01", "to": "2001-01-02"},
    ]
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = Asked(baselines=True, calibration=True)
    said: list[str] = []
    text = run(Config(), [path], [labels], asked, as_json=True, say=said.append)
    made = json.loads(text)
    jsonschema.Draft202012Validator(schema("evaluation")).validate(made)
    assert made["schema"] == "defiwatch.evaluation/1"
    assert made["kinds"]["price.depeg"]["labels"] == 1
    assert said == ["1 of 2 labels are of another time than the recordings: left out"]
    assert [row["alpha"] for row in made["calibration"]["series episodes"]] == [0.1, 0.05, 0.02]
    printed = table(msgspec.json.decode(text, type=Evaluation))
    for word in ("price.depeg", "weighted z-score", "plain half-space trees", "series episodes", "by label"):
        assert word in printed


def test_the_same_frames_print_the_same_but_for_the_speed() -> None:
    asked = Asked(insert=("price_move",), baselines=True, times=2)
    one, two = (evaluated(Config(), quotes(300), (), asked) for _ in range(2))
    assert (one.kinds, one.others, one.trials) == (two.kinds, two.others, two.trials)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(insert=("wash",)), "nothing in these recordings that it could go into"),
        (Asked(insert=("drain",), sizes=(1.5,)), "below 100 % for a drain, got drain 150 %"),
    ],
)
def test_what_cannot_be_put_in_is_refused(asked: Asked, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        evaluated(Config(), quotes(40), (), asked)


def test_the_command_line_knows_the_insertions_there_are() -> None:
    assert INSERTIONS == KINDS


def test_labels_of_another_time_are_left_out() -> None:
    frames = quotes(10)
    inside = Label(kind="price.*", start=BEGIN + 3600.0, end=BEGIN + 7200.0)
    outside = Label(kind="price.*", start=0.0, end=BEGIN - 1.0)
    assert within(frames, (inside, outside)) == (inside,)


def test_a_moved_quote_lasts_and_the_rest_is_as_it_was() -> None:
    frames = quotes(400)
    moved, inserted = insert_quotes(frames, [Plan("price_move", 0.1)], 5, times=3)
    assert len(inserted) == 3
    changed = [(a, b) for a, b in zip(frames, moved, strict=True) if a != b]
    assert len(changed) == 3 * LASTING
    for before, after in changed:
        assert isinstance(before, QuoteFrame)
        assert isinstance(after, QuoteFrame)
        ratio = float(after.price) / float(before.price)
        assert min(abs(ratio - 1.1), abs(ratio - 1 / 1.1)) < 1e-6


# Baselines' alerts.

WHO = Subject("pool", 1, "p", "a", "A")


def test_a_baselines_alert_stands_until_the_score_is_below_and_is_told_again_after_a_pause() -> None:
    scores = [(0, 9.0), (10, 9.0), (20, 1.0), (30, 9.0), (30 + COOL_DOWN_S, 9.0), (40 + COOL_DOWN_S, 1.0)]
    said = [Point(WHO, float(time), score) for time, score in scores]
    found = alarms(said, 5.0, "pool.anomaly")
    assert [(item.time, item.until) for item in found] == [(0.0, 20.0), (30.0 + COOL_DOWN_S, 40.0 + COOL_DOWN_S)]
    assert alarms(said, 9.0, "pool.anomaly") == []


def test_of_one_moment_only_the_highest_score_counts() -> None:
    def obs(time: int, value: float) -> Observation:
        return Observation(WHO, "k", {"x": value}, BlockRef(1, 1, "", time))

    steps = [Step(obs(i, 1.0 + 0.1 * (i % 3)), learn=True) for i in range(60)]
    steps += [Step(obs(100, 1.1), learn=False), Step(obs(100, 9.0), learn=False), Step(obs(100, 1.0), learn=False)]
    (point,) = points(steps, ZScores())
    assert point.score > 10.0


# Calibration.


def test_shares_are_told_where_enough_are_due_and_hold_what_is_true() -> None:
    draw = random.Random(7)
    tails = [draw.random() for _ in range(20_000)]
    rows = shares(tails)
    assert [row.alpha for row in rows] == [0.1, 0.05, 0.02, 0.01, 0.005]
    for row in rows:
        assert row.n * row.alpha >= LEAST
        assert row.low <= row.alpha <= row.high
    assert shares(tails[:900]) == ()


def test_what_comes_in_blocks_is_less_sure() -> None:
    draw = random.Random(8)
    alone = [draw.random() < 0.1 for _ in range(10_000)]
    in_blocks = [hit for _ in range(200) for hit in [draw.random() < 0.1] * 50]
    narrow, wide = interval(alone, 100), interval(in_blocks, 100)
    assert wide[1] - wide[0] > 4.0 * (narrow[1] - narrow[0])
    assert narrow == interval(alone, 100)


def test_calibration_counts_an_episode_once_by_its_highest_score() -> None:
    draw = random.Random(9)
    steps = []
    for i in range(2600):
        for second in (0, 60):
            values = {"x": math.exp(draw.gauss(0.0, 1.0)), "y": math.exp(draw.gauss(0.0, 1.0))}
            obs = Observation(WHO, "plain", values, BlockRef(1, i, "", BEGIN + 600 * i + second))
            steps += [Step(obs, learn=False), Step(obs, learn=True)]
    (row, *_) = calibration(steps, Config().models)["plain episodes"]
    assert row.n == 2600 - 1 - 100
    assert row.share == pytest.approx(0.1, rel=0.3)
