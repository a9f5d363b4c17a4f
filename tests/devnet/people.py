"""The borrowers: who opens what, and what each does on a calm day."""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import deploy_aave as aave
from . import deploy_morpho as blue
from .abi import encode
from .chain import Call, Tx
from .deploy_aave import EMODE_ETH, EMODE_STABLES, EMODES, STABLE_RATE, TERMS, VARIABLE_RATE
from .model import Devnet

ACCOUNT_DATA = "uint256,uint256,uint256,uint256,uint256,uint256"
WAD = 10**18


@dataclass(frozen=True, slots=True)
class Plan:
    """A position to open: collateral in USD, what is borrowed in which share, the health factor it starts near."""

    supplies: dict[str, float]
    borrows: dict[str, float]
    health: float
    emode: int = 0
    stable: str = ""
    note: str = ""


K = 1000.0
PLANS = (
    Plan({"WETH": 900 * K}, {"USDC": 1}, 1.07),
    Plan({"WETH": 400 * K}, {"DAI": 1}, 1.12),
    Plan({"WETH": 250 * K}, {"USDT": 1}, 1.18),
    Plan({"WETH": 1200 * K}, {"USDC": 0.6, "DAI": 0.4}, 1.25),
    Plan({"wstETH": 600 * K}, {"USDC": 1}, 1.15),
    Plan({"wstETH": 300 * K, "WETH": 100 * K}, {"USDT": 1}, 1.30),
    Plan({"WBTC": 500 * K}, {"USDC": 1}, 1.12),
    Plan({"WBTC": 300 * K, "WETH": 300 * K}, {"DAI": 0.5, "USDC": 0.5}, 1.20),
    Plan({"LINK": 200 * K}, {"USDC": 1}, 1.30, note="jumps when the silent feed answers"),
    Plan({"LINK": 160 * K, "WETH": 20 * K}, {"DAI": 1}, 1.29, note="jumps when the silent feed answers"),
    Plan({"WETH": 700 * K}, {"WBTC": 1}, 1.20),
    Plan({"WBTC": 400 * K}, {"WETH": 1}, 1.16, note="short of ether: safer as it falls"),
    Plan({"USDC": 500 * K}, {"WETH": 1}, 1.30, note="short of ether: safer as it falls"),
    Plan({"wstETH": 2000 * K}, {"WETH": 1}, 1.06, emode=EMODE_ETH),
    Plan({"wstETH": 800 * K}, {"WETH": 1}, 1.12, emode=EMODE_ETH),
    Plan({"USDC": 900 * K}, {"DAI": 1}, 1.05, emode=EMODE_STABLES),
    Plan({"USDT": 600 * K}, {"USDC": 1}, 1.025, emode=EMODE_STABLES, note="falls with the peg"),
    Plan(
        {"USDT": 400 * K},
        {"DAI": 0.5, "USDC": 0.5},
        1.06,
        emode=EMODE_STABLES,
        note="comes close with the peg",
    ),
    Plan({"WETH": 500 * K}, {"WETH": 0.5, "USDC": 0.5}, 1.40, note="the same asset on both sides"),
    Plan({"USDC": 400 * K, "WETH": 200 * K}, {"USDC": 1}, 1.35, note="the same asset on both sides"),
    Plan({"WETH": 1000 * K}, {"DAI": 0.7, "USDC": 0.3}, 1.35, stable="DAI", note="stable-rate debt"),
    Plan(
        {"WETH": 150 * K, "WBTC": 150 * K, "LINK": 150 * K, "wstETH": 150 * K},
        {"USDC": 0.4, "USDT": 0.3, "DAI": 0.3},
        1.45,
    ),
    Plan({"WETH": 300 * K}, {"USDC": 1}, 1.50, note="the liquidation that a reorg takes back"),
    Plan({"WETH": 350 * K}, {"USDC": 1}, 1.58),
    Plan({"WETH": 2000 * K}, {"USDC": 1}, 2.6),
    Plan({"WBTC": 1000 * K}, {"DAI": 1}, 3.2),
    Plan({"wstETH": 1500 * K}, {"USDC": 1}, 4.0),
    Plan({"USDC": 2000 * K}, {"USDT": 1}, 2.2, note="switches eMode"),
    Plan({"DAI": 500 * K}, {"USDC": 1}, 1.9),
    Plan({"WETH": 100 * K}, {"LINK": 1}, 2.4),
    Plan({"WETH": 500.0}, {"USDC": 1}, 1.10, note="dust"),
    Plan({"WETH": 600 * K}, {"USDC": 1}, 1.22, note="repays whenever it gets close"),
)
REORGED, SAVER, EMODE_SWITCHER, HEALTHY = 22, 31, 27, (24, 25, 26, 27, 28, 29)
JUMPERS = (8, 9)
UNTOUCHED = (REORGED, *JUMPERS, 16, 17, 30)
"""Borrowers whose fate is fixed by their opening: they neither act nor are given anything."""
MORPHO_PLANS = (
    (0, 400 * K, 1.06),
    (0, 150 * K, 1.15),
    (0, 300 * K, 1.35),
    (0, 500 * K, 2.2),
    (1, 700 * K, 1.03),
    (1, 200 * K, 1.15),
)
"""market, collateral in USD, health factor"""


