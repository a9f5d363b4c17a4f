"""A walk at random through Aave v3.6: what people, liquidators and the configurator may do, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3.account import AccountData

from . import abi
from . import deploy_aave as aave
from .chain import Tx
from .deploy_origin import DECIMALS, LISTED, PRICES, USD, missing, rate_data
from .model import Devnet
from .origin import Lab

RECEIVER = "0x" + "f1a6".rjust(40, "0")
"""A flash loan's receiver, which approves the pool for whatever it is told was lent."""
_SIMPLE = "flashLoanSimple(address,address,uint256,bytes,uint16)"
_LOAN = "flashLoan(address,address[],uint256[],uint256[],address,bytes,uint16)"


def opened(devnet: Devnet) -> Lab:
    """A fresh market with liquidity; skips, saying why, where its contracts are not compiled."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    lab = Lab(devnet)
    open_market(lab)
    return lab


def open_market(lab: Lab) -> None:
    """The whale's liquidity in every reserve that has some."""
    whale = lab.roles.whale
    lab.mine(
        *(
            aave.supply(lab.market, lab.tokens[symbol], whale, lab.units(symbol, terms.whale))
            for symbol, terms in LISTED.items()
            if terms.whale
        )
    )


def flash_receiver(lab: Lab) -> None:
    """Put the receiver's code on the chain, with tokens for the premiums; mines."""
    code = f"63095ea7b360e01b5f5273{lab.market.pool[2:]}6004525f196024525f5f60445f5f6004355af15060015f5260205ff3"
    lab.chain.node.rpc("anvil_setCode", RECEIVER, "0x" + code)
    lab.mine(
        *(
            lab.call(
                lab.roles.whale,
                "transfer(address,uint256)",
                RECEIVER,
                lab.units(symbol, 100_000 / PRICES[symbol]),
                to=t,
            )
            for symbol, t in ((symbol, lab.address(symbol)) for symbol in DECIMALS)
        )
    )


