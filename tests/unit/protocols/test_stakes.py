"""What is told of a watched wallet's shares: the least that events prove, and nothing that is asked for its sake."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defiwatch.config import Config, Deployment, Watch
from defiwatch.domain.frames import BlockFrame, ChainRef, Header, HeaderFrame, RawLog, ReadsFrame
from defiwatch.domain.risk import Stake
from defiwatch.engine import Engine
from defiwatch.protocols import stakes, uniswap_v2
from defiwatch.protocols.erc20 import BALANCE_OF, TRANSFER
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw
from tests.unit.protocols.test_uniswap_v2 import PAIR, USDC, WETH, sync

ME, YOU, ZERO = "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "0" * 40
SHARES = 10**15


def moved(sender: str, recipient: str, amount: int) -> RawLog:
    return raw(TRANSFER.topic0, PAIR, [("address", sender), ("address", recipient)], [("uint256", amount)])


def watching(*wallets: str) -> Player:
    player = Player(Deployment(chain="x", protocol="uniswap_v2", pools=(PAIR,)))
    player.instance.mine(wallets)
    return player


def extras(player: Player) -> list[tuple[str, str]]:
    return [(call.to, call.data) for call in player.instance.extras(player.book, player.now)]


def of(player: Player) -> list[Stake]:
    return list(player.instance.stakes(player.book))


def supply(total: int, k_last: int = 0) -> list[Any]:
    return [answer(stakes.TOTAL_SUPPLY, PAIR, total), answer(uniswap_v2.K_LAST, PAIR, k_last)]


def test_the_least_is_told_with_what_the_pair_would_pay() -> None:
    player = watching(ME)
    player.block(at(1), sync(30 * 10**18, 60_000 * 10**6))
    assert (of(player), extras(player)) == ([], [])
    player.block(at(2), moved(YOU, ME, SHARES))
    assert player.instance.unseen(player.book, PAIR)
    assert not watching().instance.unseen(player.book, PAIR)
    (blind,) = of(player)
    assert (blind.amounts, blind.whole, blind.unknown) == ((), 0, stakes.UNREAD)
    assert extras(player) == [(PAIR, stakes.TOTAL_SUPPLY.selector), (PAIR, uniswap_v2.K_LAST.selector)]
    player.read(supply(10 * SHARES))
    assert extras(player) == []
    (told,) = of(player)
    assert (told.units, told.whole, told.exact, told.since) == (SHARES, 10 * SHARES, False, 2)
    assert told.amounts == (3 * 10**18, 6_000 * 10**6)
    # More goes out than came in: there was more before. Nothing is known of what is left.
    player.block(at(3), moved(ME, YOU, 3 * SHARES))
    assert of(player) == []
    player.block(at(4), moved(YOU, ME, 5))
    assert [stake.units for stake in of(player)] == [5]
    assert of(player)[0].unknown == stakes.UNREAD, "the supply was not read since"


def test_who_was_there_when_the_pool_began_is_known_whole() -> None:
    player = watching(ME, YOU)
    player.block(at(1), moved(ZERO, ZERO, 1000), moved(ZERO, ME, SHARES), sync(10**18, 10**9))
    player.block(at(2), moved(ME, YOU, SHARES // 4))
    player.read(supply(SHARES + 1000))
    assert not player.instance.unseen(player.book, PAIR)
    assert [(stake.account, stake.units, stake.exact) for stake in of(player)] == [
        (ME, SHARES - SHARES // 4, True),
        (YOU, SHARES // 4, True),
    ]


def test_a_balance_is_asked_for_only_where_that_was_allowed() -> None:
    player = watching(ME)
    player.block(at(1), sync(10**18, 10**9))
    assert extras(player) == []
    player.instance.watch([ME])
    assert (PAIR, BALANCE_OF.call(PAIR, ME).data) in extras(player)
    player.read([*supply(SHARES), answer(BALANCE_OF, PAIR, SHARES // 2, args=(ME,))])
    assert extras(player) == []
    (told,) = of(player)
    assert not player.instance.unseen(player.book, PAIR)
    assert (told.units, told.exact, told.amounts) == (SHARES // 2, True, (10**18 // 2, 10**9 // 2))


def test_a_fork_that_does_not_know_a_question_is_told_without_it() -> None:
    player = watching(ME)
    player.block(at(1), sync(10**18, 10**9), moved(YOU, ME, SHARES))
    player.read([answer(stakes.TOTAL_SUPPLY, PAIR, 2 * SHARES), refusal(uniswap_v2.K_LAST, PAIR)])
    assert extras(player) == []
    assert [stake.amounts for stake in of(player)] == [(10**18 // 2, 10**9 // 2)]


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(0, 50),
    moves=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12),
)
def test_the_least_is_never_more_than_what_is_there(start: int, moves: list[tuple[bool, int]]) -> None:
    """Whatever it had before, and as good as can be: somebody with that much could have made the same moves."""
    player, held, worst = watching(ME), start, 0
    for number, (inwards, size) in enumerate(moves, 1):
        amount = size if inwards else min(size, held)
        if amount == 0:
            continue
        held += amount if inwards else -amount
        worst = min(worst, held - start)
        player.block(at(number), moved(YOU, ME, amount) if inwards else moved(ME, YOU, amount))
    least = sum(stake.units for stake in of(player))
    assert least == held - start - worst
    assert 0 <= least <= held


def asked(*wallets: str) -> list[Any]:
    """All that is asked for through a few blocks."""
    player, found = watching(*wallets), []
    for number, log in enumerate((moved(ZERO, ZERO, 1000), moved(ZERO, ME, SHARES), moved(ME, YOU, 7)), 1):
        player.block(at(number), log)
        found += [
            player.instance.filter(player.book),
            extras(player),
            player.wants(),
            player.instance.scans(player.book),
        ]
        player.read(supply(SHARES))
    return found


def test_what_is_asked_for_is_the_same_whoever_is_watched() -> None:
    assert asked(ME) == asked(ME, YOU) == asked()


def test_the_pools_row_shows_share_amounts_and_value() -> None:
    """Through the engine: the wallet of the configuration, the pool's row, dollars by the book's prices."""
    engine = Engine(Config(watch=Watch(wallets=(ME.upper().replace("0X", "0x"),))), mode="replay")
    deployment = msgspec.Raw(f'{{"chain":"x","protocol":"uniswap_v2","pools":["{PAIR}"]}}'.encode())
    engine.feed(HeaderFrame(schema="defiwatch.recording/1", chains=(ChainRef(1, "x"),), deployments=(deployment,)))
    header = Header(number="0x1", hash="0x" + "01" * 32, parent_hash="0x" + "00" * 32, timestamp="0x65000000")
    logs = (sync(30 * 10**18, 60_000 * 10**6), moved(YOU, ME, SHARES))
    engine.feed(BlockFrame(1, header, logs))
    told = [
        answer(uniswap_v2.TOKEN0, PAIR, WETH),
        answer(uniswap_v2.TOKEN1, PAIR, USDC),
        *token_answers(WETH, "WETH", "Ether", 18),
        *token_answers(USDC, "USDC", "USD Coin", 6),
    ]
    engine.feed(ReadsFrame(1, "0x1", tuple(told), header.hash))
    (row,) = engine.snapshot().pools
    (stake,) = row.stakes
    assert (stake.share, stake.tokens, stake.unknown) == (None, (), stakes.UNREAD)
    engine.feed(ReadsFrame(1, "0x1", tuple(supply(20 * SHARES)), header.hash))
    (row,) = engine.snapshot().pools
    (stake,) = row.stakes
    assert (stake.account, stake.label, stake.share) == (ME, "0x1111…1111", 0.05)
    assert stake.tokens == (("WETH", 1.5, str(15 * 10**17)), ("USDC", 3_000.0, str(3_000 * 10**6)))
    assert stake.value_usd == pytest.approx(6_000.0)
    assert row.stakes_unseen
    assert stake.caveat == "the least it can be: what the wallet had before block 1 is not known"
