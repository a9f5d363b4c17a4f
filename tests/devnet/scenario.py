"""A story played on the chain, block by block: calm, crash, reorg, drain, lost peg, recovery.

The same seed on a fresh chain gives the same transactions, states and block hashes. Times are seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from . import deploy_aave as aave
from . import set_pieces
from .chain import Block, Receipt, Sent, Tx
from .flows import noise, swap, traffic
from .keepers import largest, liquidations, morpho_liquidations, morpho_pushes, pushes, rescue
from .labels import Labels, label
from .model import Devnet, PairV2, PoolV3
from .people import REORGED, SAVER, everyday, governance, health_factors, opening
from .prices import TOTAL, path, phase_at

INTERVAL = 12
SILENT_BLOCKS = 24
"""For how many blocks of the crash the LINK feed says nothing, before it answers with the whole fall at once."""
STRESSED = ("crash", "reorg", "drain", "depeg", "recovery")
DOOMED = (1, 2, 3)
"""The blocks of the reorg phase that are replaced in its block 4."""
WAD = 10**18


class ScenarioError(Exception):
    """The story could not go on as written."""


@dataclass(frozen=True, slots=True)
class Played:
    """A block of the story. `what` says what happened in words; `index` is None for the opening blocks."""

    index: int | None
    phase: str
    number: int
    hash: str
    timestamp: int
    what: tuple[str, ...]
    receipts: tuple[Receipt, ...]

    @property
    def logs(self) -> list[dict[str, object]]:
        """The block's logs in order, as the node gives them."""
        return [log for receipt in self.receipts for log in receipt.logs]


@dataclass(frozen=True, slots=True)
class Step:
    """The next block to play; `run` plays it. `title` says beforehand what is planned."""

    scenario: Scenario
    index: int
    phase: str
    at: int
    title: str

    def run(self) -> list[Played]:
        """Mine the block (the reorg step: replace some) and return what is new on the canonical chain."""
        return self.scenario.play(self)


