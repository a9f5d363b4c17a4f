"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of recorded real data; skips, saying why, where it is absent."""
    named = os.environ.get("DEFIWATCH_TEST_DATA")
    if not named:
        pytest.skip("DEFIWATCH_TEST_DATA names no folder of recorded data")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"DEFIWATCH_TEST_DATA={named} is not a folder")
    return folder
