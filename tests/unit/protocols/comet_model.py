"""A Comet in Python, function by function as the contract has them, with its storage, its events and its views.

Written from comet@d5a30b0 contracts/Comet.sol and CometCore.sol, not from the product: it stands in for a chain.
"""

from __future__ import annotations

from typing import Any

from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.keccak import selector, topic
from defiwatch.protocols import abi
from defiwatch.protocols.abi import Call

COMET = "0x" + "c0" * 20
BASE = "0x" + "ba" * 20
BASE_FEED = "0x" + "bf" * 20
ZERO = "0x" + "0" * 40
FACTOR = 10**18
INDEX = 10**15


class RefusedError(Exception):
    """The contract would revert."""


class Comet:
    """`assets`: (token, feed, decimals, borrowCF, liquidateCF, liquidationFactor, cap), factors 1e18."""

    def __init__(self, assets: list[tuple[str, str, int, int, int, int, int]], time: int) -> None:
        self.assets = assets
        self.base_scale = 10**6
        self.now = time
        self.last_accrual = time
        self.supply_index = self.borrow_index = INDEX
        self.total_supply = self.total_borrow = 0
        self.principal: dict[str, int] = {}
        self.collateral: dict[tuple[str, str], int] = {}
        self.prices: dict[str, int] = {BASE_FEED: 10**8}
        self.flags = 0
        self.cash = 0
        self.store_front = 5 * 10**17
        self.rates = {
            "supplyKink": 8 * 10**17,
            "supplyPerSecondInterestRateBase": 0,
            "supplyPerSecondInterestRateSlopeLow": 32_500_000_000_000_000 // 31_536_000,
            "supplyPerSecondInterestRateSlopeHigh": 400_000_000_000_000_000 // 31_536_000,
            "borrowKink": 8 * 10**17,
            "borrowPerSecondInterestRateBase": 15_000_000_000_000_000 // 31_536_000,
            "borrowPerSecondInterestRateSlopeLow": 35_000_000_000_000_000 // 31_536_000,
            "borrowPerSecondInterestRateSlopeHigh": 250_000_000_000_000_000 // 31_536_000,
        }
        self.logs: list[RawLog] = []

    # What happens.

    def emit(self, signature: str, indexed: list[str], *values: int) -> None:
        self.logs.append(
            RawLog(
                address=COMET,
                topics=(topic(signature), *("0x" + abi.encode(["address"], [item]) for item in indexed)),
                data="0x" + abi.encode(["uint256"] * len(values), values),
                transaction_hash="0x" + f"{self.now:064x}",
                log_index=hex(len(self.logs)),
            )
        )

    def take_logs(self) -> list[RawLog]:
        taken, self.logs = self.logs, []
        return taken

    def curve(self, side: str, utilisation: int) -> int:
        kink, prefix = self.rates[f"{side}Kink"], f"{side}PerSecondInterestRate"
        base, low, high = (self.rates[prefix + part] for part in ("Base", "SlopeLow", "SlopeHigh"))
        if utilisation <= kink:
            return base + low * utilisation // FACTOR
        return base + low * kink // FACTOR + high * (utilisation - kink) // FACTOR

    def indices(self) -> tuple[int, int]:
        elapsed = self.now - self.last_accrual
        if elapsed == 0:
            return self.supply_index, self.borrow_index
        supplied = self.total_supply * self.supply_index // INDEX
        used = 0 if supplied == 0 else (self.total_borrow * self.borrow_index // INDEX) * FACTOR // supplied
        return (
            self.supply_index + self.supply_index * (self.curve("supply", used) * elapsed) // FACTOR,
            self.borrow_index + self.borrow_index * (self.curve("borrow", used) * elapsed) // FACTOR,
        )

    def accrue(self) -> None:
        """accrueInternal; `accrueAccount` does no more that anybody could see, and says nothing."""
        self.supply_index, self.borrow_index = self.indices()
        self.last_accrual = self.now

    def present(self, principal: int) -> int:
        if principal >= 0:
            return principal * self.supply_index // INDEX
        return -(-principal * self.borrow_index // INDEX)

    def principal_value(self, balance: int) -> int:
        if balance >= 0:
            return balance * INDEX // self.supply_index
        return -((-balance * INDEX + self.borrow_index - 1) // self.borrow_index)

    def set_principal(self, who: str, new: int) -> tuple[int, int]:
        """Returns (withdrawn, supplied) principal; keeps the totals."""
        old = self.principal.get(who, 0)
        self.principal[who] = new
        self.total_supply += max(new, 0) - max(old, 0)
        self.total_borrow += max(-new, 0) - max(-old, 0)
        return max(0, max(old, 0) - max(new, 0)), max(0, max(new, 0) - max(old, 0))

    def supply(self, who: str, amount: int) -> None:
        self.cash += amount
        self.accrue()
        new = self.principal_value(self.present(self.principal.get(who, 0)) + amount)
        _, supplied = self.set_principal(who, new)
        self.emit("Supply(address,address,uint256)", [who, who], amount)
        if supplied:
            self.emit("Transfer(address,address,uint256)", [ZERO, who], supplied * self.supply_index // INDEX)

    def repay_all(self, who: str) -> None:
        self.supply(who, self.borrow_balance(who))

    def withdraw(self, who: str, amount: int) -> None:
        if amount > self.cash:
            raise RefusedError
        self.accrue()
        balance = self.present(self.principal.get(who, 0)) - amount
        if balance < 0 and self.liquidity(who, balance, 3) < 0:
            raise RefusedError
        withdrawn, _ = self.set_principal(who, self.principal_value(balance))
        self.cash -= amount
        self.emit("Withdraw(address,address,uint256)", [who, who], amount)
        if withdrawn:
            self.emit("Transfer(address,address,uint256)", [who, ZERO], withdrawn * self.supply_index // INDEX)

    def transfer(self, src: str, dst: str, amount: int) -> None:
        """transferBase: between two borrowers no event at all."""
        self.accrue()
        src_balance = self.present(self.principal.get(src, 0)) - amount
        dst_balance = self.present(self.principal.get(dst, 0)) + amount
        if src == dst or (src_balance < 0 and self.liquidity(src, src_balance, 3) < 0):
            raise RefusedError
        withdrawn, _ = self.set_principal(src, self.principal_value(src_balance))
        _, supplied = self.set_principal(dst, self.principal_value(dst_balance))
        if withdrawn:
            self.emit("Transfer(address,address,uint256)", [src, ZERO], withdrawn * self.supply_index // INDEX)
        if supplied:
            self.emit("Transfer(address,address,uint256)", [ZERO, dst], supplied * self.supply_index // INDEX)

    def supply_collateral(self, who: str, token: str, amount: int) -> None:
        self.collateral[who, token] = self.collateral.get((who, token), 0) + amount
        self.emit("SupplyCollateral(address,address,address,uint256)", [who, who, token], amount)

    def withdraw_collateral(self, who: str, token: str, amount: int) -> None:
        left = self.collateral.get((who, token), 0) - amount
        if left < 0:
            raise RefusedError
        before = self.collateral[who, token]
        self.collateral[who, token] = left
        if self.principal.get(who, 0) < 0 and self.liquidity(who, self.present(self.principal[who]), 3) < 0:
            self.collateral[who, token] = before
            raise RefusedError
        self.emit("WithdrawCollateral(address,address,address,uint256)", [who, who, token], amount)

    def absorb(self, absorber: str, who: str) -> None:
        self.accrue()
        if not self.is_liquidatable(who):
            raise RefusedError
        old = self.present(self.principal[who])
        value = 0
        for token, feed, decimals, _, _, factor, _ in self.assets:
            seized = self.collateral.get((who, token), 0)
            if not seized:
                continue
            worth = seized * self.price(feed) // 10**decimals
            value += worth * factor // FACTOR
            self.collateral[who, token] = 0
            self.emit(
                "AbsorbCollateral(address,address,address,uint256,uint256)", [absorber, who, token], seized, worth
            )
        new = max(0, old + value * self.base_scale // self.price(BASE_FEED))
        _, supplied = self.set_principal(who, self.principal_value(new))
        paid = new - old
        worth = paid * self.price(BASE_FEED) // self.base_scale
        self.emit("AbsorbDebt(address,address,uint256,uint256)", [absorber, who], paid, worth)
        if supplied:
            minted = self.principal[who] * self.supply_index // INDEX
            self.emit("Transfer(address,address,uint256)", [ZERO, who], minted)

    # What it answers.

    def price(self, feed: str) -> int:
        price = self.prices.get(feed, 0)
        if price <= 0:
            raise RefusedError
        return price

    def liquidity(self, who: str, balance: int, factor_at: int) -> int:
        """isBorrowCollateralized (factor_at 3) and isLiquidatable (4): negative where it is not enough."""
        liquidity = -(-balance * self.price(BASE_FEED) // self.base_scale)
        for asset in self.assets:
            amount = self.collateral.get((who, asset[0]), 0)
            if amount:
                if liquidity >= 0:
                    return liquidity
                worth = amount * self.price(asset[1]) // 10 ** asset[2]
                liquidity += worth * int(asset[factor_at]) // FACTOR
        return liquidity

    def is_liquidatable(self, who: str) -> bool:
        principal = self.principal.get(who, 0)
        return principal < 0 and self.liquidity(who, self.present(principal), 4) < 0

    def would_absorb(self, who: str) -> bool:
        """Whether `absorb` goes through now: it accrues first."""
        kept = (self.supply_index, self.borrow_index, self.last_accrual)
        self.accrue()
        try:
            return self.is_liquidatable(who)
        finally:
            self.supply_index, self.borrow_index, self.last_accrual = kept

    def borrow_balance(self, who: str) -> int:
        _, index = self.indices()
        return max(0, -self.principal.get(who, 0)) * index // INDEX

    def total_borrow_now(self) -> int:
        return self.total_borrow * self.indices()[1] // INDEX

    def total_supply_now(self) -> int:
        return self.total_supply * self.indices()[0] // INDEX

    def answer(self, call: Call) -> CallResult:
        """An eth_call; a revert where the contract has no such function or refuses."""
        try:
            types, values = self._view(call)
        except RefusedError:
            return CallResult(
                to=call.to, data=call.data, error={"code": 3, "message": "execution reverted", "data": "0x"}
            )
        return CallResult(to=call.to, data=call.data, result="0x" + abi.encode(types, values))

    def _view(self, call: Call) -> tuple[list[str], list[Any]]:
        kind, data = call.data[:10], "0x" + call.data[10:]
        if call.to == BASE:
            return self._token("USDC", 6, kind)
        for token, _, decimals, *_ in self.assets:
            if call.to == token:
                return self._token("TOK" + token[2:4], decimals, kind)
        if call.to != COMET:
            raise RefusedError
        constants = {
            "baseScale": self.base_scale,
            "numAssets": len(self.assets),
            "storeFrontPriceFactor": self.store_front,
        }
        constants |= {"targetReserves": 5_000_000 * 10**6, "baseBorrowMin": 100 * 10**6, **self.rates}
        for name, value in constants.items():
            if kind == selector(f"{name}()"):
                return ["uint256"], [value]
        if kind == selector("baseToken()"):
            return ["address"], [BASE]
        if kind == selector("baseTokenPriceFeed()"):
            return ["address"], [BASE_FEED]
        if kind == selector("totalsBasic()"):
            stored = [self.supply_index, self.borrow_index, 0, 0, self.total_supply, self.total_borrow]
            return ["uint256"] * 8, [*stored, self.last_accrual, self.flags]
        if kind == selector("getAssetInfo(uint8)"):
            (i,) = abi.decode(("uint8",), data)
            if i >= len(self.assets):
                raise RefusedError
            token, feed, decimals, borrow, liquidate, factor, cap = self.assets[i]
            types = ["uint8", "address", "address", "uint64", "uint64", "uint64", "uint64", "uint128"]
            return types, [i, token, feed, 10**decimals, borrow, liquidate, factor, cap]
        if kind == selector("getPrice(address)"):
            (feed,) = abi.decode(("address",), data)
            return ["uint256"], [self.price(feed)]
        if kind == selector("userBasic(address)"):
            (who,) = abi.decode(("address",), data)
            bits = sum(1 << i for i, asset in enumerate(self.assets) if self.collateral.get((who, asset[0])))
            types = ["int104", "uint64", "uint64", "uint16", "uint8"]
            return types, [self.principal.get(who, 0), 0, 0, bits & 0xFFFF, bits >> 16]
        if kind == selector("userCollateral(address,address)"):
            who, token = abi.decode(("address", "address"), data)
            return ["uint128", "uint128"], [self.collateral.get((who, token), 0), 0]
        raise RefusedError

    def _token(self, symbol: str, decimals: int, kind: str) -> tuple[list[str], list[Any]]:
        if kind == selector("decimals()"):
            return ["uint256"], [decimals]
        if kind in (selector("symbol()"), selector("name()")):
            return ["string"], [symbol]
        if kind == selector("balanceOf(address)"):
            return ["uint256"], [self.cash]
        raise RefusedError