@dataclass
class Scenario:
    """One telling of the story on a deployed chain.

    seed       chooses prices, trades and who acts; 0 and up
    interval   seconds between blocks
    clock      for live use: the wall's time in seconds; a block's time is then at least this
    blocks     canonical blocks played so far, by height; `orphans` those that a reorg removed
    health     by height: every borrower's health factor (wad) as the contract gave it
    prices     the market's USD price of every asset in the newest block
    """

    devnet: Devnet
    seed: int = 1
    interval: int = INTERVAL
    clock: Callable[[], float] | None = None
    blocks: dict[int, Played] = field(default_factory=dict)
    orphans: list[Played] = field(default_factory=list)
    health: dict[int, dict[str, int]] = field(default_factory=dict)
    market: dict[int, dict[str, float]] = field(default_factory=dict)
    _sent: dict[int, list[Sent]] = field(default_factory=dict)
    _next: int = 0
    _prepared: bool = False

    @cached_property
    def path(self) -> list[dict[str, float]]:
        """The market's prices (USD) for every step."""
        return path(self.seed, self.devnet.start_prices, self.interval)

    @property
    def prices(self) -> dict[str, float]:
        return self.path[max(0, self._next - 1)]

    @property
    def labels(self) -> Labels:
        """What really happened, from the blocks played so far."""
        return label(self)

    @property
    def start_block(self) -> int:
        """The height at which every position is open; raises `ScenarioError` before `prepare`."""
        if not self._prepared:
            raise ScenarioError("the positions are not open yet: call prepare()")
        return max(number for number, played in self.blocks.items() if played.index is None)

    def prepare(self) -> int:
        """Open every position; returns the height of the last opening block. Does nothing the second time."""
        if not self._prepared:
            for number, txs in enumerate(opening(self.devnet)):
                self._mine(None, "open", txs, (f"positions open, part {number + 1}",))
            self._prepared = True
        return self.start_block

    def steps(self) -> Iterator[Step]:
        """The blocks still to play, in order; each must be run before the next is asked for."""
        self.prepare()
        while self._next < TOTAL:
            phase, at, blocks = phase_at(self._next)
            step = Step(self, self._next, phase, at, f"{phase} {at + 1}/{blocks}{self._planned(phase, at)}")
            yield step
            if self._next == step.index:
                raise ScenarioError(f"step {step.index} was not run")

    def run_all(self) -> Labels:
        """Play the whole story."""
        for step in self.steps():
            step.run()
        return self.labels

    def idle(self) -> Played:
        """A block after the end of the story: small trades at the last prices, feeds and positions kept up."""
        self.prepare()
        if self._next < TOTAL:
            raise ScenarioError(f"the story is not over: {TOTAL - self._next} steps are left")
        rng = random.Random(f"idle:{self.seed}:{self.devnet.chain.node.height()}")
        txs = pushes(self.devnet, self.prices, self._time()) + traffic(self.devnet, rng, self.prices)
        return self._mine(self._next, "idle", txs, ())

    @staticmethod
    def _planned(phase: str, at: int) -> str:
        plans = {
            ("crash", 0): ": the LINK feed falls silent",
            ("crash", SILENT_BLOCKS): ": the LINK feed answers again",
            ("reorg", 1): ": a swap that will not last",
            ("reorg", 2): ": a liquidation that will not last",
            ("reorg", 4): ": three blocks are replaced",
        }
        return plans.get((phase, at), "")

    # -- playing ---------------------------------------------------------------------------------------------------

    def play(self, step: Step) -> list[Played]:
        """Play one step; `Step.run` calls it."""
        if step.index != self._next:
            raise ScenarioError(f"step {step.index} is not the next one ({self._next})")
        self._next += 1
        if (step.phase, step.at) == ("reorg", 4):
            return self._reorg(step)
        rng = random.Random(f"block:{self.seed}:{step.index}")
        txs = self._transactions(step, rng)
        return [self._mine(step.index, step.phase, txs, ())]

    def _transactions(self, step: Step, rng: random.Random) -> list[Tx]:
        devnet, prices, phase, at = self.devnet, self.prices, step.phase, step.at
        doomed = phase == "reorg" and at in DOOMED
        silent = frozenset({"LINK"}) if phase == "crash" and at < SILENT_BLOCKS else frozenset[str]()
        txs = pushes(devnet, prices, self._time(), silent) + morpho_pushes(devnet, prices)
        if doomed:
            return txs + self._doomed(at, rng)
        health = self.health[max(self.health)]
        if phase in STRESSED:
            # A quick liquidator acts in the block of the price itself, a slow one on what the last block showed.
            quick = rng.random() < 0.6
            devnet.chain.send(txs)
            txs = []
            devnet.chain.node.rpc("evm_setNextBlockTimestamp", self._time())
            seen = health_factors(devnet, "pending") if quick else health
            reserved = phase == "crash" or (phase == "reorg" and at < 5)
            spare = frozenset({devnet.roles.borrowers[REORGED]}) if reserved else frozenset[str]()
            txs += liquidations(devnet, rng, seen, spare=spare, block="pending" if quick else "latest")
            txs += morpho_liquidations(devnet)
            saver = devnet.roles.borrowers[SAVER]
            txs += rescue(devnet, saver, health[saver])
        if phase == "calm":
            txs += governance(devnet, at)
        if phase in ("calm", "recovery"):
            for _ in range(2):
                txs += everyday(devnet, rng, health)
        if phase == "drain":
            txs += set_pieces.drain(devnet, at)
        if phase == "depeg":
            txs += set_pieces.push_off_peg(devnet, prices)
        if phase == "recovery":
            txs += set_pieces.refill(devnet, at, prices)
        quiet = frozenset({set_pieces.peg_pool(devnet).address}) if phase == "depeg" else frozenset[str]()
        return txs + traffic(devnet, rng, prices, quiet=quiet)

    def _doomed(self, at: int, rng: random.Random) -> list[Tx]:
        """Blocks that a reorg will take back: noise, and a swap and a liquidation by people who do nothing else."""
        devnet, prices = self.devnet, self.prices
        pools: list[PairV2 | PoolV3] = [*devnet.v2.pairs, *devnet.v3.pools]
        txs = [noise(devnet, rng, prices, pool) for pool in pools if rng.random() < 0.3]
        if at == DOOMED[0]:
            txs.append(self._fleeting_swap("WETH", "USDC", 600_000.0))
        if at == DOOMED[1]:
            user = devnet.roles.borrowers[REORGED]
            factor = self.health[max(self.health)][user]
            chosen = largest(devnet, user)
            if factor >= WAD or chosen is None:
                raise ScenarioError(f"borrower {REORGED} should be below 1 by now, has {factor / WAD:.4f}")
            pair = (devnet.tokens[chosen[0].asset], devnet.tokens[chosen[1].asset])
            liquidator = devnet.roles.fleeting_liquidator
            txs.append(aave.liquidate(devnet.aave, *pair, user, liquidator, chosen[1].variable // 3, a_token=False))
        return txs

    def _fleeting_swap(self, sell: str, buy: str, usd: float) -> Tx:
        devnet = self.devnet
        pool = next(pool for pool in devnet.v3.pools if {pool.token0, pool.token1} == {sell, buy} and pool.fee == 500)
        amount = devnet.tokens[sell].units(usd / self.prices[sell])
        trader = devnet.roles.fleeting_trader
        return swap(devnet, pool, trader, devnet.tokens[sell], devnet.tokens[buy], amount)

    def _reorg(self, step: Step) -> list[Played]:
        """Replace the doomed blocks: the others' transactions stay, the fleeting ones go, another swap comes."""
        chain, roles = self.devnet.chain, self.devnet.roles
        newest = chain.node.height()
        numbers = list(range(newest - len(DOOMED) + 1, newest + 1))
        gone = (roles.fleeting_trader, roles.fleeting_liquidator)
        kept: list[tuple[Sent, int]] = []
        removed: list[Sent] = []
        for offset, number in enumerate(numbers):
            for sent in self._sent[number]:
                if sent.tx.sender in gone:
                    removed.append(sent)
                else:
                    kept.append((sent, offset))
        if len(removed) != 2:
            raise ScenarioError(f"a swap and a liquidation were to be removed, found {len(removed)}")
        other = self._fleeting_swap("USDC", "WETH", 150_000.0)
        request = {**removed[0].request, "data": other.data}
        kept.append((Sent(other, "", request), len(DOOMED) - 1))
        self.orphans += [self.blocks.pop(number) for number in numbers]
        for number in numbers:
            del self.health[number]
        chain.node.reorg(len(DOOMED), [(sent.request, offset) for sent, offset in kept], interval=self.interval)
        chain.forget()
        played: list[Played] = []
        for offset, number in enumerate(numbers):
            block = chain.read_replaced(number, [sent for sent, where in kept if where == offset])
            played.append(self._record(step.index, step.phase, block, ("replaces an orphaned block",)))
        return played

    def _time(self) -> int:
        parent = self.blocks[max(self.blocks)].timestamp if self.blocks else self.devnet.chain.node.timestamp()
        return max(parent + self.interval, int(self.clock())) if self.clock else parent + self.interval

    def _mine(self, index: int | None, phase: str, txs: list[Tx], extra: tuple[str, ...]) -> Played:
        block = self.devnet.chain.mine(self._time(), txs)
        return self._record(index, phase, block, extra)

    def _record(self, index: int | None, phase: str, block: Block, extra: tuple[str, ...]) -> Played:
        what = extra + tuple(_words(receipt) for receipt in block.receipts if index is not None)
        played = Played(index, phase, block.number, block.hash, block.timestamp, what, tuple(block.receipts))
        self.blocks[block.number] = played
        self._sent[block.number] = [receipt.sent for receipt in block.receipts]
        self.health[block.number] = health_factors(self.devnet, block.number)
        self.market.setdefault(block.number, self.prices)  # a block that replaces another keeps its prices
        return played


def _words(receipt: Receipt) -> str:
    return receipt.sent.tx.what if receipt.ok else f"{receipt.sent.tx.what} (reverted)"
