"""Seeded insertions: trades that did not happen, put into a calm recording of concentrated-liquidity pools.

Each insertion is a few Swap logs behind a real one of its block; the amounts are those that such a move takes of the
liquidity at hand (v3-core d8b1c63 SqrtPriceMath.sol:146-196). The pool's next real trade states its own price, so what
follows is as it was.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import msgspec

from defiwatch.domain.frames import BlockFrame, Frame, RawLog
from defiwatch.domain.keccak import topic
from defiwatch.protocols import abi

SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
_FIELDS = ("int256", "int256", "uint160", "uint128", "int24")
_Q96 = 2**96


class Plan(msgspec.Struct, frozen=True):
    """What is inserted: `move` (there and back in one block), `burst` (one way in small trades), `wash` (to and fro,
    no price change that lasts). `size` is the relative price change of the whole (move, burst) or of each trade."""

    kind: str
    size: float

    @property
    def name(self) -> str:
        """As it is reported: "move 5 %"."""
        return f"{self.kind} {100.0 * self.size:g} %"


PLANS: tuple[Plan, ...] = (
    *(Plan("move", size) for size in (0.01, 0.02, 0.03, 0.05, 0.10, 0.30)),
    Plan("burst", 0.005),
    Plan("burst", 0.02),
    Plan("wash", 0.0005),
    Plan("wash", 0.002),
)

_BURST = 15
_WASH = 24


class Inserted(msgspec.Struct, frozen=True):
    """One insertion: its plan, the pool and block it went into, and the block's time."""

    plan: Plan
    pool: str
    block: int
    time: int


def insert(
    frames: Sequence[Frame], plans: Sequence[Plan], seed: int, *, times: int = 6, warm_up_s: float = 7200.0
) -> tuple[list[Frame], tuple[Inserted, ...]]:
    """The frames with every plan put in `times` times, in blocks of their own drawn by `seed`; and what went where.

    Nothing is put into the first `warm_up_s` seconds, or within two minutes of another insertion where there is room.
    """
    draw = random.Random(seed)  # noqa: S311 - seeded on purpose: the same places every time
    places = _places(frames, warm_up_s)
    draw.shuffle(places)
    wanted = [plan for plan in plans for _ in range(times)]
    draw.shuffle(wanted)
    taken: list[int] = []
    chosen: dict[int, tuple[int, Plan]] = {}
    for index, log, time in places:
        if len(chosen) == len(wanted):
            break
        if index not in chosen and all(abs(time - other) >= 120 for other in taken):
            chosen[index] = (log, wanted[len(chosen)])
            taken.append(time)
    result, inserted = list(frames), []
    for index in sorted(chosen):
        place, plan = chosen[index]
        frame = frames[index]
        if isinstance(frame, BlockFrame):
            logs = (*frame.logs[: place + 1], *_made(frame.logs[place], plan, draw), *frame.logs[place + 1 :])
            result[index] = msgspec.structs.replace(frame, logs=logs)
            header = frame.header
            pool = frame.logs[place].address.lower()
            inserted.append(Inserted(plan, pool, int(header.number, 16), int(header.timestamp, 16)))
    return result, tuple(inserted)


def _places(frames: Sequence[Frame], warm_up_s: float) -> list[tuple[int, int, int]]:
    """(frame, log, time) of every trade after the warm-up."""
    found: list[tuple[int, int, int]] = []
    begin: int | None = None
    for index, frame in enumerate(frames):
        if not isinstance(frame, BlockFrame):
            continue
        time = int(frame.header.timestamp, 16)
        begin = time if begin is None else begin
        if time >= begin + warm_up_s:
            found += [(index, i, time) for i, log in enumerate(frame.logs) if log.topics and log.topics[0] == SWAP]
    return found


def _made(log: RawLog, plan: Plan, draw: random.Random) -> list[RawLog]:
    up = draw.random() < 0.5
    if plan.kind == "move":
        path = [1.0 + plan.size if up else 1.0 / (1.0 + plan.size), 1.0]
    elif plan.kind == "burst":
        whole = math.log1p(plan.size) * (1.0 if up else -1.0)
        path = [math.exp(whole * (i + 1) / _BURST) for i in range(_BURST)]
    else:
        path = [(1.0 + plan.size if i % 2 == 0 else 1.0) for i in range(_WASH)]
    return _walked(log, path, draw)


def _walked(log: RawLog, path: Sequence[float], draw: random.Random) -> list[RawLog]:
    """Swaps after `log` that take the price to each factor of `path` in turn."""
    _, _, root, liquidity, tick = abi.decode(_FIELDS, log.data)
    found, here = [], root
    for factor in path:
        there = int(root * math.sqrt(factor))
        amount0 = liquidity * _Q96 // there - liquidity * _Q96 // here
        amount1 = liquidity * (there - here) // _Q96
        new_tick = tick + round(math.log(factor) / math.log(1.0001))
        data = "0x" + abi.encode(_FIELDS, (amount0, amount1, there, liquidity, new_tick))
        found.append(msgspec.structs.replace(log, data=data, transaction_hash=f"0x{draw.getrandbits(256):064x}"))
        here = there
    return found
