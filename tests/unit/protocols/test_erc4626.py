"""ERC-4626 vaults: what is read when, and what a share is worth."""

from __future__ import annotations

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.frames import CallResult
from defiwatch.domain.risk import Vault
from defiwatch.errors import ConfigError
from defiwatch.protocols import erc20, erc4626, registry
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw

VAULT, USDC, SOMEBODY = "0x" + "44" * 20, "0x" + "02" * 20, "0x" + "55" * 20
ONE = 10**18


def player() -> Player:
    return Player(Deployment(chain="x", protocol="erc4626", pools=(VAULT,)))


def amounts(price: int, assets: int, shares: int, idle: int) -> list[CallResult]:
    return [
        answer(erc4626.TOTAL_ASSETS, VAULT, assets),
        answer(erc4626.TOTAL_SUPPLY, VAULT, shares),
        answer(erc20.BALANCE_OF, USDC, idle, args=[VAULT]),
        answer(erc4626.CONVERT_TO_ASSETS, VAULT, price, args=[ONE]),
    ]


def started() -> Player:
    it = player()
    it.block(at(1, 1000))
    it.read([answer(erc4626.ASSET, VAULT, USDC), *token_answers(VAULT, "yvUSDC", "a vault", 18)])
    it.read([*token_answers(USDC, "USDC", "USD Coin", 6), *amounts(1_050_000, 2_100 * 10**6, 2_000 * ONE, 300 * 10**6)])
    return it


def asked(it: Player) -> set[tuple[str, str]]:
    return {(to, data[:10]) for to, data in it.wants()}


TOTALS = {
    (VAULT, erc4626.TOTAL_ASSETS.selector),
    (VAULT, erc4626.TOTAL_SUPPLY.selector),
    (USDC, erc20.BALANCE_OF.selector),
    (VAULT, erc4626.CONVERT_TO_ASSETS.selector),
}


def test_a_start_takes_two_rounds_and_then_rests() -> None:
    it = player()
    it.block(at(1, 1000))
    assert (VAULT, erc4626.ASSET.selector) in asked(it)
    assert (USDC, erc20.BALANCE_OF.selector) not in asked(it)
    it = started()
    assert it.wants() == []
    assert list(it.instance.vaults(it.book)) == [
        Vault(
            chain_id=1,
            protocol="erc4626",
            id=VAULT,
            label="yvUSDC",
            asset=USDC,
            symbol="USDC",
            decimals=6,
            share_price=1_050_000,
            assets=2_100 * 10**6,
            shares=2_000 * ONE,
            idle=300 * 10**6,
            block=1,
            time=1000,
        )
    ]


def test_it_is_read_again_after_a_minute_and_after_a_deposit() -> None:
    it = started()
    it.block(at(2, 1059))
    assert it.wants() == []
    who = ("address", SOMEBODY)
    it.block(at(3, 1059), raw(erc4626.DEPOSIT.topic0, VAULT, [who, who], [("uint256", 5), ("uint256", 4)]))
    assert asked(it) == TOTALS
    it.read(amounts(1_050_001, 2_200 * 10**6, 2_095 * ONE, 400 * 10**6))
    assert it.wants() == []
    it.block(at(4, 1118))
    assert it.wants() == []
    it.block(at(5, 1119))
    assert asked(it) == TOTALS


def test_a_reorg_takes_a_reading_back() -> None:
    it = started()
    it.block(at(2, 1060))
    before = it.book.digest()
    it.block(at(3, 1072))
    it.read(amounts(1, 1, 1, 1))
    it.book.undo()
    assert it.book.digest() == before


def test_what_is_no_vault_is_unknown_and_not_asked_for_ever() -> None:
    it = player()
    it.block(at(1, 1000))
    it.read(
        [
            refusal(erc4626.ASSET, VAULT),
            refusal(erc4626.TOTAL_ASSETS, VAULT),
            refusal(erc4626.TOTAL_SUPPLY, VAULT),
            *token_answers(VAULT, "X", "no vault", 18),
        ]
    )
    it.read([refusal(erc4626.CONVERT_TO_ASSETS, VAULT, args=[ONE])])
    assert it.wants() == []
    (vault,) = it.instance.vaults(it.book)
    assert "asset" in vault.unknown
    assert "share price" in vault.unknown


def test_others_answers_are_left_alone() -> None:
    it = started()
    other = answer(erc20.BALANCE_OF, USDC, 7, args=[SOMEBODY])
    assert it.read([other, answer(erc4626.TOTAL_ASSETS, SOMEBODY, 7)]) == [False, False]


def test_a_deployment_without_vaults() -> None:
    with pytest.raises(ConfigError, match="pools"):
        registry.create(1, Deployment(chain="x", protocol="erc4626"))