def threshold(asset: str, emode: int) -> int:
    """The liquidation threshold (basis points) that counts for `asset` in `emode` (0: none), in Aave v3.0."""
    terms = TERMS[asset]
    return EMODES[emode][1] if emode and terms.emode == emode else terms.threshold


def opening(devnet: Devnet) -> list[list[Tx]]:
    """The transactions that open every position, by block."""
    roles, tokens, market, prices = devnet.roles, devnet.tokens, devnet.aave, devnet.start_prices
    supplies: list[Tx] = []
    borrows: list[Tx] = []
    for user, plan in zip(roles.borrowers, PLANS, strict=True):
        weighted = 0.0
        for asset, usd in plan.supplies.items():
            supplies.append(aave.supply(market, tokens[asset], user, tokens[asset].units(usd / prices[asset])))
            weighted += usd * threshold(asset, plan.emode) / 10_000
        if plan.emode:
            borrows.append(aave.set_emode(market, user, plan.emode))
        for asset, share in plan.borrows.items():
            amount = tokens[asset].units(weighted / plan.health * share / prices[asset])
            mode = STABLE_RATE if asset == plan.stable else VARIABLE_RATE
            borrows.append(aave.borrow(market, tokens[asset], user, amount, mode))
    morpho: list[Tx] = []
    for user, (number, usd, health) in zip(roles.morpho_borrowers, MORPHO_PLANS, strict=True):
        blue_market = devnet.morpho.markets[number]
        collateral, loan = tokens[blue_market.collateral], tokens[blue_market.loan]
        debt = usd * blue_market.lltv / WAD / health
        morpho += [
            blue.supply_collateral(devnet.morpho, blue_market, user, collateral.units(usd / prices[collateral.symbol])),
            blue.borrow(devnet.morpho, blue_market, user, loan.units(debt / prices[loan.symbol])),
        ]
    return [supplies, borrows[: len(borrows) // 2], borrows[len(borrows) // 2 :], morpho]


def account_calls(devnet: Devnet) -> list[Call]:
    """`getUserAccountData` of every borrower, in the order of `roles.borrowers`."""
    signature = "getUserAccountData(address)"
    return [Call(devnet.aave.pool, signature, (user,), ACCOUNT_DATA) for user in devnet.roles.borrowers]


def health_factors(devnet: Devnet, block: int | str = "latest") -> dict[str, int]:
    """Every borrower's health factor (wad; 2**256-1 without debt), from the contract."""
    rows = devnet.chain.reads(account_calls(devnet), block)
    return {user: int(row[5]) for user, row in zip(devnet.roles.borrowers, rows, strict=True)}


def everyday(devnet: Devnet, rng: random.Random, health: dict[str, int]) -> list[Tx]:
    """One small action of one borrower that its health factor allows, or none."""
    number = rng.randrange(len(PLANS))
    if number in UNTOUCHED:
        return []
    user, plan = devnet.roles.borrowers[number], PLANS[number]
    market = devnet.aave
    own, owed = next(iter(plan.supplies)), next(iter(plan.borrows))
    balance = "balanceOf(address)"
    (supplied,), (debt,) = devnet.chain.reads(
        [
            Call(market.reserves[own].a_token, balance, (user,), "uint256"),
            Call(market.reserves[owed].variable_debt, balance, (user,), "uint256"),
        ]
    )
    action = rng.choice(("repay", "supply", "borrow", "withdraw", "transfer"))
    part = rng.uniform(0.001, 0.008)
    gives, takes = int(supplied * part), int(debt * part)
    asset, loan = devnet.tokens[own], devnet.tokens[owed]
    if action == "repay":
        return [aave.repay(market, loan, user, takes)] if takes else []
    if action == "supply":
        return [aave.supply(market, asset, user, gives)] if gives else []
    if health[user] < WAD * 135 // 100 or not gives or not takes:
        return []
    if action == "borrow":
        return [aave.borrow(market, loan, user, takes)]
    if action == "withdraw":
        return [aave.withdraw(market, asset, user, gives)]
    receiver = rng.choice([other for at, other in enumerate(devnet.roles.borrowers) if at not in UNTOUCHED])
    return [transfer(devnet, own, user, receiver, gives // 2)]


def transfer(devnet: Devnet, asset: str, sender: str, receiver: str, amount: int) -> Tx:
    """Hand over `amount` units of an aToken."""
    data = encode("transfer(address,uint256)", receiver, amount)
    return Tx(sender, devnet.aave.reserves[asset].a_token, data, f"transfer a{asset}")


def governance(devnet: Devnet, at: int) -> list[Tx]:
    """What the market's admin and some borrowers do on fixed blocks of the calm phase."""
    roles, tokens, market = devnet.roles, devnet.tokens, devnet.aave

    def admin(what: str, signature: str, *args: object) -> Tx:
        return Tx(roles.admin, market.configurator, encode(signature, *args), what)

    switcher = roles.borrowers[EMODE_SWITCHER]
    healthy = roles.borrowers[HEALTHY[2]]
    stable = roles.borrowers[20]
    usdc, link, weth = tokens["USDC"], tokens["LINK"], tokens["WETH"]
    toggle = "setUserUseReserveAsCollateral(address,bool)"
    bonus = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
    events = {
        12: [aave.supply(market, usdc, healthy, usdc.units(50_000))],
        16: [Tx(healthy, market.pool, encode(toggle, usdc.address, False), "USDC no longer collateral")],
        22: [Tx(healthy, market.pool, encode(toggle, usdc.address, True), "USDC collateral again")],
        25: [aave.set_emode(market, switcher, EMODE_STABLES)],
        32: [admin("reserve factor of WETH 20 %", "setReserveFactor(address,uint256)", weth.address, 2000)],
        38: [
            Tx(
                stable,
                market.pool,
                encode("swapBorrowRateMode(address,uint256)", usdc.address, 2),
                "USDC debt to a stable rate",
            )
        ],
        44: [admin("threshold of LINK cut to 66 %", bonus, link.address, 5300, 6600, 10700)],
        50: [aave.set_emode(market, switcher, 0)],
        55: [
            admin(
                "a steeper rate strategy for USDC",
                "setReserveInterestRateStrategyAddress(address,address)",
                usdc.address,
                market.spare_strategy,
            )
        ],
        60: [
            admin(
                "protocol fee of WBTC 15 %",
                "setLiquidationProtocolFee(address,uint256)",
                tokens["WBTC"].address,
                1500,
            )
        ],
        64: [
            Tx(
                stable,
                market.pool,
                encode("swapBorrowRateMode(address,uint256)", usdc.address, 1),
                "USDC debt to a variable rate",
            )
        ],
    }
    return events.get(at, [])
