"""Seeded insertions: what did not happen, put into a calm recording.

Trades are a few Swap logs behind a real one of its block; the amounts are those that such a move takes of the liquidity
at hand (v3-core d8b1c63 SqrtPriceMath.sol:146-196; of a v2 pair, those that keep its product, the fee on top). The
pool's next real trade states its own price, so what follows is as it was. A drain takes a share of what the pool holds;
a v3 pool gets it back after the drain window, a v2 pair's next Sync states its own reserves. Of quotes, a price is
moved for a few samples.
"""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from defiwatch.domain.frames import BlockFrame, Frame, QuoteFrame, RawLog
from defiwatch.domain.keccak import topic
from defiwatch.domain.units import from_iso
from defiwatch.protocols import abi
from defiwatch.state.prices import PEGGED, base_of

SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
BURN = topic("Burn(address,int24,int24,uint128,uint256,uint256)")
COLLECT = topic("Collect(address,address,int24,int24,uint128,uint128)")
MINT = topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
PAIR_SWAP = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
PAIR_SYNC = topic("Sync(uint112,uint112)")
PAIR_BURN = topic("Burn(address,uint256,uint256,address)")

_SWAP_FIELDS = ("int256", "int256", "uint160", "uint128", "int24")
_PAIR_FIELDS = ("uint256", "uint256", "uint256", "uint256")
_SYNC_FIELDS = ("uint112", "uint112")
_Q96 = 2**96
_WIDE = 60_000
"""Ticks to either side of the price that a drained position spans: a multiple of every tick spacing."""
_NOBODY = "0x" + "00" * 31 + "01"

KINDS = ("price_move", "burst", "wash", "drain")


class Plan(msgspec.Struct, frozen=True):
    """What is inserted: `price_move` (there and back in one block; of a quote: for some samples), `burst` (one way
    in small trades), `wash` (to and fro, no price change that lasts), `drain` (liquidity taken out). `size`: the
    relative price change of the whole (price_move, burst) or of each trade (wash), the share that leaves (drain)."""

    kind: str
    size: float

    @property
    def name(self) -> str:
        """As it is reported: "price_move 5 %"."""
        return f"{self.kind} {100.0 * self.size:g} %"

    @property
    def alert(self) -> str:
        """The kind of alert that is to find it in a pool."""
        return "pool.drain" if self.kind == "drain" else "pool.anomaly"


SIZES: dict[str, tuple[float, ...]] = {
    "price_move": (0.01, 0.02, 0.03, 0.05, 0.10, 0.30),
    "burst": (0.005, 0.02),
    "wash": (0.0005, 0.002),
    "drain": (0.05, 0.10, 0.20, 0.40, 0.80),
}
"""The sizes of each kind unless others are asked for."""

PLANS: tuple[Plan, ...] = tuple(Plan(kind, size) for kind in KINDS[:3] for size in SIZES[kind])
"""What goes into any pool that trades; a drain needs to know what the pool holds."""

WARM_UP_S = 7200.0
"""Seconds in which nothing is inserted; a third of the recording at most."""

LASTING = 6
"""Samples that a moved quote stays where it was moved to, unless told otherwise."""

_BURST = 15
_WASH = 24
_APART_S = 120
_DRAINED_S = 1500
"""Seconds after a drain in which nothing else goes into that pool: the drain window and some more."""

Holding = Mapping[tuple[str, int], tuple[int, int]]
"""(pool, block) → what it held after that block."""


class Inserted(msgspec.Struct, frozen=True):
    """One insertion: its plan, the subject (a pool's address, an asset's symbol), the block it went into (-1: a quote),
    when, and until when it lasts."""

    plan: Plan
    subject: str
    block: int
    time: float
    until: float


class _Place(msgspec.Struct, frozen=True):
    frame: int
    log: int
    time: int
    pool: str
    v3: bool
    holds: tuple[int, int] | None