class Walk:
    """Draws a block's transactions. Any of them may be refused: then nothing happened, on either side."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab, self.rng = lab, random.Random(seed)
        self.symbols = sorted(DECIMALS)

    # -- one block -------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One block: as a rule some acts of people, sometimes an admin's or the market's, or a liquidation."""
        rng = self.rng
        seconds = rng.choice((0, 1, 12, 12, 60, 3_600, 86_400, 86_400 * rng.randint(1, 40)))
        target = self.liquidatable()
        if target is not None and rng.random() < 0.6:
            self.liquidation(target, seconds)
            return
        acts = rng.choices(PEOPLE, weights=[weight for _, weight in PEOPLE_WEIGHTS], k=rng.randint(1, 5))
        txs = [tx for act in acts for tx in act(self)]
        if rng.random() < 0.25:
            txs += rng.choice(ADMIN)(self)
        if rng.random() < 0.35:
            txs += self.prices()
        rng.shuffle(txs)
        if target is not None and rng.random() < 0.5:  # a liquidation among other acts, of the same reserves perhaps
            txs.insert(rng.randint(0, len(txs)), self.liquidation_tx(target))
        self.lab.mine(*(replace(tx, may_fail=True) for tx in txs), seconds=seconds)

    def liquidatable(self) -> str | None:
        lab = self.lab
        found = []
        for user in lab.users:
            data = lab.instance.account_data(lab.driver.intake.book, lab.driver.at, user)
            if isinstance(data, AccountData) and data.health_factor < WAD:
                found.append(user)
        return self.rng.choice(found) if found else None

    def drawn(self, user: str) -> tuple[str, str, str, int, bool] | None:
        """What a liquidator would do with this user: collateral, debt, liquidator, cover, whether it takes aTokens."""
        lab, rng = self.lab, self.rng
        data = lab.instance.account_data(lab.driver.intake.book, lab.driver.at, user)
        assert isinstance(data, AccountData)
        collateral = [leg for leg in data.legs if leg.collateral_base] or [leg for leg in data.legs if leg.collateral]
        debts = [leg for leg in data.legs if leg.debt]
        if not collateral or not debts:
            return None
        leg = rng.choice(debts)
        covers = (abi.MAX_UINT256, abi.MAX_UINT256, leg.debt, leg.debt // 2, rng.randint(1, leg.debt), leg.debt - 1, 1)
        same = [one.symbol for one in collateral if one.symbol == leg.symbol]
        symbol = same[0] if same and rng.random() < 0.5 else rng.choice(collateral).symbol
        return symbol, leg.symbol, rng.choice(lab.liquidators), rng.choice(covers) or 1, rng.random() < 0.5

    def liquidation_tx(self, user: str) -> Tx:
        """One that nobody foretold."""
        lab = self.lab
        collateral, debt, liquidator, cover, a_token = self.drawn(user) or ("ETH", "USD", lab.liquidators[0], 1, True)
        tokens = lab.tokens
        return aave.liquidate(lab.market, tokens[collateral], tokens[debt], user, liquidator, cover, a_token=a_token)

    def liquidation(self, user: str, seconds: int) -> None:
        """One alone in its block, told before."""
        drawn = self.drawn(user)
        if drawn is None:
            self.lab.mine(seconds=seconds)
            return
        collateral, debt, liquidator, cover, a_token = drawn
        self.lab.liquidate(user, collateral, debt, liquidator, cover, a_token=a_token, seconds=seconds)

    # -- the market ------------------------------------------------------------------------------------------------

    def prices(self) -> list[Tx]:
        lab, rng = self.lab, self.rng
        if rng.random() < 0.15:  # a crash, or back to where it began
            moved = {symbol: rng.uniform(0.5, 1.1) for symbol in self.symbols if rng.random() < 0.6}
            return [lab.price(symbol, max(1, round(PRICES[symbol] * USD * by))) for symbol, by in moved.items()]
        symbol = rng.choice(self.symbols)
        by = rng.uniform(0.93, 1.07) if symbol not in ("USD", "DAI") else rng.uniform(0.99, 1.01)
        return [lab.price(symbol, max(1, round(lab.prices[symbol] * by)))]

    # -- people ----------------------------------------------------------------------------------------------------

    def user(self) -> str:
        return self.rng.choice(self.lab.users)

    def symbol(self) -> str:
        return self.rng.choice(self.symbols)

    def worth(self, symbol: str, usd: float) -> int:
        """So many USD of it, units at the opening price."""
        return max(1, self.lab.units(symbol, usd / PRICES[symbol]))

    def size(self) -> float:
        """USD: mostly plenty, sometimes dust."""
        return self.rng.choice((1e6, 3e5, 5e4, 3_000.0, 1_500.0, 0.5, 1e-5)) * self.rng.random()

    def supply(self) -> list[Tx]:
        lab, symbol = self.lab, self.symbol()
        user = self.user()
        behalf = user if self.rng.random() < 0.8 else self.user()
        data = ("supply(address,uint256,address,uint16)", lab.address(symbol), self.worth(symbol, self.size()), behalf)
        return [lab.call(user, *data, 0)]

    def withdraw(self) -> list[Tx]:
        lab, symbol, user = self.lab, self.symbol(), self.user()
        held = lab.held(user, symbol)
        amount = self.rng.choice((abi.MAX_UINT256, held, held // 3, 1))
        return [lab.call(user, "withdraw(address,uint256,address)", lab.address(symbol), amount, user)] if held else []

    def borrow(self) -> list[Tx]:
        lab, symbol, user = self.lab, self.symbol(), self.user()
        data = lab.instance.account_data(lab.driver.intake.book, lab.driver.at, user)
        if isinstance(data, str) or data.available == 0:
            return []
        share = self.rng.choice((0.3, 0.7, 0.97, 0.995))
        amount = int(data.available * share) * 10 ** DECIMALS[symbol] // lab.prices[symbol]
        if self.rng.random() < 0.1:
            amount = min(amount, 3)
        return [aave.borrow(lab.market, lab.tokens[symbol], user, max(1, amount))]

    def repay(self) -> list[Tx]:
        lab, symbol, user = self.lab, self.symbol(), self.user()
        owed = lab.held(user, symbol, debt=True)
        if not owed:
            return []
        amount = self.rng.choice((abi.MAX_UINT256, owed, owed // 2, owed - 1, 1)) or 1
        if self.rng.random() < 0.3 and lab.held(user, symbol):
            return [lab.call(user, "repayWithATokens(address,uint256,uint256)", lab.address(symbol), amount, 2)]
        payer = user if amount == abi.MAX_UINT256 else self.user()
        return [
            lab.call(payer, "repay(address,uint256,uint256,address)", lab.address(symbol), amount, 2, user),
        ]

    def transfer(self) -> list[Tx]:
        lab, symbol, user = self.lab, self.symbol(), self.user()
        held = lab.held(user, symbol)
        amount = self.rng.choice((held, held // 2, 1, 0))
        token = lab.market.reserves[symbol].a_token
        return [lab.call(user, "transfer(address,uint256)", self.user(), amount, to=token)] if held else []

    def collateral(self) -> list[Tx]:
        lab, user = self.lab, self.user()
        held = [symbol for symbol in self.symbols if lab.held(user, symbol)]
        if not held:
            return []
        on = self.rng.random() < 0.7
        symbol = self.rng.choice(held)
        if self.rng.random() < 0.3:
            manager = self.user()
            signature = "setUserUseReserveAsCollateralOnBehalfOf(address,bool,address)"
            return [
                lab.call(user, "approvePositionManager(address,bool)", manager, True),
                lab.call(manager, signature, lab.address(symbol), on, user),
                lab.call(manager, "renouncePositionManagerRole(address)", user),
            ]
        return [lab.call(user, "setUserUseReserveAsCollateral(address,bool)", lab.address(symbol), on)]

    def emode(self) -> list[Tx]:
        lab, user, category = self.lab, self.user(), self.rng.randint(0, 4)
        if self.rng.random() < 0.3:
            manager = self.user()
            return [
                lab.call(user, "approvePositionManager(address,bool)", manager, True),
                lab.call(manager, "setUserEModeOnBehalfOf(uint8,address)", category, user),
            ]
        return [aave.set_emode(lab.market, user, category)]

    def delegated(self) -> list[Tx]:
        """Debt that another draws, by a credit delegation."""
        lab, symbol, user = self.lab, self.symbol(), self.user()
        by, amount = self.user(), self.worth(symbol, self.size())
        token = lab.market.reserves[symbol].variable_debt
        signature = "borrow(address,uint256,uint256,uint16,address)"
        return [
            lab.call(user, "approveDelegation(address,uint256)", by, 2**200, to=token),
            lab.call(by, signature, lab.address(symbol), amount, 2, 0, user),
        ]

    def flash(self) -> list[Tx]:
        lab, user, symbol = self.lab, self.user(), self.symbol()
        amount = self.worth(symbol, self.size())
        if self.rng.random() < 0.6:
            return [lab.call(user, _SIMPLE, RECEIVER, lab.address(symbol), amount, b"", 0)]
        arguments = ([lab.address(symbol)], [amount], [2], user, b"", 0)
        return [lab.call(user, _LOAN, RECEIVER, *arguments)]

    def treasury(self) -> list[Tx]:
        lab = self.lab
        tokens = [lab.address(symbol) for symbol in self.symbols]
        return [lab.call(self.user(), "mintToTreasury(address[])", tokens)]

    def drain(self) -> list[Tx]:
        """The whale borrows nearly everything of an asset, or gives some of it back."""
        lab, symbol, whale = self.lab, self.symbol(), self.lab.roles.whale
        if self.rng.random() < 0.4:
            owed = lab.held(whale, symbol, debt=True)
            return [aave.repay(lab.market, lab.tokens[symbol], whale, max(1, owed // 3))]
        left = lab.reserve(symbol).cash
        amount = left - self.rng.choice((0, 1, left // 1_000, left // 20))
        return [aave.borrow(lab.market, lab.tokens[symbol], whale, max(1, amount))]

    def gift(self) -> list[Tx]:
        """Underlying sent to an aToken: nobody's, and not counted."""
        lab, symbol = self.lab, self.symbol()
        amount = self.worth(symbol, 1_000.0)
        to = lab.market.reserves[symbol].a_token
        return [lab.call(lab.roles.whale, "transfer(address,uint256)", to, amount, to=lab.address(symbol))]

    # -- the configurator ------------------------------------------------------------------------------------------

    def risk(self) -> list[Tx]:
        lab, rng, symbol = self.lab, self.rng, self.symbol()
        if symbol == "PT":
            return []
        ltv = rng.choice((0, rng.randint(3000, 7000)))
        terms = (ltv, rng.randint(max(ltv, 5000), 8500), rng.randint(10100, 11000))
        return [lab.admin("configureReserveAsCollateral(address,uint256,uint256,uint256)", lab.address(symbol), *terms)]

    def factor(self) -> list[Tx]:
        value = self.rng.choice((0, 1000, 3333, 10_000))
        return [self.lab.admin("setReserveFactor(address,uint256)", self.lab.address(self.symbol()), value)]

    def fee(self) -> list[Tx]:
        value = self.rng.choice((0, 1, 1000, 10_000))
        return [self.lab.admin("setLiquidationProtocolFee(address,uint256)", self.lab.address(self.symbol()), value)]

    def curve(self) -> list[Tx]:
        rng = self.rng
        curve = (rng.randint(100, 9900), rng.choice((0, 50)), rng.randint(0, 900), rng.randint(1000, 60_000))
        signature = "setReserveInterestRateData(address,bytes)"
        return [self.lab.admin(signature, self.lab.address(self.symbol()), rate_data(curve))]

    def freeze(self) -> list[Tx]:
        lab, symbol = self.lab, self.symbol()
        return [
            lab.admin("setReserveFreeze(address,bool)", lab.address(symbol), self.rng.random() < 0.4),
            lab.admin("setReserveLtvzero(address,bool)", lab.address(self.symbol()), self.rng.random() < 0.4),
        ]

    def unfreeze(self) -> list[Tx]:
        lab = self.lab
        signatures = ("setReserveFreeze(address,bool)", "setReserveLtvzero(address,bool)")
        return [lab.admin(one, lab.address(symbol), False) for symbol in self.symbols for one in signatures]

    def pause(self) -> list[Tx]:
        lab, symbol = self.lab, self.symbol()
        signature = "setReservePause(address,bool,uint40)"
        return [lab.admin(signature, lab.address(symbol), self.rng.random() < 0.5, self.rng.choice((0, 3_600)))]

    def unpause(self) -> list[Tx]:
        lab = self.lab
        return [
            lab.admin("setPoolPause(bool,uint40)", False, 0),
            *(lab.admin("disableLiquidationGracePeriod(address)", lab.address(symbol)) for symbol in self.symbols),
        ]

    def category(self) -> list[Tx]:
        rng = self.rng
        ltv = rng.randint(8000, 9300)
        terms = (rng.randint(1, 4), ltv, rng.randint(ltv, 9500), rng.randint(10010, 10500), "changed")
        return [self.lab.admin("setEModeCategory(uint8,uint16,uint16,uint16,string)", *terms)]

    def membership(self) -> list[Tx]:
        lab, rng = self.lab, self.rng
        kind = rng.choice(("Collateral", "Borrowable", "Ltvzero"))
        signature = f"setAsset{kind}InEMode(address,uint8,bool)"
        return [
            lab.admin(signature, lab.address(self.symbol()), rng.randint(1, 4), rng.random() < 0.6) for _ in range(3)
        ]

    def caps(self) -> list[Tx]:
        lab, rng, asset = self.lab, self.rng, self.lab.address(self.symbol())
        return [
            lab.admin("setBorrowCap(address,uint256)", asset, rng.choice((0, 1_000_000_000))),
            lab.admin("setSupplyCap(address,uint256)", asset, rng.choice((0, 2_000_000_000))),
            lab.admin("setBorrowableInIsolation(address,bool)", asset, rng.random() < 0.7),
            lab.admin("setSiloedBorrowing(address,bool)", asset, rng.random() < 0.2),
            lab.admin("setReserveBorrowing(address,bool)", asset, rng.random() < 0.8),
            lab.admin("setReserveFlashLoaning(address,bool)", asset, rng.random() < 0.8),
            lab.admin("setDebtCeiling(address,uint256)", lab.address("ISO"), rng.choice((0, 10**9, 10**10))),
            lab.admin("updateFlashloanPremium(uint128)", rng.choice((0, 5, 30))),
        ]

    def cover_deficit(self) -> list[Tx]:
        """The umbrella gives up aTokens for a deficit."""
        lab, symbol, admin = self.lab, self.symbol(), self.lab.roles.admin
        amount = self.worth(symbol, self.size())
        cover = "eliminateReserveDeficit(address,uint256)"
        return [
            aave.supply(lab.market, lab.tokens[symbol], admin, amount),
            *(lab.call(admin, cover, lab.address(other), self.worth(other, self.size())) for other in self.symbols),
        ]


Act = Callable[[Walk], list[Tx]]
PEOPLE_WEIGHTS: Sequence[tuple[Act, int]] = (
    *((Walk.supply, 10), (Walk.borrow, 12), (Walk.withdraw, 5), (Walk.repay, 5), (Walk.transfer, 4)),
    *((Walk.collateral, 4), (Walk.emode, 4), (Walk.delegated, 2), (Walk.flash, 2), (Walk.treasury, 1), (Walk.gift, 1)),
    (Walk.drain, 2),
)
PEOPLE = [act for act, _ in PEOPLE_WEIGHTS]
ADMIN: Sequence[Act] = (
    *(Walk.risk, Walk.factor, Walk.fee, Walk.curve, Walk.freeze, Walk.unfreeze, Walk.pause, Walk.unpause),
    *(Walk.category, Walk.membership, Walk.caps, Walk.cover_deficit, Walk.cover_deficit),
)
