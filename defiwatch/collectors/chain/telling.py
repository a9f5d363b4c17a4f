"""What a chain's collector tells beside its blocks: how its endpoints fare, gaps, and what became of checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from defiwatch.collectors.chain.findings import Finding
from defiwatch.collectors.chain.health import Change, Health
from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.seam import Emit
from defiwatch.config import Chain, mask
from defiwatch.domain.frames import HealthFrame, VerifiedFrame
from defiwatch.domain.units import from_hex, iso

_GAP = 32
"""Blocks missing at once from which it is a gap and not only the next blocks."""


class Telling:
    """Emits health and verified frames. `wall` gives Unix seconds. A frame about the chain itself has its name."""

    def __init__(self, chain: Chain, emit: Emit, wall: Callable[[], float]) -> None:
        self._chain = chain
        self._emit = emit
        self._wall = wall
        self._doubted_at: int | None = None
        self._gap = False

    async def health(self, health: Health, now: float) -> None:
        """What became of the endpoints by now."""
        health.judge(now)
        for change in health.changes():
            await self._change(change)

    async def _change(self, change: Change) -> None:
        await self._emit(
            HealthFrame(
                source=mask(self._chain.endpoints[change.index].url),
                state=change.condition,
                time=iso(self._wall()),
                chain_id=self._chain.chain_id,
                detail=change.detail or None,
                height=change.height,
                latency_ms=None if change.latency is None else round(1000 * change.latency, 1),
            )
        )

    async def notices(self, notices: Sequence[str], ledger: Ledger) -> None:
        """What the ledger has to say, and whether a gap opened or closed."""
        tip = None if ledger.tip is None else ledger.tip[0]
        for notice in notices:
            self._doubted_at = tip if tip is not None else 0
            await self.say("untrusted", notice, ledger.height)
        behind = ledger.behind
        if tip is not None and not self._gap and behind >= _GAP and ledger.resumed:
            self._gap = True
            await self.say("behind", f"blocks {tip + 1:,} to {tip + behind:,} are missing", tip)
        elif tip is not None and behind == 0:
            calm = self._doubted_at is not None and tip >= self._doubted_at + self._chain.confirmations
            if self._gap or calm:
                self._gap, self._doubted_at = False, None
                await self.say("live", "", tip)

    async def finding(self, finding: Finding) -> None:
        """What a check of a block found."""
        header = finding.frame.header
        if finding.trust == "untrusted":
            self._doubted_at = from_hex(header.number)
            await self.say("untrusted", f"block {from_hex(header.number):,}: {finding.detail}", from_hex(header.number))
        await self._emit(
            VerifiedFrame(
                chain_id=self._chain.chain_id,
                number=header.number,
                hash=header.hash,
                trust=finding.trust,
                detail=finding.detail or None,
            )
        )

    async def say(self, state: str, detail: str, height: int | None) -> None:
        """Something about the chain as a whole."""
        await self._emit(
            HealthFrame(
                source=self._chain.name,
                state=state,
                time=iso(self._wall()),
                chain_id=self._chain.chain_id,
                detail=detail or None,
                height=height,
            )
        )