def insert(
    frames: Sequence[Frame],
    plans: Sequence[Plan],
    seed: int,
    *,
    times: int = 6,
    warm_up_s: float = WARM_UP_S,
    holding: Holding | None = None,
) -> tuple[list[Frame], tuple[Inserted, ...]]:
    """The frames with every plan put `times` times into pools, in blocks of their own drawn by `seed`; and what went
    where. Fewer, where there is no room.

    Nothing is put into the first `warm_up_s` seconds (a third of the recording at most), or near another insertion into
    the same pool. Drains go only where `holding` says what the pool holds.
    """
    draw = random.Random(seed)  # noqa: S311 - seeded on purpose: the same places every time
    places = _places(frames, warm_up_s, holding or {})
    draw.shuffle(places)
    wanted = [plan for plan in plans for _ in range(times)]
    draw.shuffle(wanted)
    wanted.sort(key=lambda plan: plan.kind != "drain")
    taken: dict[str, list[tuple[float, float]]] = {}
    used: set[int] = set()
    chosen: list[tuple[_Place, Plan]] = []
    for plan in wanted:
        need = _DRAINED_S if plan.kind == "drain" else _APART_S
        place = next(
            (
                place
                for place in places
                if place.frame not in used
                and (plan.kind != "drain" or place.holds is not None)
                and all(place.time + need <= begin or end <= place.time for begin, end in taken.get(place.pool, ()))
            ),
            None,
        )
        if place is not None:
            used.add(place.frame)
            taken.setdefault(place.pool, []).append((place.time, place.time + need))
            chosen.append((place, plan))
    result, inserted = list(frames), []
    for place, plan in sorted(chosen, key=lambda item: item[0].frame):
        frame = frames[place.frame]
        if isinstance(frame, BlockFrame):
            _put(result, place.frame, place.log, _made(frame.logs, place, plan, draw))
            if plan.kind == "drain" and place.v3:
                _refill(result, place, plan, draw)
            number = int(frame.header.number, 16)
            inserted.append(Inserted(plan, place.pool, number, place.time, place.time))
    return result, tuple(inserted)


def insert_quotes(
    frames: Sequence[Frame],
    plans: Sequence[Plan],
    seed: int,
    *,
    times: int = 6,
    lasting: int = LASTING,
    warm_up: int = 200,
) -> tuple[list[Frame], tuple[Inserted, ...]]:
    """The frames with the price moves among `plans` put into quotes for `lasting` samples, each `times` times, asset
    and place drawn by `seed`; the first `warm_up` quotes of a series stay as they are, and so does what is near another
    insertion.

    Only assets with a peg, and those that more than one venue quotes: elsewhere a price that moves is no anomaly.
    """
    draw = random.Random(seed)  # noqa: S311 - seeded on purpose: the same places every time
    series: dict[tuple[str, str], list[int]] = {}
    for index, frame in enumerate(frames):
        if isinstance(frame, QuoteFrame):
            series.setdefault((frame.venue, frame.base), []).append(index)
    venues = collections.Counter(base for _, base in series)
    places = [
        (key, at)
        for key, indices in sorted(series.items())
        if base_of(key[1]) in PEGGED or venues[key[1]] > 1
        for at in range(warm_up, len(indices) - 2 * lasting, 8 * lasting)
    ]
    draw.shuffle(places)
    wanted = [plan for plan in plans if plan.kind == "price_move" for _ in range(times)]
    result, inserted = list(frames), []
    for (key, at), plan in zip(places, wanted, strict=False):
        indices = series[key][at : at + lasting]
        factor = 1.0 + plan.size if draw.random() < 0.5 else 1.0 / (1.0 + plan.size)
        moments = []
        for index in indices:
            frame = frames[index]
            if isinstance(frame, QuoteFrame):
                result[index] = msgspec.structs.replace(frame, price=f"{float(frame.price) * factor:.10g}")
                moments.append(from_iso(frame.time))
        inserted.append(Inserted(plan, key[1], -1, moments[0], moments[-1]))
    inserted.sort(key=lambda item: (item.time, item.subject))
    return result, tuple(inserted)


