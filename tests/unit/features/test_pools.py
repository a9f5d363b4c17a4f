"""Features of trades and blocks, on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.events import BlockRef, Swapped
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Pool
from defiwatch.features import FEATURES, Features
from defiwatch.features.pools import MEMORY_S, TRACES, depth
from defiwatch.state.journal import JournaledBook

POOL = "0x" + "ab" * 20
A, B = "0x" + "01" * 20, "0x" + "02" * 20


def block(number: int, time: int | None = None, fork: str = "") -> BlockRef:
    return BlockRef(1, number, f"0x{fork}{number:x}", 12 * number if time is None else time)


def swap(price: float, amount0: int = 10**6, amount1: int = -(10**18)) -> Swapped:
    return Swapped(POOL, "uniswap_v2", A, B, amount0, amount1, price, 3000, "0xtx", 1)


def pool(price: float = 1.0, reserves: tuple[int, int] = (10**9, 10**21), *, liquidity: int = 0) -> Pool:
    return Pool(1, "uniswap_v2", POOL, "A/B", (A, B), ("A", "B"), (6, 18), reserves, 3000, price, liquidity)


class Chain:
    """A book and its features, fed block by block."""

    def __init__(self) -> None:
        self.book = JournaledBook(1)
        self.features = Features(600.0)

    def block(
        self, at: BlockRef, *facts: Swapped, standing: tuple[tuple[str, str], ...] = (), now: Pool | None = None
    ) -> list[Observation]:
        self.book.open(at)
        state = now or pool(facts[-1].price if facts else 1.0)
        found = [obs for fact in facts for obs in self.features.on_fact(self.book, at, fact, state)]
        return found + list(self.features.on_block(self.book, at, lambda _protocol, _id: state, standing))


def test_the_first_trade_of_a_pool_is_no_trade_to_compare() -> None:
    assert [obs.kind for obs in Chain().block(block(1), swap(1.0))] == ["flow"]


def test_a_move_and_back_inside_one_block_is_seen_at_once() -> None:
    chain = Chain()
    for number in range(1, 50):
        chain.block(block(number), swap(100.0))
    there, back, closed = chain.block(block(50), swap(105.0), swap(100.0))
    assert there.values["move"] == pytest.approx(math.log(1.05))
    assert there.values["block_move"] == pytest.approx(math.log(1.05))
    assert there.values["deviation"] == pytest.approx(math.log(1.05))
    assert there.facts["block_move"] == pytest.approx(0.05)
    assert back.values["move"] == pytest.approx(math.log(1.05))
    assert back.values["block_move"] == pytest.approx(0.0)
    assert back.facts["move"] == pytest.approx(100 / 105 - 1)
    assert closed.kind == "flow"
    assert closed.values["close_move"] == pytest.approx(0.0)
    assert closed.values["deviation"] == pytest.approx(0.0, abs=1e-12)


def test_the_mean_price_moves_between_blocks_only_and_by_the_time_that_passed() -> None:
    chain = Chain()
    chain.block(block(1, 0), swap(100.0))
    chain.block(block(2, 100), swap(110.0))
    first = chain.block(block(3, 100 + int(MEMORY_S)), swap(110.0))[0]
    assert first.values["deviation"] == pytest.approx(math.log(1.1) * math.exp(-1.0))


def test_size_and_flow_are_shares_of_the_pool() -> None:
    chain = Chain()
    chain.block(block(1, 0), swap(1.0))
    obs = chain.block(block(2, 0), swap(1.0, amount0=10**8, amount1=-(10**20)))[0]
    assert obs.values["size"] == pytest.approx(0.1)
    assert obs.values["flow"] == pytest.approx(0.1 + 0.001)
    opposite = chain.block(block(3, 0), swap(1.0, amount0=-(10**8), amount1=10**20))[0]
    assert opposite.values["flow"] == pytest.approx(0.001)
    later = chain.block(block(4, int(MEMORY_S)), swap(1.0, amount0=0, amount1=0))[0]
    assert later.values["flow"] == pytest.approx(0.001 * math.exp(-1.0))


def test_pace_and_gap() -> None:
    chain = Chain()
    chain.block(block(1, 0), swap(1.0))
    first, second, closed = chain.block(block(2, 36), swap(1.0), swap(1.0))
    assert (first.values["gap"], second.values["gap"]) == (36.0, 0.0)
    assert (first.values["pace"], second.values["pace"], closed.values["trades"]) == (1.0, 2.0, 2.0)


def test_reserves_changed_over_the_block() -> None:
    chain = Chain()
    chain.block(block(1), swap(1.0), now=pool(reserves=(1000, 1000)))
    closed = chain.block(block(2), swap(1.0), now=pool(reserves=(1000, 750)))[-1]
    assert closed.values["reserve_change"] == pytest.approx(0.25)


def test_concentrated_liquidity_trades_like_its_virtual_reserves() -> None:
    """USDC/WETH 0.05 % at 2,240: L of 1.17e19 is about 555 million USDC and 248,000 WETH deep around the price."""
    pair = Pool(
        1, "uniswap_v3", POOL, "", (A, B), ("USDC", "WETH"), (6, 18), (0, 0), 500, 1 / 2240, 11_700_000_000_000_000_000
    )
    usdc, weth = depth(pair, swap(1 / 2240))
    assert usdc / 1e6 == pytest.approx(553.7e6, rel=0.01)
    assert weth / 1e18 == pytest.approx(247_200, rel=0.01)
    assert usdc * weth == pytest.approx(float(pair.liquidity) ** 2, rel=1e-9)


def test_a_pool_that_stands_is_looked_at_without_trades_and_teaches_nothing() -> None:
    chain = Chain()
    chain.block(block(1, 0), swap(100.0))
    chain.block(block(2, 12), swap(120.0))
    (quiet,) = [obs for obs in chain.block(block(3, 24), standing=(("uniswap_v2", POOL),)) if obs.kind == "flow"]
    assert not quiet.learnable
    assert set(quiet.values) == {"deviation"}
    later = chain.block(block(9, 3600), standing=(("uniswap_v2", POOL),))[-1]
    assert later.values["deviation"] < 0.01 * quiet.values["deviation"]
    assert chain.block(block(10)) == []


def test_prices_told_with_other_decimals_are_not_compared() -> None:
    chain = Chain()
    raw = Pool(1, "uniswap_v2", POOL, "", (A, B), ("", ""), (0, 0), (1, 1), 3000, 1e12)
    chain.block(block(1), swap(1e12), now=raw)
    assert [obs.kind for obs in chain.block(block(2), swap(1.0))] == ["flow"]
    assert chain.block(block(3), swap(1.01))[0].values["move"] == pytest.approx(math.log(1.01))


@pytest.mark.parametrize("price", [0.0, math.inf, math.nan])
def test_a_price_that_cannot_be_told_leaves_the_last_one_standing(price: float) -> None:
    chain = Chain()
    chain.block(block(1), swap(100.0))
    obs = chain.block(block(2), swap(price))[0]
    assert obs.values["move"] == 0.0
    assert chain.block(block(3), swap(101.0))[0].values["move"] == pytest.approx(math.log(1.01))


def test_an_unknown_pool_still_has_prices() -> None:
    features, book = Features(600.0), JournaledBook(1)
    book.open(block(1))
    assert list(features.on_fact(book, block(1), swap(100.0), None)) == []
    (obs,) = features.on_fact(book, block(1), swap(101.0), None)
    assert obs.values["move"] == pytest.approx(math.log(1.01))
    assert "size" not in obs.values
    assert "flow" not in obs.values
    assert obs.subject.label == "0xabab…abab"


@pytest.mark.parametrize("tokens", [("", ""), (A, A), (A, "")])
def test_a_pool_whose_tokens_are_not_known_gives_no_size(tokens: tuple[str, str]) -> None:
    """One id for both sides would measure the large side's amount by the small side's reserve."""
    fact = Swapped(POOL, "uniswap_v2", *tokens, 200_000_000, -(10**17), 1e9, 3000, "0xtx", 1)
    known = Pool(1, "uniswap_v2", POOL, "", tokens, ("", ""), (0, 0), (10**9, 10**21), 3000, 1e12)
    assert depth(known, fact) == (0.0, 0.0)
    chain = Chain()
    chain.block(block(1), fact, now=known)
    trade, closed = chain.block(block(2), fact, now=known)
    assert not {"size", "flow"} & set(trade.values)
    assert not {"volume", "flow"} & set(closed.values)


def test_reserves_that_were_not_known_did_not_change() -> None:
    chain = Chain()
    chain.block(block(1), swap(1.0), now=pool(reserves=(0, 0)))
    closed = next(o for o in chain.block(block(2), swap(1.0), now=pool(reserves=(1000, 750))) if o.kind == "flow")
    assert closed.values["reserve_change"] == 0.0
    gone = next(o for o in chain.block(block(3), swap(1.0), now=pool(reserves=(0, 750))) if o.kind == "flow")
    assert gone.values["reserve_change"] == 1.0


def test_every_feature_is_listed_with_its_unit() -> None:
    chain = Chain()
    chain.block(block(1), swap(1.0))
    for obs in chain.block(block(2), swap(1.1)):
        assert tuple(obs.values) == tuple(FEATURES[obs.kind])


TRADES = st.lists(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.integers(-(10**12), 10**12)), max_size=3), min_size=1, max_size=8
)


@given(kept=TRADES, orphaned=TRADES)
def test_a_reorg_undoes_everything(
    kept: list[list[tuple[float, int]]], orphaned: list[list[tuple[float, int]]]
) -> None:
    """The book and what is observed next are those of a run that never saw the orphaned blocks."""
    seen, never = Chain(), Chain()
    for number, trades in enumerate(kept):
        for chain in (seen, never):
            chain.block(block(number), *(swap(p, a, -a) for p, a in trades))
    top = len(kept)
    for number, trades in enumerate(orphaned):
        seen.block(block(top + number, fork="f"), *(swap(p, a, -a) for p, a in trades))
    for _ in orphaned:
        seen.book.undo()
    assert seen.book.digest() == never.book.digest()
    assert seen.block(block(top), swap(3.0)) == never.block(block(top), swap(3.0))
    assert dict(seen.book.items(TRACES)) == dict(never.book.items(TRACES))
