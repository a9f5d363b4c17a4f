"""A small Aave v3.6 market: what is particular to it beside `deploy_aave`, whose transactions serve it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .abi import MAX_UINT256, ZERO, encode, encode_arguments
from .artifacts import AAVE_ORIGIN, compiled
from .chain import Chain, Tx
from .model import AaveMarket, Feed, Reserve, Roles, Token
from .node import home

ADMIN_GAS = 30_000_000
"""Freezing a reserve looks at 255 eMode categories."""
_INIT = "initReserves((address,address,address,string,string,string,string,bytes,bytes)[])"
_TOKENS = "getReserveTokensAddresses(address)"


@dataclass(frozen=True, slots=True)
class Terms:
    """A reserve's risk parameters, basis points; `curve` is optimal usage, base rate and both slopes.

    ceiling   debt ceiling in USD with 2 decimals; 0 is none
    whale     what the pool starts with, whole tokens
    """

    ltv: int
    threshold: int
    bonus: int
    factor: int
    fee: int
    curve: tuple[int, int, int, int]
    whale: float
    ceiling: int = 0


@dataclass(frozen=True, slots=True)
class EMode:
    """A category: its terms in basis points, and the symbols that are collateral and can be borrowed in it."""

    ltv: int
    threshold: int
    bonus: int
    collateral: tuple[str, ...]
    borrowable: tuple[str, ...]


USD = 10**8
DECIMALS = {"ETH": 18, "BTC": 8, "USD": 6, "DAI": 18, "LST": 18, "PT": 18, "ISO": 18}
PRICES = {"ETH": 3_000.0, "BTC": 60_000.0, "USD": 1.0, "DAI": 1.0, "LST": 3_540.0, "PT": 0.97, "ISO": 15.0}
LISTED = {
    "ETH": Terms(8000, 8250, 10500, 1500, 1000, (8000, 0, 330, 8000), 6_000),
    "BTC": Terms(7300, 7800, 10650, 2000, 1500, (4500, 0, 400, 30000), 200),
    "USD": Terms(7700, 8000, 10450, 1000, 0, (9000, 100, 400, 6000), 12_000_000),
    "DAI": Terms(7700, 8000, 10400, 0, 1000, (9000, 0, 400, 7500), 8_000_000),
    "LST": Terms(7850, 8100, 10600, 1500, 2000, (4500, 25, 450, 8000), 3_000),
    "PT": Terms(0, 0, 0, 1000, 1000, (8000, 0, 700, 20000), 0),
    "ISO": Terms(5300, 6800, 10700, 2000, 1000, (4500, 0, 700, 30000), 0, ceiling=40_000_000_00),
}
EMODES = {
    1: EMode(9300, 9500, 10100, ("USD", "DAI"), ("USD", "DAI")),
    2: EMode(9000, 9300, 10150, ("ETH", "LST"), ("ETH",)),
    3: EMode(8600, 8900, 10400, ("PT", "USD"), ("USD", "DAI")),
}


def missing() -> str | None:
    """Why this market cannot be deployed here, or None if it can."""
    path = home() / "compiled" / f"{AAVE_ORIGIN}.json"
    return None if path.is_file() else f"Aave v3.6 is not compiled in {home()}: run .ci/devnet-install --soak"


def rate_data(curve: tuple[int, int, int, int]) -> bytes:
    """A curve as the interest rate strategy takes it."""
    return bytes.fromhex(encode_arguments("uint16,uint32,uint32,uint32", *curve))


def admin_call(market: AaveMarket, roles: Roles, signature: str, *args: object) -> Tx:
    """A call of the configurator."""
    return Tx(roles.admin, market.configurator, encode(signature, *args), signature, gas=ADMIN_GAS)


def deploy_origin(
    chain: Chain,
    roles: Roles,
    tokens: Mapping[str, Token],
    feeds: Mapping[str, Feed],
    listed: Mapping[str, Terms],
    emodes: Mapping[int, EMode],
    people: Sequence[str],
) -> AaveMarket:
    """Everything up to a market with supplied liquidity, which `people` may take tokens of; mines what it needs to."""
    admin = roles.admin

    def new(name: str, types: str = "", *args: object, links: dict[str, str] | None = None) -> str:
        return chain.deploy(admin, compiled(AAVE_ORIGIN, name, links), name, types, *args)

    def run(to: str, signature: str, *args: object) -> None:
        chain.send([Tx(admin, to, encode(signature, *args), signature.partition("(")[0], gas=ADMIN_GAS)])

    def mine() -> None:
        chain.mine(chain.node.timestamp() + 12)

    provider = new("PoolAddressesProvider", "string,address", "defiwatch devnet 3.6", admin)
    run(provider, "setACLAdmin(address)", admin)
    acl = new("ACLManager", "address", provider)
    run(provider, "setACLManager(address)", acl)
    for role in ("addPoolAdmin", "addEmergencyAdmin", "addRiskAdmin", "addAssetListingAdmin"):
        run(acl, f"{role}(address)", admin)
    names = ("SupplyLogic", "BorrowLogic", "LiquidationLogic", "PoolLogic", "ConfiguratorLogic")
    libraries = {name: new(name) for name in names}
    libraries["FlashLoanLogic"] = new("FlashLoanLogic", links=libraries)
    strategy = new("DefaultReserveInterestRateStrategyV2", "address", provider)
    run(
        *(provider, "setPoolImpl(address)"),
        new("PoolInstance", "address,address", provider, strategy, links=libraries),
    )
    run(provider, "setPoolConfiguratorImpl(address)", new("PoolConfiguratorInstance", links=libraries))
    addresses = [tokens[asset].address for asset in listed]
    sources = [feeds[asset].proxy for asset in listed]
    types = "address,address[],address[],address,address,uint256"
    oracle = new("AaveOracle", types, provider, addresses, sources, ZERO, ZERO, 10**8)
    run(provider, "setPriceOracle(address)", oracle)
    data_provider = new("AaveProtocolDataProvider", "address", provider)
    run(provider, "setPoolDataProvider(address)", data_provider)
    run(provider, "setAddress(bytes32,address)", b"UMBRELLA".ljust(32, b"\0"), admin)
    mine()
    pool = str(chain.value(provider, "getPool()", returns="address"))
    configurator = str(chain.value(provider, "getPoolConfigurator()", returns="address"))
    a_token = new("ATokenInstance", "address,address,address", pool, ZERO, roles.treasury)
    debt_token = new("VariableDebtTokenInstance", "address,address", pool, ZERO)
    mine()
    for asset, terms in listed.items():
        run(configurator, _INIT, [_init_row(a_token, debt_token, tokens[asset], terms)])
        address = tokens[asset].address
        if terms.threshold:
            signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
            run(configurator, signature, address, terms.ltv, terms.threshold, terms.bonus)
        run(configurator, "setReserveBorrowing(address,bool)", address, True)
        run(configurator, "setReserveFactor(address,uint256)", address, terms.factor)
        run(configurator, "setLiquidationProtocolFee(address,uint256)", address, terms.fee)
        run(configurator, "setReserveFlashLoaning(address,bool)", address, True)
        if terms.ceiling:
            run(configurator, "setDebtCeiling(address,uint256)", address, terms.ceiling)
    mine()
    for category, emode in emodes.items():
        signature = "setEModeCategory(uint8,uint16,uint16,uint16,string)"
        run(configurator, signature, category, emode.ltv, emode.threshold, emode.bonus, f"category {category}")
        for asset in emode.collateral:
            run(
                *(configurator, "setAssetCollateralInEMode(address,uint8,bool)"),
                *(tokens[asset].address, category, True),
            )
        for asset in emode.borrowable:
            run(
                *(configurator, "setAssetBorrowableInEMode(address,uint8,bool)"),
                *(tokens[asset].address, category, True),
            )
    mine()
    market = AaveMarket(
        provider=provider,
        pool=pool,
        configurator=configurator,
        oracle=oracle,
        data_provider=data_provider,
        acl_manager=acl,
        reserves={asset: reserve_of(chain, data_provider, tokens[asset], strategy) for asset in listed},
        emodes={category: emode.collateral for category, emode in emodes.items()},
        spare_strategy=strategy,
    )
    approve = encode("approve(address,uint256)", pool, MAX_UINT256)
    for person in people:
        chain.send([Tx(person, tokens[asset].address, approve, "approve the pool") for asset in listed])
    mine()
    return market


def _init_row(a_token: str, debt_token: str, token: Token, terms: Terms) -> tuple[object, ...]:
    labels = [f"{prefix}{token.symbol}" for prefix in ("Aave ", "a", "Aave Variable Debt ", "vd")]
    return (a_token, debt_token, token.address, *labels, b"", rate_data(terms.curve))


def init_reserve(chain: Chain, market: AaveMarket, roles: Roles, token: Token, terms: Terms) -> list[Tx]:
    """Lists another token later: it can be borrowed, and is no collateral. Its implementations are sent at once."""
    arguments = (market.pool, ZERO, roles.treasury)
    types = "address,address,address"
    a_token = chain.deploy(roles.admin, compiled(AAVE_ORIGIN, "ATokenInstance"), "aToken", types, *arguments)
    code = compiled(AAVE_ORIGIN, "VariableDebtTokenInstance")
    debt_token = chain.deploy(roles.admin, code, "debt token", "address,address", market.pool, ZERO)
    return [
        admin_call(market, roles, _INIT, [_init_row(a_token, debt_token, token, terms)]),
        admin_call(market, roles, "setReserveBorrowing(address,bool)", token.address, True),
    ]


def reserve_of(chain: Chain, data_provider: str, token: Token, strategy: str) -> Reserve:
    """A listed token's reserve."""
    a_token, _, variable = chain.call(data_provider, _TOKENS, token.address, returns="address,address,address")
    return Reserve(token.symbol, token.address, a_token, ZERO, variable, strategy)
