"""What the feeds behind some positions answered of late: for a look at a chain that no run has watched.

The rounds of a Chainlink feed are kept by its aggregator: `getRoundData` tells them one by one, backwards.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from defiwatch.collectors.chain.glance import Glance
from defiwatch.domain.frames import Header
from defiwatch.domain.ids import Address, short
from defiwatch.domain.risk import Feed, Position
from defiwatch.domain.units import from_hex, span
from defiwatch.models import Outlook
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, function
from defiwatch.protocols.chainlink import LATEST_ROUND_DATA, PHASE_OFFSET
from defiwatch.protocols.sources import Source
from defiwatch.state import oracles
from defiwatch.state.lending.pushes import Rhythm, fixed, of_feed, usual
from defiwatch.state.lending.volatility import STEP_S, name_of

ROUNDS = 96
"""Rounds that are read of a feed at most."""

LONGEST_S = 30.0 * 86_400.0
"""Rounds before this are too old to say how it moves now."""

GET_ROUND_DATA = function("getRoundData(uint80)", "uint80,int256,uint256,uint256,uint80")

Where = tuple[str, str, Address]
"""(protocol, market, asset)."""


class Series(msgspec.Struct, frozen=True):
    """A feed's last rounds, oldest first: when each came (Unix seconds) and its answer."""

    feed: Address
    times: tuple[int, ...]
    answers: tuple[int, ...]

    def at(self, time: float) -> float | None:
        """The answer that stood at a time; None before the first."""
        place = bisect_right(self.times, time)
        return float(self.answers[place - 1]) if place else None


class Evidence(msgspec.Struct, frozen=True):
    """What was made of the rounds: `words` says, by (protocol, market, asset), what each asset's price rests on, and
    `why` why there is none."""

    outlook: Outlook
    rhythms: dict[str, Rhythm]
    ages: dict[Where, float]
    words: dict[Where, str]
    why: dict[Where, str]
    whole: str = ""
    """What everything rests on, where that is one thing."""


async def read_series(glance: Glance, header: Header, feeds: Iterable[Address]) -> dict[Address, Series]:
    """The last rounds of these feeds at a block, of those that have any: two rounds of reads."""
    asked = [LATEST_ROUND_DATA.call(feed) for feed in sorted(set(feeds))]
    calls: list[Call] = []
    newest: set[int] = set()
    for answer in await glance.reads(asked, header):
        if reads.empty(answer):
            continue
        last = decode(LATEST_ROUND_DATA.outputs, answer.result or "")[0]
        newest.add(last)
        behind = min(ROUNDS, last & ((1 << PHASE_OFFSET) - 1))
        calls += [GET_ROUND_DATA.call(answer.to.lower(), last - back) for back in range(behind)]
    since = from_hex(header.timestamp) - LONGEST_S
    told: dict[Address, dict[int, tuple[int, int]]] = {}
    for answer in await glance.reads(calls, header):
        if reads.empty(answer):
            continue
        number, price, _, updated, _ = decode(GET_ROUND_DATA.outputs, answer.result or "")
        if price > 0 and (updated >= since or number in newest):
            told.setdefault(answer.to.lower(), {})[number] = (updated, price)
    found: dict[Address, Series] = {}
    for feed, rounds in sorted(told.items()):
        ordered = sorted(rounds.values())
        found[feed] = Series(feed, tuple(time for time, _ in ordered), tuple(price for _, price in ordered))
    return found


def evidence(
    positions: Sequence[Position],
    sources: Mapping[Where, Source],
    series: Mapping[Address, Series],
    now: float,
) -> Evidence:
    """Volatilities and rhythms from the rounds of the feeds behind the positions' prices, as of `now`.

    `sources` by (protocol, market, asset). Every feed's answer stands until its next; all are sampled together.
    """
    found = Evidence(Outlook(), {}, {}, {}, {})
    parts: dict[str | tuple[str, str], dict[str, _Price]] = {}
    for position in positions:
        for leg in position.legs:
            where = (position.protocol, position.market, leg.asset)
            group: str | tuple[str, str] = "" if position.base == "USD" else (position.protocol, position.market)
            price = _price(position, leg.asset, sources.get(where), series)
            if isinstance(price, str):
                found.why[where] = price
                continue
            parts.setdefault(group, {}).setdefault(name_of(position, leg.asset), price)
            if not price.every and not fixed(position, leg.asset):
                found.words[where] = f"{leg.symbol or short(leg.asset)} has a fixed price"
            if price.every:
                found.words[where] = _told(leg.symbol or short(leg.asset), price.every)
                found.ages[where] = max(0.0, now - max(one.times[-1] for one in price.every))
                found.rhythms[":".join(where)] = _rhythm(position.chain_id, leg.symbol, price.every)
    firsts = [one.times[0] for prices in parts.values() for price in prices.values() for one in price.every]
    if firsts:
        steps = math.ceil((now - min(firsts)) / STEP_S)
        for back in range(steps, -1, -1):
            moment = now - back * STEP_S
            sampled = {
                group: {name: value for name, price in prices.items() if (value := price.at(moment)) is not None}
                for group, prices in parts.items()
            }
            found.outlook.observe(moment, sampled.pop("", {}), [sampled[group] for group in sorted(sampled, key=str)])
    return found


class _Price(msgspec.Struct, frozen=True):
    """A price up to a constant factor: the product of some series divided by that of others."""

    over: tuple[Series, ...] = ()
    under: tuple[Series, ...] = ()

    @property
    def every(self) -> tuple[Series, ...]:
        return (*self.over, *self.under)

    def at(self, time: float) -> float | None:
        value = 1.0
        for one in self.over:
            answer = one.at(time)
            if answer is None:
                return None
            value *= answer
        for one in self.under:
            answer = one.at(time)
            if answer is None:
                return None
            value /= answer
        return value


def _price(position: Position, asset: Address, source: Source | None, series: Mapping[Address, Series]) -> _Price | str:
    """How an asset's price follows from series, or why it does not."""
    if fixed(position, asset) or (source is not None and source.kind == "fixed"):
        return _Price()
    if source is None:
        return "its price source is not known"
    if source.kind == "quotient":
        over, under = source.over, source.under
    else:
        over, under = source.feeds or (source.address,), ()
    for feed in (*over, *under):
        if feed not in series:
            return f"{short(feed)}, where its price comes from, tells no rounds"
    return _Price(tuple(series[feed] for feed in over), tuple(series[feed] for feed in under))


def _told(name: str, every: Sequence[Series]) -> str:
    return f"{name} " + " and ".join(
        f"{len(one.times)} round{'s' * (len(one.times) > 1)} of {short(one.feed)}"
        + (f" over {span(one.times[-1] - one.times[0])}" if len(one.times) > 1 else "")
        for one in every
    )


def _rhythm(chain_id: int, symbol: str, every: Sequence[Series]) -> Rhythm:
    """The rhythm of one feed's rounds; of several, the usual one."""
    if len(every) != 1:
        return usual(symbol)
    one = every[0]
    rounds = oracles.Pushes(
        len(one.times),
        one.answers[-1],
        one.times[-1],
        tuple(after - before for before, after in zip(one.times, one.times[1:], strict=False)),
        tuple(abs(after / before - 1.0) for before, after in zip(one.answers, one.answers[1:], strict=False)),
        count=len(one.times),
    )
    feed = Feed(chain_id, "chainlink", one.feed, symbol, "USD", one.answers[-1], 8, one.times[-1])
    return of_feed(feed, rounds) or usual(symbol)
