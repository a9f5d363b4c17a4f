"""What exchange pools of every protocol have in common: their names, and what cannot be told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from defiwatch.config import Deployment
from defiwatch.domain.ids import Address, Hash, is_address, short
from defiwatch.domain.text import harmless
from defiwatch.errors import ConfigError
from defiwatch.protocols.erc20 import symbol_of, token_of
from defiwatch.protocols.spec import Book

LABEL_LIMIT = 48


def pool_addresses(deployment: Deployment) -> tuple[Address, ...]:
    """The pools that a deployment names by address, each once. ConfigError for what is no address."""
    for pool in deployment.pools:
        if not is_address(pool):
            raise ConfigError(f"{deployment.protocol}: expected an address in pools, got {pool!r}")
    return tuple(dict.fromkeys(pool.lower() for pool in deployment.pools))


def pool_ids(deployment: Deployment) -> tuple[Hash, ...]:
    """The pools that a deployment names by 32-byte id, each once. ConfigError for what is no such id."""
    for pool in deployment.pools:
        if len(pool) != 66:
            raise ConfigError(f"{deployment.protocol}: expected a 32-byte id in pools, got {pool!r}")
    return tuple(dict.fromkeys(pool.lower() for pool in deployment.pools))


def least_size(reaches: Callable[[int], bool], start: int, doublings: int) -> int:
    """About the least amount that reaches something, for mathematics without a closed form; 0 where none does.

    `start` is doubled until it does, `doublings` sizes at most, then halved to one part in 2**30. An amount that the
    pool would refuse (`reaches` raises ValueError or ZeroDivisionError) ends the search.
    """
    low, high = 0, max(start, 1)
    try:
        for _ in range(doublings):
            if reaches(high):
                break
            low, high = high, 2 * high
        else:
            return 0
        while high - low > max(high >> 30, 1):
            middle = (low + high) // 2
            low, high = (low, middle) if reaches(middle) else (middle, high)
    except (ValueError, ZeroDivisionError):
        return 0
    return high


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


def own_rates(scaling: Sequence[int], decimals: Sequence[int]) -> tuple[int, ...]:
    """The rates (10**18 for one) in factors that bring amounts to 10**18 with their rates; () where all are one."""
    if len(scaling) != len(decimals) or any(units > 36 for units in decimals):
        return ()
    rates = tuple(
        factor // 10 ** (18 - units) if units <= 18 else factor * 10 ** (units - 18)
        for factor, units in zip(scaling, decimals, strict=True)
    )
    return rates if any(rate != 10**18 for rate in rates) else ()


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
