"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("soak", print_blob=True, deadline=None)
settings.load_profile("soak" if os.environ.get("DEFIWATCH_SOAK") else "gate")
"""The gate draws the same examples each time; what is found by chance is the soak's."""


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
