"""A lab for Aave v3.6 on its own bytecode: a market, ours that follows it, and the comparison of both at a block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3 import AaveV3, liquidation
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.state import CATEGORIES, Reserve
from tests.aave_v3_ours import RESERVE_WORDS, account_row, holding_row, reserve_row

from . import abi
from .artifacts import AAVE, bytecode
from .chain import Block, Call, Receipt, Tx, tag
from .deploy_origin import DECIMALS, EMODES, LISTED, PRICES, USD, admin_call, deploy_origin, init_reserve, reserve_of
from .driver import Driver
from .model import Devnet, Feed, Token
from .node import CHAIN_ID, RpcError
from .people import ACCOUNT_DATA
from .truth import RESERVE

PURSE = 400_000_000.0
"""What everyone owns of each token, USD."""
_LIQUIDATE = "liquidationCall(address,address,address,uint256,bool)"
_ERRORS = {
    abi.selector(f"{name}()"): name
    for name in (
        *(liquidation.INACTIVE, liquidation.PAUSED, liquidation.SENTINEL, liquidation.GRACE, liquidation.HEALTHY),
        *(liquidation.NOT_COLLATERAL, liquidation.NOT_BORROWED, liquidation.DUST, liquidation.NO_BURN),
    )
}
_LIQUIDATED = abi.topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
_DEFICIT = abi.topic("DeficitCreated(address,address,uint256)")
_TRANSFER = abi.topic("Transfer(address,address,uint256)")


def _text(row: Iterable[int]) -> str:
    return " ".join(map(str, row))


class Lab:
    """The market beside the ordinary one. `tally` counts what was compared, by kind."""

    def __init__(self, devnet: Devnet) -> None:
        self.chain, self.roles = devnet.chain, devnet.roles
        self.users = self.roles.borrowers[:10]
        self.liquidators = (*self.roles.liquidators[:2], self.users[9])
        """One of them has a position of its own."""
        self.everyone = (*self.users, *self.roles.liquidators[:2], self.roles.whale, self.roles.treasury)
        self.tally: Counter[str] = Counter()
        self.row: dict[str, Any] = {}
        """What the contracts answered at the block that was compared last."""
        self.foretold: dict[str, list[object]] = {}
        """By the block before it, what each liquidation that was alone in its block did."""
        self.tokens: dict[str, Token] = {}
        for symbol, decimals in DECIMALS.items():
            terms = ("string,string,uint8", symbol, symbol, decimals)
            address = self.chain.deploy(self.roles.admin, bytecode(AAVE, "MintableERC20"), symbol, *terms)
            self.tokens[symbol] = Token(symbol, address, decimals)
        people = (*self.users, *self.roles.liquidators[:2], self.roles.whale, self.roles.probe, self.roles.admin)
        for symbol, token in self.tokens.items():
            for person in people:
                amount = token.units(PURSE / PRICES[symbol])
                data = abi.encode("mint(address,uint256)", person, amount)
                self.chain.send([Tx(self.roles.admin, token.address, data, "mint")])
        self.prices = {symbol: round(price * USD) for symbol, price in PRICES.items()}
        self.feeds: dict[str, Feed] = {}
        for symbol, price in self.prices.items():
            self._feed(symbol, price)
        self.mine_only()
        self.market = deploy_origin(self.chain, self.roles, self.tokens, self.feeds, LISTED, EMODES, people)
        self.symbols = {token.address: symbol for symbol, token in self.tokens.items()}
        self.instance, self.driver = self.line()
        self.driver.follow(start=1)

    def line(self) -> tuple[AaveV3, Driver]:
        """A fresh instance that has seen nothing."""
        instance = AaveV3(CHAIN_ID, Deployment(chain="devnet", protocol="aave_v3", address=self.market.provider))
        return instance, Driver(self.chain, [instance])

    def _feed(self, symbol: str, price: int) -> Feed:
        address = self.chain.deploy(self.roles.admin, bytecode(AAVE, "MockAggregator"), "feed", "int256", price)
        self.feeds[symbol] = Feed(symbol, address, address, self.roles.oracle, 0.0, 0)
        return self.feeds[symbol]

    def list(self, symbol: str) -> None:
        """List a token of 6 decimals and 1 USD, made if there is none; it can be borrowed, and is no collateral."""
        if symbol not in self.tokens:
            terms = ("string,string,uint8", symbol, symbol, 6)
            address = self.chain.deploy(self.roles.admin, bytecode(AAVE, "MintableERC20"), symbol, *terms)
            self.tokens[symbol] = Token(symbol, address, 6)
            self.symbols[address] = symbol
        token = self.tokens[symbol]
        self.mine_only(self.price(symbol, USD))
        self.mine_only(*init_reserve(self.chain, self.market, self.roles, token, LISTED["USD"]))
        self.market.reserves[symbol] = reserve_of(self.chain, self.market.data_provider, token, "")
        self.driver.follow()
        self.compare()

    def drop(self, symbol: str) -> None:
        """Take a reserve off the list."""
        self.mine_only(self.admin("dropReserve(address)", self.address(symbol)))
        del self.market.reserves[symbol]
        self.driver.follow()
        self.compare()

    # -- what can be done ------------------------------------------------------------------------------------------

    def call(self, sender: str, signature: str, *args: object, to: str | None = None) -> Tx:
        """A call of the pool, or of `to`."""
        return Tx(sender, to or self.market.pool, abi.encode(signature, *args), signature.partition("(")[0])

    def admin(self, signature: str, *args: object) -> Tx:
        """A call of the configurator by its admin."""
        return admin_call(self.market, self.roles, signature, *args)

    def address(self, symbol: str) -> str:
        return self.tokens[symbol].address

    def units(self, symbol: str, amount: float) -> int:
        return self.tokens[symbol].units(amount)

    def price(self, symbol: str, price: int) -> Tx:
        """Another price source, which answers `price` (8 decimals)."""
        self.prices[symbol] = price
        feed = self._feed(symbol, price)
        data = abi.encode("setAssetSources(address[],address[])", [self.address(symbol)], [feed.proxy])
        return Tx(self.roles.admin, self.market.oracle, data, f"price of {symbol}")

    def held(self, user: str, symbol: str, *, debt: bool = False) -> int:
        """A balance with its interest, at the head."""
        reserve = self.market.reserves[symbol]
        token = reserve.variable_debt if debt else reserve.a_token
        return int(self.chain.value(token, "balanceOf(address)", user))

    def data(self, user: str) -> AccountData:
        """What we say of an account at the head."""
        found = self.instance.account_data(self.driver.intake.book, self.driver.at, user)
        assert isinstance(found, AccountData), found
        return found

    def reserve(self, symbol: str) -> Reserve:
        """A reserve as we have it."""
        (found,) = (one for one in self.instance.reserves(self.driver.intake.book) if one.asset == self.address(symbol))
        return found

    def reorg(self, depth: int) -> None:
        """Take blocks away; empty ones come in their place."""
        self.chain.node.reorg(depth)
        self.chain.forget()
        self.driver.follow()
        self.compare()

    def mine_only(self, *txs: Tx, seconds: int = 12) -> Block:
        """One block, not looked at."""
        return self.chain.mine(self.chain.node.timestamp() + seconds, list(txs))

    def mine(self, *txs: Tx, seconds: int = 12) -> Block:
        """One block, followed and compared."""
        block = self.mine_only(*txs, seconds=seconds)
        for receipt in block.receipts:
            kind = "done" if receipt.ok else "refused"
            self.tally[f"{kind}:{receipt.sent.tx.what.partition(' ')[0]}"] += 1
        self.driver.follow()
        self.compare()
        return block

    def liquidate(
        self,
        user: str,
        collateral: str,
        debt: str,
        liquidator: str,
        cover: int = abi.MAX_UINT256,
        *,
        a_token: bool = False,
        seconds: int = 12,
    ) -> liquidation.Liquidation:
        """One liquidation alone in its block, told before it is mined, at the time that the block will have."""
        at = self.driver.at
        ahead = BlockRef(CHAIN_ID, at.number + 1, "", at.time + seconds)
        told = self.instance.plan_liquidation(
            *(self.driver.intake.book, ahead, user, self.address(collateral), self.address(debt)),
            cover=cover,
            receive_atoken=a_token,
        )
        arguments = (self.address(collateral), self.address(debt), user, cover, a_token)
        tx = Tx(liquidator, self.market.pool, abi.encode(_LIQUIDATE, *arguments), "liquidate", may_fail=True)
        (receipt,) = self.mine(tx, seconds=seconds).receipts
        if liquidator == user:
            assert not receipt.ok
            return told
        where = f"{collateral} for {debt} of {user} at {at.number + 1}: {told}"
        if receipt.ok and told.outcome != liquidation.OK:
            self._forgive(told, liquidation.OK, collateral, at.number, where)
            return told
        assert receipt.ok == (told.outcome == liquidation.OK), where
        self.tally[f"liquidation:{told.outcome}"] += 1
        if receipt.ok:
            self._compare_outcome(receipt, told, user, collateral, where)
            amounts = [str(told.covered), str(told.seized), told.bad_debt]
            self.foretold[at.hash] = [seconds, user, *arguments[:2], str(cover), a_token, *amounts]
            self.tally["same asset"] += collateral == debt
            self.tally["in aTokens"] += a_token
        return told

    def _compare_outcome(
        self, receipt: Receipt, told: liquidation.Liquidation, user: str, collateral: str, where: str
    ) -> None:
        events = [log for log in receipt.logs if log["topics"][0] == _LIQUIDATED]
        assert len(events) == 1
        covered, seized, _, _ = abi.decode("uint256,uint256,address,bool", events[0]["data"])
        assert (told.covered, told.seized) == (covered, seized), where
        reserve = self.market.reserves[collateral]
        fees = [
            abi.words(log["data"])[0]
            for log in receipt.logs
            if log["address"].lower() == reserve.a_token
            and log["topics"][0] == _TRANSFER
            and [abi.topic_address(topic) for topic in log["topics"][1:]] == [user, self.roles.treasury]
        ]
        if fees != [told.fee] and (told.fee or fees):  # capped by what is left of the borrower's
            assert fees[0] < told.fee, where
            assert self.chain.value(reserve.a_token, "scaledBalanceOf(address)", user) == 0, where
        deficits = sum(log["topics"][0] == _DEFICIT for log in receipt.logs)
        if deficits:
            assert told.bad_debt, where
        if told.bad_debt:
            assert self.chain.call(self.market.pool, "getUserAccountData(address)", user, returns=ACCOUNT_DATA)[1] == 0
        self.tally["deficits"] += deficits
        self.tally["bad_debt"] += told.bad_debt

    # -- comparison ------------------------------------------------------------------------------------------------

    def compare(self, instance: AaveV3 | None = None, driver: Driver | None = None) -> None:
        """Everything, at the block on top: of the line that follows from the start, or of another."""
        self.row = {"hash": (driver or self.driver).at.hash}
        instance, driver = instance or self.instance, driver or self.driver
        self.tally["blocks"] += 1
        self._compare_reserves(instance, driver)
        self._compare_categories(instance, driver)
        self._compare_accounts(instance, driver)
        self._compare_probes(instance, driver)

    def _compare_reserves(self, instance: AaveV3, driver: Driver) -> None:
        at, pool, names = driver.at, self.market.pool, list(self.market.reserves)
        form = instance.ledger(driver.intake.book, at).form
        assert form.name == "3.6"
        calls: list[Call] = []
        for one in self.market.reserves.values():
            calls.append(Call(pool, "getReserveData(address)", (one.address,), f"({RESERVE})"))
            for view in (
                *("getReserveNormalizedIncome", "getReserveNormalizedVariableDebt", "getReserveDeficit"),
                *("getVirtualUnderlyingBalance", "getLiquidationGracePeriod"),
            ):
                calls.append(Call(pool, f"{view}(address)", (one.address,), "uint256"))
            calls += [Call(token, "scaledTotalSupply()", (), "uint256") for token in (one.a_token, one.variable_debt)]
            calls.append(Call(self.market.oracle, "getAssetPrice(address)", (one.address,), "uint256"))
        rows = self.chain.multicall(calls, at.number)
        ours = {reserve.asset: reserve for reserve in instance.reserves(driver.intake.book)}
        markets = {market.asset: market for market in instance.markets(driver.intake.book, at)}
        self.row["reserves"] = {}
        for i, symbol in enumerate(names):
            data, *rest, price = rows[9 * i : 9 * i + 9]
            assert data is not None
            told = (*(data[0][word] for word in RESERVE_WORDS), *(answer[0] for answer in rest if answer is not None))
            reserve = ours[self.address(symbol)]
            assert reserve_row(form, reserve, at.time) == told, f"{symbol} at block {at.number}"
            if price is not None and (reserve.supplied or reserve.borrowed):
                assert markets[reserve.asset].price == price[0]
            self.row["reserves"][reserve.asset] = _text(told)
            self.tally["reserves"] += 1
            self.tally["in deficit"] += reserve.deficit != 0

    def _compare_categories(self, instance: AaveV3, driver: Driver) -> None:
        pool, at = self.market.pool, driver.at
        for number in instance.market(driver.intake.book).categories:
            ours = driver.intake.book.get(CATEGORIES, (self.market.provider, number))
            assert ours is not None
            signatures = ("Collateral", "Borrowable", "Ltvzero")
            calls = [Call(pool, f"getEModeCategory{name}Bitmap(uint8)", (number,), "uint128") for name in signatures]
            calls.append(Call(pool, "getEModeCategoryCollateralConfig(uint8)", (number,), "uint16,uint16,uint16"))
            (collateral,), (borrowable,), (ltv_zero,), terms = self.chain.reads(calls, at.number)
            assert (ours.collateral, ours.borrowable, ours.ltv_zero) == (collateral, borrowable, ltv_zero)
            assert (ours.ltv, ours.threshold, ours.bonus) == terms
            self.tally["ltv zero in eMode"] += ltv_zero != 0

    def _compare_accounts(self, instance: AaveV3, driver: Driver) -> None:
        at, book, pool = driver.at, driver.intake.book, self.market.pool
        reserves = {reserve.asset: reserve for reserve in instance.reserves(book)}
        calls: list[Call] = []
        for user in self.everyone:
            calls.append(Call(pool, "getUserAccountData(address)", (user,), ACCOUNT_DATA))
            calls.append(Call(pool, "getUserConfiguration(address)", (user,), "uint256"))
            calls.append(Call(pool, "getUserEMode(address)", (user,), "uint256"))
            for one in self.market.reserves.values():
                calls.append(Call(one.a_token, "scaledBalanceOf(address)", (user,), "uint256"))
                calls.append(Call(one.variable_debt, "scaledBalanceOf(address)", (user,), "uint256"))
        rows = self.chain.multicall(calls, at.number)
        each = len(calls) // len(self.everyone)
        ids = [reserves[one.address].id for one in self.market.reserves.values()]
        self.row["ids"] = ids
        self.row["users"] = {}
        for i, user in enumerate(self.everyone):
            told, *rest = rows[i * each : (i + 1) * each]
            where = f"{user} at block {at.number}"
            ours = account_row(instance, book, at, user)
            if told is None:
                assert isinstance(ours, str), where
                assert "reverts" in ours
                self.tally["unreadable"] += 1
            else:
                assert ours == told, where
                self.tally["accounts"] += 1
                self.tally["below 1"] += told[5] < WAD
            held = holding_row(instance, book, at, user, ids)
            assert held == tuple(answer[0] for answer in rest if answer is not None), where
            self.row["users"][user] = ["" if told is None else _text(told), _text(held)]
            self.tally["in eMode"] += held[1] != 0
            self.tally["only in eMode"] += held[0] >> 2 * reserves[self.address("PT")].id + 1 & 1

    def _compare_probes(self, instance: AaveV3, driver: Driver) -> None:
        at, book = driver.at, driver.intake.book
        self.row["probes"] = []
        for user in self.users:
            data = instance.account_data(book, at, user)
            if isinstance(data, str) or data.health_factor >= WAD + WAD // 20:
                continue
            for collateral in (leg for leg in data.legs if leg.collateral):
                for debt in (leg for leg in data.legs if leg.debt):
                    for cover, a_token in ((abi.MAX_UINT256, False), (abi.MAX_UINT256, True), (debt.debt // 3, True)):
                        mine = instance.plan_liquidation(
                            *(book, at, user, collateral.asset, debt.asset), cover=cover, receive_atoken=a_token
                        )
                        theirs = self.probe(at.number, user, collateral.asset, debt.asset, cover, a_token)
                        where = f"{collateral.symbol} for {debt.symbol} of {user} at {at.number}, {cover}, {a_token}"
                        if mine.outcome != theirs:
                            self._forgive(mine, theirs, collateral.symbol, at.number, f"{where}: {mine}, not {theirs}")
                        self.tally[f"probe:{theirs}"] += 1
                        self.row["probes"].append([user, collateral.asset, debt.asset, str(cover), a_token, theirs])

    def _forgive(self, mine: liquidation.Liquidation, theirs: str, symbol: str, block: int, where: str) -> None:
        """The one thing that is not known: what somebody sent to an aToken without supplying it pays out too."""
        assert (mine.outcome, theirs) == (liquidation.TRANSFER, liquidation.OK), where
        reserve = self.market.reserves[symbol]
        held = self.chain.value(reserve.address, "balanceOf(address)", reserve.a_token, block=block)
        counted = self.chain.value(
            self.market.pool, "getVirtualUnderlyingBalance(address)", reserve.address, block=block
        )
        assert counted < mine.seized <= held, where
        self.tally["paid from gifts"] += 1

    def crossings(self) -> None:
        """Every liquidation price: with it as the source's answer the contract's health factor is just below 1."""
        for position in self.instance.positions(self.driver.intake.book, self.driver.at):
            legs = {leg.asset: leg for leg in position.legs}
            for asset, price in position.liquidation_prices.items():
                where = f"{legs[asset].symbol} of {position.account} at {price}"
                assert self._health(position.account, asset, price) < WAD, where
                leg = legs[asset]
                if not (leg.collateral and leg.liquidation_threshold and leg.debt):
                    safe = price + 1 if leg.collateral and leg.liquidation_threshold else price - 1
                    assert self._health(position.account, asset, safe) >= WAD, where
                self.tally["crossings"] += 1

    def _health(self, user: str, asset: str, price: int) -> int:
        feed = self.feeds[self.symbols[asset]].proxy
        override = {feed: {"stateDiff": {"0x" + "0" * 64: f"0x{price:064x}"}}}
        request = {"to": self.market.pool, "data": abi.encode("getUserAccountData(address)", user)}
        answer = self.chain.node.rpc("eth_call", request, tag(self.driver.at.number), override)
        return int(abi.decode(ACCOUNT_DATA, answer)[5])

    def probe(self, block: int, user: str, collateral: str, debt: str, cover: int, a_token: bool) -> str:
        """What an eth_call of liquidationCall answers: "ok", the error's name, or its data."""
        data = abi.encode(_LIQUIDATE, collateral, debt, user, cover, a_token)
        request = {"from": self.roles.probe, "to": self.market.pool, "data": data, "gas": hex(30_000_000)}
        try:
            self.chain.node.rpc("eth_call", request, tag(block))
        except RpcError as error:
            if str(error.data).startswith("0x4e487b71"):
                return liquidation.PANIC
            reason = _ERRORS.get(str(error.data)[:10]) or abi.revert_reason(error.data) or error.message
            return liquidation.TRANSFER if reason == "ERC20: transfer amount exceeds balance" else reason
        return liquidation.OK
