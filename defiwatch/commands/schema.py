"""`schema NAME`: the JSON Schema of what defiwatch prints and reads, generated from the types themselves."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec

from defiwatch.domain.risk import ALERT_SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _alert() -> tuple[Any, str, str]:
    from defiwatch.domain.risk import Alert

    return Alert, "Alert", ALERT_SCHEMA


def _position() -> tuple[Any, str, str]:
    from defiwatch.commands.shapes import POSITION_SCHEMA, PositionLine

    return PositionLine, "PositionLine", POSITION_SCHEMA


def _proof() -> tuple[Any, str, str]:
    from defiwatch.commands.shapes import PROOF_SCHEMA, ProofLine

    return ProofLine, "ProofLine", PROOF_SCHEMA


def _evaluation() -> tuple[Any, str, str]:
    from defiwatch.commands.evaluate import EVALUATION_SCHEMA, Evaluation

    return Evaluation, "Evaluation", EVALUATION_SCHEMA


def _check() -> tuple[Any, str, str]:
    module = import_module("defiwatch.commands.check")
    return module.CheckReport, "CheckReport", module.CHECK_SCHEMA


def _snapshot() -> tuple[Any, str, str]:
    from defiwatch.domain.view import SNAPSHOT_SCHEMA, Snapshot

    return Snapshot, "Snapshot", SNAPSHOT_SCHEMA


def _recording() -> tuple[Any, str, str]:
    from defiwatch.domain.frames import RECORDING_SCHEMA, Frame

    return Frame, "HeaderFrame", RECORDING_SCHEMA


def _config() -> tuple[Any, str, str]:
    from defiwatch.config import Config

    return Config, "", "defiwatch.config/1"


SOURCES: dict[str, Callable[[], tuple[Any, str, str]]] = {
    "alert": _alert,
    "position": _position,
    "proof": _proof,
    "evaluation": _evaluation,
    "check": _check,
    "snapshot": _snapshot,
    "recording": _recording,
    "config": _config,
}
"""By name: the type, the definition in it that has the member `schema` ("" if none does), and that member's value."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema called `name`. For a recording: of one line of it."""
    kind, owner, value = SOURCES[name]()
    made = msgspec.json.schema(kind)
    if owner:
        definition = made["$defs"][owner]
        definition["properties"]["schema"] = {"const": value}
        if "schema" not in definition["required"]:
            definition["required"].insert(0, "schema")
    return {"$schema": DIALECT, "$id": f"urn:defiwatch:schema:{name}:1", "title": value, **made}


def text(name: str) -> str:
    """The same as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schema(name)), indent=2).decode()
