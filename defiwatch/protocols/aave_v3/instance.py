"""One Aave v3 deployment, found from its PoolAddressesProvider alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain import risk
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import ZERO_ADDRESS, Address, ChainId, subject_id
from defiwatch.domain.risk import Position
from defiwatch.domain.units import UINT256_MAX, to_float
from defiwatch.protocols.aave_v3 import indices, liquidation
from defiwatch.protocols.aave_v3.account import AccountData, Lane, Scene, account_data, scene, unknown
from defiwatch.protocols.aave_v3.answers import take
from defiwatch.protocols.aave_v3.apply import apply
from defiwatch.protocols.aave_v3.apply.pool import PROTOCOL
from defiwatch.protocols.aave_v3.crossing import liquidation_prices
from defiwatch.protocols.aave_v3.curve import curve, curve_wants
from defiwatch.protocols.aave_v3.events import EVENTS, TOPICS, TRANSFER_TOPIC
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    ACCOUNTS,
    CATEGORIES,
    MARKETS,
    NEEDED,
    PRICES,
    REVISION,
    Account,
    Market,
    Price,
    Reserve,
)
from defiwatch.protocols.aave_v3.wants import checks, meet_watched, scanned, wants
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import Book, Instance, LogFilter, Scan


class AaveV3(Instance):
    """Aave v3.0 to 3.7 (and forks), by the revision that the pool states."""

    protocol = PROTOCOL
    events = EVENTS

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        self.provider: Address = deployment.address.lower()
        self._filter = LogFilter(frozenset((self.provider,)), TOPICS | {TRANSFER_TOPIC})
        self._filtered: Market | None = None
        self._watched: tuple[Address, ...] = ()

    def watch(self, accounts: Iterable[Address]) -> None:
        """Read these accounts whole, what is supplied and no collateral included."""
        self._watched = tuple(sorted(set(accounts)))

    def ledger(self, book: Book, at: BlockRef) -> Ledger:
        """The market's part of the book."""
        return Ledger(book, self.provider, at)

    def market(self, book: Book) -> Market:
        """The deployment's contracts and lists, as far as they are known."""
        return book.get(MARKETS, self.provider) or Market()

    def filter(self, book: Book) -> LogFilter:
        """Provider, pool, configurator, oracle and every token."""
        market = self.market(book)
        if market is self._filtered:
            return self._filter
        own = (self.provider, market.pool, market.configurator, market.oracle, *market.tokens)
        transfers = market.revision == 0 or self.ledger(book, _NOWHERE).form.plain_transfers
        wanted = LogFilter(frozenset(own) - {""}, TOPICS | {TRANSFER_TOPIC} if transfers else TOPICS)
        if wanted != self._filter:
            self._filter = wanted
        self._filtered = market
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Contracts, reserves, eMode categories and accounts once; the price of every asset in use at each block."""
        return wants(self.ledger(book, at), self._watched)

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """The rate strategies of what is borrowed."""
        return curve_wants(self.ledger(book, at))

    def scans(self, book: Book) -> Sequence[Scan]:
        """Who has debt, then who has supplied: until all balances known add up to the contract's totals."""
        market = self.market(book)
        ledger = self.ledger(book, BlockRef(self.chain_id, market.block, "", market.time))
        reserves = [reserve for reserve in ledger.reserves() if reserve.have & NEEDED == NEEDED]
        supplied, borrowed, stable = ledger.gaps()
        debt_tokens: list[Address] = []
        supply_tokens: list[Address] = []
        for reserve in reserves:
            if borrowed >> reserve.id & 1:
                debt_tokens.append(reserve.variable_token)
            if stable >> reserve.id & 1 and not ledger.stable_whole(reserve):
                debt_tokens.append(reserve.stable_token)
            if supplied >> reserve.id & 1:
                supply_tokens.append(reserve.a_token)
        found: list[Scan] = []
        for name, tokens in (("debt", debt_tokens), ("supply", supply_tokens)):
            if tokens:
                key = f"{PROTOCOL}:{self.provider}:{name}"
                found.append(Scan(key, tuple(tokens), ((TRANSFER_TOPIC,),), self.deployment.from_block))
        return found

    def on_scan(self, book: Book, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002 - logs tell all
        """Balance, configuration and eMode of every recipient."""
        return scanned(self.ledger(book, _NOWHERE), logs)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event."""
        return tuple(apply(self.ledger(book, at), event))

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take one answer."""
        ledger = self.ledger(book, at)
        if self._watched:
            meet_watched(ledger, call, self._watched)
        return take(ledger, call)

    def on_block(self, book: Book, at: BlockRef) -> Iterable[Fact]:
        """Note the block that the state is of now."""
        ledger = self.ledger(book, at)
        ledger.set_market(msgspec.structs.replace(ledger.market, block=at.number, time=at.time))
        return ()

    def scene(self, book: Book, at: BlockRef) -> Scene:
        """The whole market at the block `at`, with the prices last read: what every computation starts from."""
        ledger = self.ledger(book, at)
        reserves = ledger.reserves()
        categories = {}
        for number in ledger.market.categories:
            category = book.get(CATEGORIES, (self.provider, number))
            if category is not None:
                categories[number] = category
        prices = {}
        for asset in {reserve.asset for reserve in reserves} | {category.source for category in categories.values()}:
            price = book.get(PRICES, (self.provider, asset))
            if price is not None:
                prices[asset] = price
        market = ledger.market
        sentinel = None
        if ledger.form.sentinel and market.sentinel != ZERO_ADDRESS:
            sentinel = book.get(PRICES, (self.provider, market.sentinel)) or _UNREAD
        return scene(
            ledger.form,
            reserves,
            categories,
            prices,
            at.time,
            sentinel,
            born=market.born,
            upgraded=market.revision > 0 and not market.have & REVISION,
        )

    def positions(self, book: Book, at: BlockRef) -> Iterable[Position]:
        """Every account with a balance, by address."""
        market = self.market(book)
        if not market.pool or not market.revision:
            return
        now = self.scene(book, at)
        provider = self.provider
        mine = [
            (address, account)
            for (key, address), account in book.items(ACCOUNTS)
            if key == provider and account.holdings
        ]
        mine.sort(key=_address)
        for address, account in mine:
            yield self._position(market, now, at, address, account)

    def position(self, book: Book, at: BlockRef, account: Address) -> Position | None:
        """One account; None if it holds nothing."""
        market = self.market(book)
        found = book.get(ACCOUNTS, (self.provider, account))
        if found is None or not found.holdings or not market.pool or not market.revision:
            return None
        return self._position(market, self.scene(book, at), at, account, found)

    def account_data(self, book: Book, at: BlockRef, account: Address) -> AccountData | str:
        """What getUserAccountData(account) answers at `at`, or why that cannot be told."""
        now = self.scene(book, at)
        found = book.get(ACCOUNTS, (self.provider, account)) or self.ledger(book, at).meet(account)
        return unknown(now, found) or account_data(now, found)

    def probe_liquidation(
        self, book: Book, at: BlockRef, account: Address, collateral_asset: Address, debt_asset: Address
    ) -> str:
        """What an eth_call of liquidationCall(…, 2**256-1, false) answers: "ok" or the name of the contract's error.

        A price source that reverts gives its own text, or "0x". Names are those of revision 8 on, for older ones too.
        """
        return self.plan_liquidation(book, at, account, collateral_asset, debt_asset).outcome

    def plan_liquidation(
        self,
        book: Book,
        at: BlockRef,
        account: Address,
        collateral_asset: Address,
        debt_asset: Address,
        *,
        cover: int = UINT256_MAX,
        receive_atoken: bool = False,
    ) -> liquidation.Liquidation:
        """What a liquidation of `account` would cover, take and leave."""
        ledger = self.ledger(book, at)
        collateral, debt = ledger.reserve(collateral_asset), ledger.reserve(debt_asset)
        if collateral is None or debt is None or collateral.id < 0 or debt.id < 0:
            return liquidation.Liquidation(liquidation.INACTIVE)
        return liquidation.plan(
            self.scene(book, at),
            ledger.account(account) or Account(),
            collateral.id,
            debt.id,
            cover=cover,
            receive_atoken=receive_atoken,
        )

    def markets(self, book: Book, at: BlockRef) -> Iterable[risk.Market]:
        """Every listed reserve, by address; rates simple a year, as the contract states them."""
        ledger, now = self.ledger(book, at), self.scene(book, at)
        market = ledger.market
        if not market.pool or not market.revision:
            return
        base_decimals, base = len(str(market.base_unit)) - 1, _base(market, now)
        for lane in sorted((lane for lane in now.lanes if lane is not None), key=_asset):
            reserve = lane.reserve
            stable = stable_known = ledger.stable_total(reserve)
            if stable and not market.born:
                stable_known = min(stable, ledger.stable_known(reserve))
            shape = curve(ledger, reserve)
            yield risk.Market(
                chain_id=self.chain_id,
                protocol=PROTOCOL,
                id=subject_id(market.pool, reserve.asset),
                label=lane.symbol or lane.asset,
                asset=lane.asset,
                symbol=lane.symbol,
                decimals=lane.decimals,
                supplied=indices.supply_balance(now.form, reserve.supplied, lane.income),
                borrowed=indices.debt_balance(now.form, reserve.borrowed, lane.debt_index) + stable,
                cash=reserve.cash,
                debt_known=indices.debt_balance(now.form, reserve.borrowed_known, lane.debt_index) + stable_known,
                price=lane.price,
                base_decimals=base_decimals,
                base=base,
                bad_debt=reserve.deficit,
                supply_cap=reserve.supply_cap * lane.unit,
                borrow_cap=reserve.borrow_cap * lane.unit,
                borrow_rate=to_float(reserve.variable_rate, 27),
                supply_rate=to_float(reserve.liquidity_rate, 27),
                paused=reserve.paused,
                frozen=reserve.frozen,
                block=at.number,
                time=at.time,
                unknown=lane.missing,
                curve=None if isinstance(shape, str) else shape,
                curve_unknown=shape if isinstance(shape, str) else "",
            )

    def reserves(self, book: Book) -> Sequence[Reserve]:
        """Every listed reserve, by address."""
        return self.ledger(book, _NOWHERE).reserves()

    def price_sources(self, book: Book) -> dict[tuple[str, Address], Address]:
        """As the oracle answers getSourceOfAsset."""
        pool = self.market(book).pool
        return {(pool, reserve.asset): reserve.source for reserve in self.reserves(book) if reserve.source}

    def completeness(self, book: Book) -> dict[Address, tuple[int, int]]:
        """By aToken and variable debt token: the scaled balances known, and the contract's total."""
        found: dict[Address, tuple[int, int]] = {}
        for reserve in self.reserves(book):
            found[reserve.a_token] = (reserve.supplied_known, reserve.supplied)
            found[reserve.variable_token] = (reserve.borrowed_known, reserve.borrowed)
        return found

    def checks(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Reads that only confirm: every token's total. An answer that differs opens the scans again, which heals.

        They may be asked at any block, and need not be answered.
        """
        return checks(self.ledger(book, at))

    def _position(self, market: Market, now: Scene, at: BlockRef, address: Address, account: Account) -> Position:
        reason = unknown(now, account)
        base_decimals, base = len(str(market.base_unit)) - 1, _base(market, now)
        if reason:
            return Position(
                chain_id=self.chain_id,
                protocol=PROTOCOL,
                market=market.pool,
                account=address,
                block=at.number,
                block_hash=at.hash,
                time=at.time,
                health_factor=0,
                collateral_base=0,
                debt_base=0,
                liquidation_threshold=0,
                emode=account.emode,
                base_decimals=base_decimals,
                base=base,
                unknown=reason,
            )
        data = account_data(now, account)
        return Position(
            chain_id=self.chain_id,
            protocol=PROTOCOL,
            market=market.pool,
            account=address,
            block=at.number,
            block_hash=at.hash,
            time=at.time,
            health_factor=data.health_factor,
            collateral_base=data.collateral,
            debt_base=data.debt,
            liquidation_threshold=data.threshold,
            legs=data.legs,
            liquidation_prices=liquidation_prices(now.form, data),
            available_borrows_base=data.available,
            ltv=data.ltv,
            emode=account.emode,
            base_decimals=base_decimals,
            base=base,
            prices_block=data.prices_block,
        )


_UNREAD = Price(None, -1, "whether the sentinel allows it was not read yet")
_NOWHERE = BlockRef(0, -1, "", 0)
"""For what does not depend on the block."""


def _base(market: Market, now: Scene) -> str:
    """What prices are given in: USD as a rule, else the symbol of a token."""
    if market.base_currency == ZERO_ADDRESS:
        return "USD"
    symbols = (lane.symbol for lane in now.lanes if lane is not None and lane.asset == market.base_currency)
    return next(symbols, "") or market.base_currency


def _asset(lane: Lane) -> Address:
    return lane.asset


def _address(pair: tuple[Address, Account]) -> Address:
    return pair[0]
