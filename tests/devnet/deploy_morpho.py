"""Morpho Blue with two markets, each with an oracle whose price is set by whoever plays the market."""

from __future__ import annotations

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from .abi import MAX_UINT256, encode
from .artifacts import compiled
from .chain import Chain, Tx
from .model import Morpho, MorphoMarket, Roles, Token

WAD = 10**18
MARKETS = (("WETH", "USDC", 860_000_000_000_000_000), ("wstETH", "WETH", 945_000_000_000_000_000))
"""collateral, loan, LLTV (wad)"""
_PARAMS = "(address,address,address,address,uint256)"


def oracle_price(collateral: Token, loan: Token, prices: dict[str, float]) -> int:
    """What a Morpho oracle says: loan units per collateral unit, scaled by 1e36."""
    ratio = round(prices[collateral.symbol] / prices[loan.symbol] * 10**12)
    return ratio * int(10 ** (36 + loan.decimals - collateral.decimals)) // 10**12


def deploy_morpho(chain: Chain, roles: Roles, tokens: dict[str, Token], prices: dict[str, float]) -> Morpho:
    """The contract, its markets, suppliers and borrowers' collateral allowances; mines what it needs to."""
    admin = roles.admin
    morpho = chain.deploy(admin, compiled("morpho-blue", "Morpho"), "Morpho", "address", admin)
    irm = chain.deploy(admin, compiled("morpho-blue", "IrmMock"), "IrmMock")
    chain.send([Tx(admin, morpho, encode("enableIrm(address)", irm), "enable the rate model")])
    markets: list[MorphoMarket] = []
    for collateral, loan, lltv in MARKETS:
        oracle = chain.deploy(admin, compiled("morpho-blue", "OracleMock"), "Morpho oracle")
        params = (tokens[loan].address, tokens[collateral].address, oracle, irm, lltv)
        market_id = "0x" + keccak(abi_encode([_PARAMS], [params])).hex()
        price = oracle_price(tokens[collateral], tokens[loan], prices)
        chain.send(
            [
                Tx(admin, oracle, encode("setPrice(uint256)", price), "Morpho oracle price"),
                Tx(admin, morpho, encode("enableLltv(uint256)", lltv), "enable an LLTV"),
                Tx(admin, morpho, encode(f"createMarket({_PARAMS})", params), f"market {collateral}/{loan}"),
            ]
        )
        markets.append(MorphoMarket(market_id, loan, collateral, oracle, irm, lltv, params))
    approve = encode("approve(address,uint256)", morpho, MAX_UINT256)
    for person in (roles.whale, *roles.morpho_borrowers, *roles.liquidators):
        chain.send([Tx(person, token.address, approve, "approve Morpho") for token in tokens.values()])
    deployed = Morpho(morpho, irm, tuple(markets))
    for market, usd in zip(markets, (3_000_000.0, 3_000_000.0), strict=True):
        amount = tokens[market.loan].units(usd / prices[market.loan])
        chain.send([supply(deployed, market, roles.whale, amount)])
    chain.mine(chain.node.timestamp() + 12)
    return deployed


def supply(morpho: Morpho, market: MorphoMarket, user: str, amount: int) -> Tx:
    data = encode(f"supply({_PARAMS},uint256,uint256,address,bytes)", market.params, amount, 0, user, b"")
    return Tx(user, morpho.address, data, f"Morpho supply {market.loan}")


def supply_collateral(morpho: Morpho, market: MorphoMarket, user: str, amount: int) -> Tx:
    data = encode(f"supplyCollateral({_PARAMS},uint256,address,bytes)", market.params, amount, user, b"")
    return Tx(user, morpho.address, data, f"Morpho collateral {market.collateral}")


def borrow(morpho: Morpho, market: MorphoMarket, user: str, amount: int) -> Tx:
    data = encode(f"borrow({_PARAMS},uint256,uint256,address,address)", market.params, amount, 0, user, user)
    return Tx(user, morpho.address, data, f"Morpho borrow {market.loan}")


def repay(morpho: Morpho, market: MorphoMarket, user: str, amount: int) -> Tx:
    data = encode(f"repay({_PARAMS},uint256,uint256,address,bytes)", market.params, amount, 0, user, b"")
    return Tx(user, morpho.address, data, f"Morpho repay {market.loan}")


def liquidate(morpho: Morpho, market: MorphoMarket, user: str, liquidator: str, shares: int) -> Tx:
    """Repay `shares` of the debt; Morpho works out what is seized."""
    data = encode(f"liquidate({_PARAMS},address,uint256,uint256,bytes)", market.params, user, 0, shares, b"")
    return Tx(liquidator, morpho.address, data, f"Morpho liquidate {user[:8]}")


def set_price(roles: Roles, market: MorphoMarket, price: int) -> Tx:
    """`price` as `oracle_price` gives it."""
    return Tx(roles.admin, market.oracle, encode("setPrice(uint256)", price), f"Morpho {market.collateral} price")
