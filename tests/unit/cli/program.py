"""`python -m tests.unit.cli.program …`: the whole program on the fake engine, for tests that need a process.

FAKE_BLOCKS, FAKE_PAUSE and FAKE_WHAT (unreachable, fault, warm_up) shape the live run; with FAKE_HELLO it says when it
begins.
"""

from __future__ import annotations

import os

import defiwatch.session.parts
from defiwatch.__main__ import main
from tests.unit.cli.fakes import parts

if __name__ == "__main__":
    what = os.environ.get("FAKE_WHAT")
    door = parts(
        blocks=int(os.environ.get("FAKE_BLOCKS", "4")),
        pause=float(os.environ.get("FAKE_PAUSE", "0")),
        **({what: True} if what else {}),
    )
    defiwatch.session.parts.load_parts = lambda: door
    if os.environ.get("FAKE_HELLO"):
        print("here", flush=True)
    main()
