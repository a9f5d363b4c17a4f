from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from defiwatch.commands.schema import SOURCES, schema, text
from defiwatch.config import bundled_path
from defiwatch.domain.frames import Frame, InputFrame, encode
from tests.unit.sinks.samples import alert, frames, quote, snapshot, tick

PROMISED = {"alert", "position", "proof", "evaluation", "check", "snapshot", "recording", "config"}


def test_every_promised_name_is_there() -> None:
    assert set(SOURCES) == PROMISED


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_is_a_valid_schema_with_a_name(name: str) -> None:
    if name == "check":
        pytest.importorskip("defiwatch.commands.check")
    made = json.loads(text(name))
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["$id"] == f"urn:defiwatch:schema:{name}:1"
    assert made["title"] == f"defiwatch.{name}/1"


def valid(instance: Any, name: str) -> bool:
    return bool(jsonschema.Draft202012Validator(schema(name)).is_valid(instance))


def test_alerts_validate_and_others_do_not() -> None:
    line = json.loads(msgspec.json.encode(alert(1)))
    assert valid(line, "alert")
    assert valid({**line, "a later field": 1}, "alert"), "objects may gain fields"
    for name in line:
        assert not valid({k: v for k, v in line.items() if k != name}, "alert"), name
    assert not valid({**line, "schema": "defiwatch.alert/2"}, "alert")
    assert not valid({**line, "severity": "fatal"}, "alert")
    assert not valid({**line, "state": "gone"}, "alert")


def test_snapshots_validate() -> None:
    line = json.loads(msgspec.json.encode(snapshot(1, alerts=(alert(1),))))
    assert valid(line, "snapshot")
    assert not valid({**line, "schema": "x"}, "snapshot")


def test_every_frame_validates() -> None:
    items: list[Frame] = [*frames(2), quote(1), tick(2), InputFrame(action="ack", key="k", time="2026-03-10T12:00:00Z")]
    for frame in items:
        assert valid(json.loads(encode(frame)), "recording"), frame
    assert not valid({"frame": "nonsense"}, "recording")
    assert not valid({"frame": "header", "schema": "defiwatch.recording/2"}, "recording")


def test_the_bundled_configuration_validates() -> None:
    assert valid(tomllib.loads(bundled_path().read_text()), "config")
    assert not valid({"colour": "red"}, "config")


@pytest.mark.data
def test_a_recorded_chain_validates(data_folder: Path) -> None:
    import gzip

    check = jsonschema.Draft202012Validator(schema("recording"))
    with gzip.open(data_folder / "aave_v3_revisions" / "rev11" / "recording.jsonl.gz") as lines:
        for _, line in zip(range(60), lines, strict=False):
            check.validate(json.loads(line))
