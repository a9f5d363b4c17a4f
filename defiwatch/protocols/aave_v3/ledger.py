"""Writing accounts and reserves to the book, so that known sums, totals and what is still unknown stay in step."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.protocols.aave_v3.forms import FORMS, Form
from defiwatch.protocols.aave_v3.indices import stable_balance
from defiwatch.protocols.aave_v3.state import (
    ACCOUNTS,
    BORROWED,
    MARKETS,
    PENDING,
    RESERVES,
    STABLE,
    SUPPLIED,
    TOKENS,
    Account,
    Holding,
    Market,
    Reserve,
    Token,
)
from defiwatch.protocols.spec import Book


class Ledger:
    """One market's part of the book, for the length of one call. `key` is the addresses provider."""

    __slots__ = ("at", "book", "key", "market")

    def __init__(self, book: Book, key: Address, at: BlockRef) -> None:
        self.book = book
        self.key = key
        self.at = at
        self.market = book.get(MARKETS, key) or Market()

    @property
    def form(self) -> Form:
        """The rules of the pool's revision; of the newest where it was not read or is newer."""
        return FORMS[self.market.revision] if 0 < self.market.revision < len(FORMS) else FORMS[-1]

    def set_market(self, market: Market) -> None:
        """Write the market."""
        self.market = market
        self.book.put(MARKETS, self.key, market)

    def reserve(self, asset: Address) -> Reserve | None:
        """The reserve of `asset`, None if it is not listed."""
        return self.book.get(RESERVES, (self.key, asset))

    def set_reserve(self, reserve: Reserve) -> None:
        """Write a reserve."""
        self.book.put(RESERVES, (self.key, reserve.asset), reserve)

    def reserves(self) -> list[Reserve]:
        """Every listed reserve, by asset."""
        found = (self.reserve(asset) for asset in self.market.assets)
        return [reserve for reserve in found if reserve is not None]

    def token(self, address: Address) -> Token | None:
        """What a token is of, None if it is none of this market's."""
        return self.book.get(TOKENS, (self.key, address))

    def list_reserve(self, asset: Address) -> Reserve:
        """The reserve of `asset`, listed if it was not."""
        reserve = self.reserve(asset)
        if reserve is None:
            reserve = Reserve(asset)
            self.set_reserve(reserve)
        if asset not in self.market.assets:
            self.set_market(msgspec.structs.replace(self.market, assets=tuple(sorted((*self.market.assets, asset)))))
        return reserve

    def list_token(self, address: Address, asset: Address, kind: str) -> None:
        """Note what a token's address stands for."""
        if address in ("", ZERO_ADDRESS) or address in self.market.tokens:
            return
        self.book.put(TOKENS, (self.key, address), Token(asset, kind))
        self.set_market(msgspec.structs.replace(self.market, tokens=tuple(sorted((*self.market.tokens, address)))))

    def list_category(self, category_id: int) -> None:
        """Note that an eMode category exists."""
        market = self.market
        if category_id not in market.categories:
            self.set_market(
                msgspec.structs.replace(market, categories=tuple(sorted((*market.categories, category_id))))
            )

    def account(self, address: Address) -> Account | None:
        """An account, None if nothing is on record."""
        return self.book.get(ACCOUNTS, (self.key, address))

    def meet(self, address: Address) -> Account:
        """An account that an event or answer speaks of. What came before it is unknown, unless it cannot have been.

        Once the balances known of a token add up to its total, whoever is not on record has none.
        """
        account = self.account(address)
        if account is not None and account.whole:
            return account
        supplied, borrowed, stable = self.gaps()
        if account is not None:
            return msgspec.structs.replace(
                account,
                unknown_supplied=account.unknown_supplied & supplied,
                unknown_borrowed=account.unknown_borrowed & borrowed,
                unknown_stable=account.unknown_stable & stable,
            )
        return Account(
            unknown_supplied=supplied,
            unknown_borrowed=borrowed,
            unknown_stable=stable,
            unknown_collateral=bool(supplied),
            unknown_emode=not self.market.born,
        )

    def gaps(self) -> tuple[int, int, int]:
        """Bitmaps of the reserves whose aToken, variable and stable balances are not all known."""
        supplied = borrowed = stable = 0
        has_stable = self.form.stable_debt and not self.market.born
        for reserve in self.reserves():
            bit = 1 << reserve.id if reserve.id >= 0 else 0
            if not (reserve.have & SUPPLIED and reserve.supplied == reserve.supplied_known):
                supplied |= bit
            if not (reserve.have & BORROWED and reserve.borrowed == reserve.borrowed_known):
                borrowed |= bit
            if (
                has_stable
                and reserve.stable_token != ZERO_ADDRESS
                and not (reserve.have & STABLE and reserve.stable_principal == 0)
            ):
                stable |= bit
        return supplied, borrowed, stable

    def set_account(self, address: Address, account: Account) -> None:
        """Write an account, and whether it must be read."""
        key = (self.key, address)
        self.book.put(ACCOUNTS, key, account)
        pending = self.book.get(PENDING, key) is not None
        if account.whole:
            if pending:
                self.book.drop(PENDING, key)
            return
        if self.open_questions(account) and not pending:
            self.book.put(PENDING, key, 1)
        elif pending and not self.open_questions(account):
            self.book.drop(PENDING, key)

    def stable_total(self, reserve: Reserve) -> int:
        """All stable debt of a reserve now, units."""
        return stable_balance(reserve.stable_principal, reserve.stable_rate, reserve.stable_updated, self.at.time)

    def stable_known(self, reserve: Reserve) -> int:
        """The stable debt of the accounts on record now, units. Looks at every account."""
        known = 0
        for (key, _), account in self.book.items(ACCOUNTS):
            if key == self.key:
                held = account.holding(reserve.id)
                known += stable_balance(held.stable, held.stable_rate, held.stable_updated, self.at.time)
        return known

    def stable_whole(self, reserve: Reserve) -> bool:
        """Whether all stable debt is on record: it compounds per account and in total, which differ by a trace."""
        total = self.stable_total(reserve)
        return self.market.born or abs(total - self.stable_known(reserve)) <= total // 10**6 + 10

    def open_questions(self, account: Account) -> bool:
        """Whether something unknown of it matters to its data."""
        if account.unknown_collateral or account.unknown_emode:
            return True
        supplied, borrowed, _ = self.gaps()
        return bool(
            account.unknown_supplied & account.collateral & supplied
            or account.unknown_borrowed & borrowed
            or (account.unknown_stable and self.form.stable_debt)
        )

    def set_supplied(self, reserve: Reserve, address: Address, account: Account, scaled: int) -> None:
        """Write a known aToken balance, and the sum of them (not the contract's total)."""
        holding = account.holding(reserve.id)
        bit = 1 << reserve.id
        before = 0 if account.unknown_supplied & bit else holding.supplied
        if scaled != before:
            self.set_reserve(msgspec.structs.replace(reserve, supplied_known=reserve.supplied_known + scaled - before))
        changed = msgspec.structs.replace(holding, supplied=scaled)
        self._hold(address, account, changed, unknown_supplied=account.unknown_supplied & ~bit)

    def set_borrowed(self, reserve: Reserve, address: Address, account: Account, scaled: int) -> None:
        """Write a known variable debt balance, and the sum of them (not the contract's total)."""
        holding = account.holding(reserve.id)
        bit = 1 << reserve.id
        before = 0 if account.unknown_borrowed & bit else holding.borrowed
        if scaled != before:
            self.set_reserve(msgspec.structs.replace(reserve, borrowed_known=reserve.borrowed_known + scaled - before))
        changed = msgspec.structs.replace(holding, borrowed=scaled)
        self._hold(address, account, changed, unknown_borrowed=account.unknown_borrowed & ~bit)

    def set_stable(
        self, reserve: Reserve, address: Address, account: Account, principal: int, rate: int, updated: int
    ) -> None:
        """Write a known stable debt."""
        changed = msgspec.structs.replace(
            account.holding(reserve.id),
            stable=principal,
            stable_rate=rate if principal else 0,
            stable_updated=updated if principal else 0,
        )
        self._hold(address, account, changed, unknown_stable=account.unknown_stable & ~(1 << reserve.id))

    def _hold(
        self,
        address: Address,
        account: Account,
        holding: Holding,
        *,
        unknown_supplied: int | None = None,
        unknown_borrowed: int | None = None,
        unknown_stable: int | None = None,
    ) -> None:
        others = [other for other in account.holdings if other.id != holding.id]
        if not holding.empty:
            others.append(holding)
            others.sort(key=_by_id)
        self.set_account(
            address,
            msgspec.structs.replace(
                account,
                holdings=tuple(others),
                unknown_supplied=account.unknown_supplied if unknown_supplied is None else unknown_supplied,
                unknown_borrowed=account.unknown_borrowed if unknown_borrowed is None else unknown_borrowed,
                unknown_stable=account.unknown_stable if unknown_stable is None else unknown_stable,
            ),
        )


def _by_id(holding: Holding) -> int:
    return holding.id
