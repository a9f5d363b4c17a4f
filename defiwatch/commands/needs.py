"""How many requests a chain takes at its head, at each grade of trust, and whether its budget allows them."""

from __future__ import annotations

import msgspec

from defiwatch.config import Chain, duration, rate

GRADES = ("single", "quorum", "consistent", "proof")
_POLLS_A_BLOCK = 1.0
_STANDING_BY = 0.5
"""Questions a block to each endpoint that stands by; none where a check asks it anyway."""


class RequestNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a minute that a chain takes at its head, about, at each grade of trust; `asked` is the configured one.

    Each of a batch counts, as providers count. Counted a block: one for the head where it is polled and none where it
    is announced, one for the logs, one for reads (every `reads`, else every block), a half for each endpoint that
    stands by. `consistent` adds one for the receipts; so does `proof`, which asks a second endpoint for them, unless
    that announces its heads; `quorum` one for the header from each endpoint beyond the first that announces none. A
    block that more than 1,000 addresses are watched in, or with more than 30 million gas of reads, takes more, and so
    does catching up.
    """

    single: float
    quorum: float
    consistent: float
    proof: float
    asked: float
    budget: float | None = None
    """What the budgets of the chain and of its endpoints allow a minute; None where none is set."""
    fits: bool | None = None


def needs_of(chain: Chain, *, pushed: int) -> RequestNeeds:
    """About how many requests a minute the chain takes; `pushed`: how many endpoints announce their heads."""
    blocks = 60.0 / chain.block_time
    reads = min(blocks, 60.0 / duration(chain.reads)) if chain.reads and duration(chain.reads) > 0 else blocks
    others = max(0, len(chain.endpoints) - 1)
    announcing = min(others, max(0, pushed - 1))
    polled = others - announcing
    base = (0.0 if pushed else _POLLS_A_BLOCK * blocks) + blocks + reads

    def with_witnesses(count: int) -> float:
        """The questions to other endpoints when `count` of them are to agree."""
        asked = min(max(0, count - announcing), polled)
        standing_by = (polled - asked) * min(_STANDING_BY * blocks, 60.0)
        return asked * blocks + standing_by

    attested = polled > 0 and announcing == 0
    """Whether the receipts come from the second endpoint, whose answer is its word on the block as well."""
    grades = {
        "single": base + with_witnesses(0),
        "quorum": base + with_witnesses(chain.quorum - 1),
        "consistent": base + with_witnesses(0) + blocks,
        "proof": base + with_witnesses(1) + (0.0 if attested else blocks),
    }
    own = [60.0 * rate(endpoint.budget) for endpoint in chain.endpoints if endpoint.budget]
    limits = [60.0 * rate(chain.budget)] if chain.budget else []
    if own and len(own) == len(chain.endpoints):
        limits.append(sum(own))
    budget = min(limits, default=None)
    asked = grades[chain.trust]
    return RequestNeeds(
        **{name: round(value, 1) for name, value in grades.items()},
        asked=round(asked, 1),
        budget=budget,
        fits=None if budget is None else asked <= budget,
    )


def told(needs: RequestNeeds, trust: str) -> list[str]:
    """The same in words, line by line."""
    rows = [f"{needs.single:>6,.0f}  single: one endpoint is believed"]
    for name, what in (
        ("quorum", "several endpoints agree on each block"),
        ("consistent", "receipts prove that no log was left out or altered"),
        ("proof", "the same, and a second endpoint agrees"),
    ):
        value = getattr(needs, name)
        rows.append(f"{value:>6,.0f}  {name}: {what} ({value - needs.single:+,.0f})")
    rows = [f"{row}{' <- configured' if row.split()[1] == f'{trust}:' else ''}" for row in rows]
    if needs.budget is None:
        return [*rows, "     no budget is set"]
    fits = "is enough" if needs.fits else f"is NOT enough for {trust}"
    return [*rows, f"{needs.budget:>6,.0f}  the budget: {fits}"]