def begin_of(times: Iterable[int], warm_up_s: float = WARM_UP_S) -> float:
    """When the warm-up of a recording with blocks at these times is over, Unix seconds."""
    known = sorted(times)
    return known[0] + min(warm_up_s, (known[-1] - known[0]) / 3.0) if known else 0.0


def _places(frames: Iterable[Frame], warm_up_s: float, holding: Holding) -> list[_Place]:
    """Every trade after the warm-up."""
    found: list[_Place] = []
    times: list[int] = []
    for index, frame in enumerate(frames):
        if not isinstance(frame, BlockFrame):
            continue
        time, number = int(frame.header.timestamp, 16), int(frame.header.number, 16)
        times.append(time)
        for i, log in enumerate(frame.logs):
            if log.topics and log.topics[0] in (SWAP, PAIR_SWAP):
                pool, v3 = log.address.lower(), log.topics[0] == SWAP
                if v3 or _sync_before(frame.logs, i) is not None:
                    found.append(_Place(index, i, time, pool, v3, holding.get((pool, number))))
    begin = begin_of(times, warm_up_s)
    return [place for place in found if place.time >= begin]


def _sync_before(logs: Sequence[RawLog], at: int) -> tuple[int, int] | None:
    """A v2 pair's reserves as its last Sync before the log `at` of the block states them."""
    for log in reversed(logs[:at]):
        if log.address == logs[at].address and log.topics and log.topics[0] == PAIR_SYNC:
            reserve0, reserve1 = abi.decode(_SYNC_FIELDS, log.data)
            return reserve0, reserve1
    return None


def _put(frames: list[Frame], index: int, after: int, logs: Sequence[RawLog]) -> None:
    frame = frames[index]
    if isinstance(frame, BlockFrame):
        frames[index] = msgspec.structs.replace(frame, logs=(*frame.logs[: after + 1], *logs, *frame.logs[after + 1 :]))


def _made(logs: Sequence[RawLog], place: _Place, plan: Plan, draw: random.Random) -> list[RawLog]:
    log = logs[place.log]
    up = draw.random() < 0.5
    if plan.kind == "drain":
        return _drained(log, place, plan.size, draw)
    if plan.kind == "price_move":
        path = [1.0 + plan.size if up else 1.0 / (1.0 + plan.size), 1.0]
    elif plan.kind == "burst":
        whole = math.log1p(plan.size) * (1.0 if up else -1.0)
        path = [math.exp(whole * (i + 1) / _BURST) for i in range(_BURST)]
    else:
        path = [(1.0 + plan.size if i % 2 == 0 else 1.0) for i in range(_WASH)]
    if place.v3:
        return _walked(log, path, draw)
    return _walked_pair(log, _sync_before(logs, place.log) or (0, 0), path, draw)


def _tx(draw: random.Random) -> str:
    return f"0x{draw.getrandbits(256):064x}"


def _walked(log: RawLog, path: Sequence[float], draw: random.Random) -> list[RawLog]:
    """Swaps after `log` that take the price of a v3 pool to each factor of `path` in turn."""
    _, _, root, liquidity, tick = abi.decode(_SWAP_FIELDS, log.data)
    found, here = [], root
    for factor in path:
        there = int(root * math.sqrt(factor))
        amount0 = liquidity * _Q96 // there - liquidity * _Q96 // here
        amount1 = liquidity * (there - here) // _Q96
        new_tick = tick + round(math.log(factor) / math.log(1.0001))
        data = "0x" + abi.encode(_SWAP_FIELDS, (amount0, amount1, there, liquidity, new_tick))
        found.append(msgspec.structs.replace(log, data=data, transaction_hash=_tx(draw)))
        here = there
    return found


