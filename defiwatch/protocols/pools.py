"""What exchange pools of every protocol have in common: their names, and what cannot be told of them."""

from __future__ import annotations

from defiwatch.config import Deployment
from defiwatch.domain.ids import Address, short
from defiwatch.domain.text import harmless
from defiwatch.protocols.erc20 import symbol_of, token_of
from defiwatch.protocols.spec import Book

LABEL_LIMIT = 48


def pool_label(
    book: Book, deployment: Deployment, address: Address, tokens: tuple[Address, ...], fee_ppm: int, suffix: str = ""
) -> str:
    """A pool's name on the screen: its symbols and fee, behind the deployment's label; its address without tokens.

    A label that stands for one pool only is that pool's name as it is.
    """
    label = harmless(deployment.label, LABEL_LIMIT)
    if label and len(deployment.pools) == 1 and not deployment.factory:
        return label
    name = "/".join(symbol_of(book, token) for token in tokens) if all(tokens) else short(address)
    fee = f" {fee_ppm / 10_000:g}%" if fee_ppm > 0 else ""
    return f"{label} {name}{fee}{suffix}".strip()


def pool_raw(book: Book, tokens: tuple[Address, ...]) -> bool:
    """Whether a pool's numbers can only be told in its tokens' smallest units."""
    return not all(token and token_of(book, token).known for token in tokens)


def pool_unknown(book: Book, tokens: tuple[Address, ...], missing: tuple[str, ...]) -> str:
    """Why a pool's numbers cannot be told in full, in words; "" where all is known. `missing` names state not read."""
    reasons: list[str] = []
    if not all(tokens):
        reasons.append("tokens not read, amounts and price in the tokens' smallest units")
    else:
        raw = [symbol_of(book, token) for token in tokens if not token_of(book, token).known]
        if raw:
            reasons.append(f"decimals of {', '.join(raw)} not known, counted as 0")
    if missing:
        reasons.append(f"{', '.join(missing)} not read")
    return "; ".join(reasons)
