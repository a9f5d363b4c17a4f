"""Positions of watched wallets in concentrated pools, as the events of pools and position tokens tell them."""

from __future__ import annotations

from defiwatch.config import Deployment
from defiwatch.domain.frames import RawLog
from defiwatch.protocols.concentrated.prices import sqrt_price_at
from defiwatch.protocols.concentrated.steps import amounts_for
from defiwatch.protocols.foreign import NFT_TRANSFER
from defiwatch.protocols.heard.exchanges import POSITION_DECREASED, POSITION_INCREASED
from defiwatch.protocols.uniswap_v3.events import BURN, INITIALIZE, MINT
from defiwatch.protocols.uniswap_v4.events import INITIALIZE as INITIALIZE_V4
from defiwatch.protocols.uniswap_v4.events import MODIFY_LIQUIDITY
from tests.unit.protocols.play import Player, at, raw

POOL, OTHER, MANAGER = ("0x" + digit * 40 for digit in "abc")
ME, YOU, ZERO = "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "0" * 40
ID = "0x" + "77" * 32
L = 10**18


def watching(*wallets: str, v4: bool = False) -> Player:
    v3_row = Deployment(chain="x", protocol="uniswap_v3", pools=(POOL,), positions=MANAGER)
    v4_row = Deployment(chain="x", protocol="uniswap_v4", address=POOL, positions=MANAGER)
    player = Player(v4_row if v4 else v3_row)
    player.instance.mine(wallets)
    return player


def given(sender: str, recipient: str, token: int) -> RawLog:
    return raw(NFT_TRANSFER.topic0, MANAGER, [("address", sender), ("address", recipient), ("uint256", token)], [])


def token(more: bool, number: int, liquidity: int, amounts: tuple[int, int] = (5, 7)) -> RawLog:
    spec = POSITION_INCREASED if more else POSITION_DECREASED
    data = [("uint128", liquidity), ("uint256", amounts[0]), ("uint256", amounts[1])]
    return raw(spec.topic0, MANAGER, [("uint256", number)], data)


def mint(owner: str, liquidity: int, pool: str = POOL, lower: int = -60, upper: int = 60) -> RawLog:
    topics = [("address", owner), ("int24", lower), ("int24", upper)]
    data = [("address", owner), ("uint128", liquidity), ("uint256", 5), ("uint256", 7)]
    return raw(MINT.topic0, pool, topics, data)


def burn(owner: str, liquidity: int, lower: int = -60, upper: int = 60) -> RawLog:
    topics = [("address", owner), ("int24", lower), ("int24", upper)]
    return raw(BURN.topic0, POOL, topics, [("uint128", liquidity), ("uint256", 5), ("uint256", 7)])


START = raw(INITIALIZE.topic0, POOL, [], [("uint160", sqrt_price_at(0)), ("int24", 0)])


def told(player: Player) -> list[tuple[str, str, int, bool, bool | None]]:
    return [
        (stake.account, stake.position, stake.units, stake.exact, stake.in_range)
        for stake in player.instance.stakes(player.book)
    ]


def test_a_position_that_was_made_in_sight_is_known_whole() -> None:
    player = watching(ME)
    player.block(at(1), START, mint(MANAGER, L), given(ZERO, ME, 7), token(True, 7, L))
    assert told(player) == [(ME, "7", L, True, True)]
    (stake,) = player.instance.stakes(player.book)
    assert (stake.pool, stake.amounts) == (POOL, amounts_for(sqrt_price_at(0), -60, 60, L))
    # Somebody else's position changes in the same pool: the event of its token is none of ours.
    player.block(at(2), mint(MANAGER, 9 * L), token(True, 8, 9 * L))
    assert told(player) == [(ME, "7", L, True, True)]
    player.block(at(3), burn(MANAGER, L // 4), token(False, 7, L // 4))
    assert told(player) == [(ME, "7", L - L // 4, True, True)]
    player.block(at(4), given(ME, YOU, 7))
    assert told(player) == []


def test_a_position_that_came_from_elsewhere_is_told_once_it_moves_and_as_the_least() -> None:
    player = watching(ME)
    player.block(at(1), START, mint(MANAGER, L), given(ZERO, YOU, 7), token(True, 7, L))
    player.block(at(2), given(YOU, ME, 7))
    assert told(player) == [], "no event says in which pool it is"
    player.block(at(3), mint(MANAGER, 5), token(True, 7, 5))
    assert told(player) == [(ME, "7", 5, False, True)]
    player.block(at(4), burn(MANAGER, L), token(False, 7, L))
    assert told(player) == []


def test_a_position_in_a_pool_that_is_not_followed_is_not_told() -> None:
    player = watching(ME)
    player.block(at(1), START, mint(MANAGER, L, OTHER), given(ZERO, ME, 7), token(True, 7, L))
    assert told(player) == []


def test_who_mints_in_the_pool_itself() -> None:
    player = watching(ME)
    player.block(at(1), START, mint(ME, L), mint(ME, 3, lower=60, upper=120), mint(YOU, L))
    assert told(player) == [(ME, "", L, False, True), (ME, "", 3, False, False)]
    player.instance.mine([YOU])
    player.block(at(2), mint(YOU, 4), burn(ME, L))
    assert told(player) == [(YOU, "", 4, False, True)]
    player.instance.mine([ME])
    player.block(at(3), mint(ME, 2))
    assert (ME, "", 2, False, True) in told(player), "what passed while it was not watched is not counted"


def modified(sender: str, delta: int, salt: int, lower: int = -60, upper: int = 60) -> RawLog:
    data = [("int24", lower), ("int24", upper), ("int256", delta), ("bytes32", f"0x{salt:064x}")]
    return raw(MODIFY_LIQUIDITY.topic0, POOL, [("bytes32", ID), ("address", sender)], data)


def test_a_position_of_v4_by_its_token() -> None:
    """The token comes first, then the manager's event with its number as the salt."""
    player = watching(ME, v4=True)
    topics = [("bytes32", ID), ("address", ME), ("address", YOU)]
    rest = [("uint24", 500), ("int24", 10), ("address", ZERO), ("uint160", sqrt_price_at(0)), ("int24", 0)]
    player.block(at(1), raw(INITIALIZE_V4.topic0, POOL, topics, rest))
    player.block(at(2), given(ZERO, ME, 7), modified(MANAGER, L, 7), modified(MANAGER, 9 * L, 8))
    assert told(player) == [(ME, "7", L, True, True)]
    player.block(at(3), modified(MANAGER, -L // 2, 7), modified(MANAGER, 0, 7))
    assert told(player) == [(ME, "7", L - L // 2, True, True)]
    player.block(at(4), given(ME, ZERO, 7), modified(YOU, 5, 0))
    assert told(player) == []