def _walked_pair(log: RawLog, reserves: tuple[int, int], path: Sequence[float], draw: random.Random) -> list[RawLog]:
    """The same of a v2 pair: a Sync and a Swap for each step. The fee of 0.3 % is paid on top and stays in the pair."""
    begin = reserves
    here = list(reserves)
    found = []
    for factor in path:
        root = math.sqrt(factor * begin[1] / begin[0] * here[0] / here[1])
        rising = root >= 1.0
        came, went = (1, 0) if rising else (0, 1)
        grown = int(here[came] * (root if rising else 1.0 / root))
        amount_in = (grown - here[came]) * 1000 // 997 + 1
        amount_out = here[went] - here[went] * here[came] // grown
        here[came] += amount_in
        here[went] -= amount_out
        ins = tuple(amount_in if side == came else 0 for side in (0, 1))
        outs = tuple(amount_out if side == went else 0 for side in (0, 1))
        tx = _tx(draw)
        sync = msgspec.structs.replace(
            log, topics=(PAIR_SYNC,), data="0x" + abi.encode(_SYNC_FIELDS, here), transaction_hash=tx
        )
        data = "0x" + abi.encode(_PAIR_FIELDS, (*ins, *outs))
        found += [sync, msgspec.structs.replace(log, data=data, transaction_hash=tx)]
    return found


def _tick(tick: int) -> str:
    return f"0x{tick % 2**256:064x}"


def _position(log: RawLog) -> tuple[int, int]:
    """The ticks of a position around the price of a v3 swap."""
    tick = abi.decode(_SWAP_FIELDS, log.data)[4]
    middle = tick // _WIDE * _WIDE
    return middle - _WIDE, middle + 2 * _WIDE


def _drained(log: RawLog, place: _Place, share: float, draw: random.Random) -> list[RawLog]:
    """Liquidity providers take `share` of everything out."""
    held0, held1 = place.holds or (0, 0)
    out0, out1 = int(held0 * share), int(held1 * share)
    tx = _tx(draw)
    if not place.v3:
        sync = "0x" + abi.encode(_SYNC_FIELDS, (held0 - out0, held1 - out1))
        burn = "0x" + abi.encode(("uint256", "uint256"), (out0, out1))
        topics = (PAIR_BURN, log.topics[1], log.topics[2])
        return [
            msgspec.structs.replace(log, topics=(PAIR_SYNC,), data=sync, transaction_hash=tx),
            msgspec.structs.replace(log, topics=topics, data=burn, transaction_hash=tx),
        ]
    liquidity = int(abi.decode(_SWAP_FIELDS, log.data)[3] * share)
    lower, upper = _position(log)
    burn = "0x" + abi.encode(("uint128", "uint256", "uint256"), (liquidity, out0, out1))
    collect = "0x" + abi.encode(("address", "uint128", "uint128"), ("0x" + "00" * 19 + "01", out0, out1))
    whose = (_NOBODY, _tick(lower), _tick(upper))
    return [
        msgspec.structs.replace(log, topics=(BURN, *whose), data=burn, transaction_hash=tx),
        msgspec.structs.replace(log, topics=(COLLECT, *whose), data=collect, transaction_hash=tx),
    ]


def _refill(frames: list[Frame], place: _Place, plan: Plan, draw: random.Random) -> None:
    """Put back what a drain took, in the first block of the pool's own a while later."""
    drained = frames[place.frame]
    if not isinstance(drained, BlockFrame):
        return
    log = drained.logs[place.log]
    held0, held1 = place.holds or (0, 0)
    liquidity = int(abi.decode(_SWAP_FIELDS, log.data)[3] * plan.size)
    lower, upper = _position(log)
    sizes = (liquidity, int(held0 * plan.size), int(held1 * plan.size))
    data = "0x" + abi.encode(("address", "uint128", "uint256", "uint256"), ("0x" + "00" * 19 + "01", *sizes))
    for index in range(place.frame + 1, len(frames)):
        frame = frames[index]
        if not isinstance(frame, BlockFrame) or int(frame.header.timestamp, 16) < place.time + _DRAINED_S - 300:
            continue
        own = [i for i, other in enumerate(frame.logs) if other.address.lower() == place.pool]
        if own:
            topics = (MINT, _NOBODY, _tick(lower), _tick(upper))
            mint = msgspec.structs.replace(frame.logs[own[0]], topics=topics, data=data, transaction_hash=_tx(draw))
            _put(frames, index, own[0] - 1, [mint])
            return
