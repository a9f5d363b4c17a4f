"""An Aave market of tokens with 0, 2 and 27 decimals, counted in a currency of 18: ours is what the contract says."""

from __future__ import annotations

import random

import pytest

from defiwatch.config import Deployment
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.liquidation import LEGACY_CODES, TRANSFER

from . import abi
from . import deploy_aave as aave
from .artifacts import AAVE, bytecode
from .chain import Call, Tx, tag
from .deploy_aave import Terms
from .driver import Driver
from .model import AaveMarket, Devnet, Feed, Token
from .node import CHAIN_ID, RpcError

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(300)]

UNIT = 10**18
DECIMALS = {"WHOLE": 0, "CENTS": 2, "COIN": 18, "FINE": 27}
PRICES = {"WHOLE": UNIT, "CENTS": UNIT // 50, "COIN": UNIT // 3, "FINE": UNIT // 1_000}
LISTED = {
    symbol: Terms(ltv, threshold, bonus, 1500, fee, 0, 8000, 400, 9000, 100, whale)
    for symbol, ltv, threshold, bonus, fee, whale in (
        ("WHOLE", 7000, 7500, 10500, 1000, 5_000),
        ("CENTS", 7300, 7800, 10700, 0, 300_000),
        ("COIN", 8000, 8250, 10500, 2000, 20_000),
        ("FINE", 7700, 8000, 10450, 1000, 6_000_000),
    )
}


class Lab:
    """The market on the devnet's chain, beside the ordinary one, and ours that follows it."""

    def __init__(self, devnet: Devnet) -> None:
        chain, roles = devnet.chain, devnet.roles
        self.chain, self.roles, self.users = chain, roles, roles.borrowers[:6]
        self.tokens: dict[str, Token] = {}
        for symbol, decimals in DECIMALS.items():
            terms = ("string,string,uint8", symbol, symbol, decimals)
            address = chain.deploy(roles.admin, bytecode(AAVE, "MintableERC20"), symbol, *terms)
            self.tokens[symbol] = Token(symbol, address, decimals)
        for token in self.tokens.values():
            amount = token.units(100_000_000)
            for person in (roles.whale, roles.probe, *self.users):
                data = abi.encode("mint(address,uint256)", person, amount)
                chain.send([Tx(roles.admin, token.address, data, "mint")])
        feeds = {symbol: self.feed(symbol, price) for symbol, price in PRICES.items()}
        self.mine_only()
        self.market: AaveMarket = aave.deploy_aave(chain, roles, self.tokens, feeds, LISTED, UNIT)
        deployment = Deployment(chain="devnet", protocol="aave_v3", address=self.market.provider)
        self.instance = AaveV3(CHAIN_ID, deployment)
        self.driver = Driver(chain, [self.instance])
        self.driver.follow(start=1)
        self.accounts = self.unreadable = 0
        self.probes: dict[str, int] = {}

    def feed(self, symbol: str, price: int) -> Feed:
        address = self.chain.deploy(self.roles.admin, bytecode(AAVE, "MockAggregator"), "feed", "int256", price)
        return Feed(symbol, address, address, self.roles.oracle, 0.0, 0)

    def mine_only(self, *txs: Tx, seconds: int = 12) -> None:
        self.chain.mine(self.chain.node.timestamp() + seconds, list(txs))

    def mine(self, *txs: Tx, seconds: int = 12) -> None:
        self.mine_only(*txs, seconds=seconds)
        self.driver.follow()
        self.compare()

    def price(self, symbol: str, price: int) -> Tx:
        feed = self.feed(symbol, price)
        data = abi.encode("setAssetSources(address[],address[])", [self.tokens[symbol].address], [feed.proxy])
        return Tx(self.roles.admin, self.market.oracle, data, "price")

    def compare(self) -> None:
        """Every account and every possible liquidation, at the block on top."""
        at, book = self.driver.at, self.driver.intake.book
        calls = [
            Call(self.market.pool, "getUserAccountData(address)", (user,), ",".join(["uint256"] * 6))
            for user in self.users
        ]
        for user, told in zip(self.users, self.chain.multicall(calls, at.number), strict=True):
            ours = self.instance.account_data(book, at, user)
            if told is None:
                self.unreadable += 1
                assert isinstance(ours, str)
                assert "reverts" in ours
                continue
            self.accounts += 1
            assert isinstance(ours, AccountData), ours
            assert (ours.collateral, ours.debt, ours.available, ours.threshold, ours.ltv, ours.health_factor) == told
            for collateral in (leg for leg in ours.legs if leg.collateral):
                for debt in (leg for leg in ours.legs if leg.debt):
                    mine = self.instance.probe_liquidation(book, at, user, collateral.asset, debt.asset)
                    theirs = self.probe(user, collateral.asset, debt.asset)
                    assert mine == theirs, f"{collateral.symbol} for {debt.symbol} of {user} at {at.number}"
                    self.probes[mine] = self.probes.get(mine, 0) + 1

    def probe(self, user: str, collateral: str, debt: str) -> str:
        signature = "liquidationCall(address,address,address,uint256,bool)"
        data = abi.encode(signature, collateral, debt, user, abi.MAX_UINT256, False)
        request = {"from": self.roles.probe, "to": self.market.pool, "data": data, "gas": hex(30_000_000)}
        try:
            self.chain.node.rpc("eth_call", request, tag(self.driver.at.number))
        except RpcError as error:
            if str(error.data).startswith("0x4e487b71"):
                return "Panic"
            reason = abi.revert_reason(error.data) or error.message
            if reason == "ERC20: transfer amount exceeds balance":
                return TRANSFER
            return LEGACY_CODES.get(reason, reason)
        return "ok"


def test_odd_decimals_and_an_odd_currency(devnet: Devnet) -> None:
    lab = Lab(devnet)
    market, tokens, users, roles, rng = lab.market, lab.tokens, lab.users, lab.roles, random.Random(5)

    def supply(symbol: str, user: str, amount: float) -> Tx:
        return aave.supply(market, tokens[symbol], user, tokens[symbol].units(amount))

    def borrow(symbol: str, user: str, amount: float) -> Tx:
        return aave.borrow(market, tokens[symbol], user, tokens[symbol].units(amount))

    lab.mine(
        supply("FINE", users[0], 4_000),
        supply("WHOLE", users[1], 9),
        supply("CENTS", users[2], 700.01),
        supply("COIN", users[3], 31.4159),
        *(supply(symbol, users[4], 1_000) for symbol in ("CENTS", "FINE")),
        supply("COIN", users[5], 3),
    )
    lab.mine(
        borrow("WHOLE", users[0], 2),
        borrow("FINE", users[1], 5_000.123),
        borrow("CENTS", users[1], 20.5),
        borrow("COIN", users[2], 25),
        borrow("CENTS", users[3], 300.07),
        borrow("WHOLE", users[3], 1),
        borrow("FINE", users[4], 9_000),
    )
    lab.mine(seconds=86_400 * 300)
    lab.mine(lab.price("COIN", UNIT // 4), seconds=3_601)
    lab.mine(lab.price("WHOLE", UNIT * 7 // 9), lab.price("FINE", UNIT // 900))
    assert lab.probes["ok"] > 3
    lab.mine(
        aave.liquidate(market, tokens["COIN"], tokens["CENTS"], users[3], roles.probe, 1_234, a_token=True),
        aave.liquidate(market, tokens["WHOLE"], tokens["FINE"], users[1], roles.probe, abi.MAX_UINT256, a_token=False),
    )
    for _ in range(6):
        symbol = rng.choice(sorted(DECIMALS))
        lab.mine(lab.price(symbol, PRICES[symbol] * rng.randint(40, 130) // 100), seconds=rng.randint(1, 86_400))
        lab.mine(aave.repay(market, tokens["CENTS"], users[3], 1), seconds=1)

    # A fallback oracle that knows no price answers 0, which no liquidation can divide by; without one it reverts.
    lab.mine(lab.price("WHOLE", UNIT), lab.price("COIN", UNIT // 3))
    fallback = lab.chain.deploy(roles.admin, bytecode(AAVE, "PriceOracle"), "fallback")
    to_fallback = abi.encode("setFallbackOracle(address)", fallback)
    lab.mine(Tx(roles.admin, market.oracle, to_fallback, "fallback"), lab.price("COIN", -1))
    assert lab.probes["Panic"] > 0
    assert lab.unreadable == 0
    lab.mine(Tx(roles.admin, market.oracle, abi.encode("setFallbackOracle(address)", abi.ZERO), "no fallback"))
    assert lab.unreadable > 1
    assert lab.accounts > 100
    assert lab.driver.intake.book.notices == {}


def test_a_pool_without_liquidity(devnet: Devnet) -> None:
    """What is seized must be there before what is repaid comes: of another asset, and of the same one."""
    lab = Lab(devnet)
    market, tokens, users, roles = lab.market, lab.tokens, lab.users, lab.roles
    coin, fine = tokens["COIN"], tokens["FINE"]
    lab.mine(
        *(aave.supply(market, coin, user, coin.units(3_000)) for user in users[:3]),
        aave.supply(market, fine, roles.whale, fine.units(50_000_000)),
    )
    lab.mine(
        aave.borrow(market, fine, users[0], fine.units(790_000)),
        aave.borrow(market, coin, users[1], coin.units(2_350)),
        aave.borrow(market, coin, users[2], coin.units(2_390)),
        aave.borrow(market, coin, roles.whale, coin.units(24_255)),
    )
    lab.mine(lab.price("COIN", UNIT * 20 // 100), seconds=86_400 * 200)
    assert lab.probes["Panic"] > 1
    lab.mine(aave.repay(market, coin, roles.whale, coin.units(4_500)))
    assert lab.probes["ok"] > 0
