"""Make the recording of an Aave v3.6 market again, with what the contracts answered at every block of it.

    python -m tests.devnet.make_origin [--seed N] [--out FOLDER]

Needs `.ci/devnet-install --soak`. The same seed gives the same files. tests/replay/test_aave_v3_6.py plays them.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec

from defiwatch.domain.frames import BlockFrame, ChainRef, Header, HeaderFrame

from .deploy import deploy
from .deploy_origin import missing
from .node import CHAIN_ID, Anvil
from .origin import Lab
from .walk import Walk, flash_receiver, open_market

BUNDLED = Path(__file__).resolve().parents[1] / "replay" / "aave_v3_6"
SEED, STEPS, REORG_AT = 315, 150, 75


class Recorded(Lab):
    """A lab that keeps the contracts' answers of every block that it compared."""

    rows: list[dict[str, Any]]

    def compare(self, *line: Any) -> None:
        super().compare(*line)
        if not hasattr(self, "rows"):
            self.rows = []
        self.rows.append(self.row)


def make(out: Path, seed: int) -> None:
    """Play the walk of `seed`; raises where ours differs from the contracts, so what is written is true."""
    with Anvil() as node:
        lab = Recorded(deploy(node))
        open_market(lab)
        flash_receiver(lab)
        walk = Walk(lab, seed)
        for step in range(STEPS):
            walk.step()
            if step == REORG_AT:
                lab.reorg(3)
        print(dict(sorted(lab.tally.items())))
        deployment = {"chain": "devnet", "protocol": "aave_v3", "address": lab.market.provider}
        header = HeaderFrame(
            schema="defiwatch.recording/1",
            chains=(ChainRef(CHAIN_ID, "devnet"),),
            deployments=(msgspec.Raw(msgspec.json.encode(deployment)),),
        )
        frames = [msgspec.json.encode(frame) for frame in (header, *map(_short, lab.driver.frames))]
        for row in lab.rows:
            row["next"] = lab.foretold.get(row["hash"])
        rows = [json.dumps(row, separators=(",", ":")).encode() for row in lab.rows]
    for name, lines in (("recording", frames), ("truth", rows)):
        path = out / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
        print(f"{path}: {path.stat().st_size:,} bytes, {len(lines)} lines")


def _short(frame: Any) -> Any:
    """A block's header without what nothing here is computed from."""
    if not isinstance(frame, BlockFrame):
        return frame
    old = frame.header
    header = Header(number=old.number, timestamp=old.timestamp, hash=old.hash, parent_hash=old.parent_hash)
    return msgspec.structs.replace(frame, header=header)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    asked = parser.parse_args()
    reason = missing()
    if reason is not None:
        raise SystemExit(reason)
    asked.out.mkdir(parents=True, exist_ok=True)
    make(asked.out, asked.seed)


if __name__ == "__main__":
    main()
