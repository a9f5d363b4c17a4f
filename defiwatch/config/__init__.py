"""The configuration: its sections, and how it is read and checked."""

from __future__ import annotations

from defiwatch.config.durations import duration, rate
from defiwatch.config.load import bundled_path, data_directory, digest, find, load, mask, parse
from defiwatch.config.sections import (
    PRESETS,
    Alerts,
    Chain,
    ChainPreset,
    Config,
    Deployment,
    Endpoint,
    ExecSink,
    Models,
    Quotes,
    Sinks,
    Venue,
    Watch,
    WebhookSink,
)

__all__ = [
    "PRESETS",
    "Alerts",
    "Chain",
    "ChainPreset",
    "Config",
    "Deployment",
    "Endpoint",
    "ExecSink",
    "Models",
    "Quotes",
    "Sinks",
    "Venue",
    "Watch",
    "WebhookSink",
    "bundled_path",
    "data_directory",
    "digest",
    "duration",
    "find",
    "load",
    "mask",
    "parse",
    "rate",
]
