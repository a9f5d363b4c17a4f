"""A full Aave v3.0.2 market. Thresholds and fees in basis points, rates in ray, prices with 8 decimals (USD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .abi import MAX_UINT256, ZERO, encode
from .artifacts import AAVE, bytecode
from .chain import Chain, Tx
from .model import AaveMarket, Feed, Reserve, Roles, Token

RAY = 10**27
STABLE_RATE, VARIABLE_RATE = 1, 2
EMODE_STABLES, EMODE_ETH = 1, 2
_INIT = (
    "initReserves((address,address,address,uint8,address,address,address,address,"
    "string,string,string,string,string,string,bytes)[])"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """A reserve's risk parameters, basis points; `whale` is what it starts with, whole tokens."""

    ltv: int
    threshold: int
    bonus: int
    reserve_factor: int
    protocol_fee: int
    emode: int
    optimal: int
    slope1: int
    slope2: int
    base: int
    whale: float
    stable_rate: bool = False


TERMS = {
    "WETH": Terms(8000, 8250, 10500, 1500, 1000, EMODE_ETH, 8000, 330, 8000, 0, 6_000),
    "WBTC": Terms(7300, 7800, 10500, 2000, 1000, 0, 4500, 400, 30000, 0, 200),
    "USDC": Terms(7700, 8000, 10450, 1000, 1000, EMODE_STABLES, 9000, 400, 6000, 0, 12_000_000, stable_rate=True),
    "USDT": Terms(7500, 7800, 10450, 1000, 1000, EMODE_STABLES, 9000, 400, 7500, 0, 8_000_000),
    "DAI": Terms(7700, 8000, 10400, 1000, 1000, EMODE_STABLES, 9000, 400, 7500, 0, 8_000_000, stable_rate=True),
    "wstETH": Terms(7850, 8100, 10600, 1500, 1000, EMODE_ETH, 4500, 450, 8000, 25, 3_000),
    "LINK": Terms(5300, 6800, 10700, 2000, 1000, 0, 4500, 700, 30000, 0, 300_000),
}
EMODES = {  # category -> (ltv, threshold, bonus, label)
    EMODE_STABLES: (9300, 9500, 10100, "Stablecoins"),
    EMODE_ETH: (9000, 9300, 10100, "ETH correlated"),
}


def deploy_aave(
    chain: Chain,
    roles: Roles,
    tokens: dict[str, Token],
    feeds: dict[str, Feed],
    listed: Mapping[str, Terms] = TERMS,
    base_unit: int = 10**8,
) -> AaveMarket:
    """Everything up to a market with supplied liquidity; mines what it needs to. The feeds must have answers.

    base_unit   one unit of the currency that the feeds answer in
    """
    admin = roles.admin

    def new(name: str, types: str = "", *args: object, links: dict[str, str] | None = None) -> str:
        return chain.deploy(admin, bytecode(AAVE, name, links), name, types, *args)

    def run(to: str, signature: str, *args: object) -> None:
        chain.send([Tx(admin, to, encode(signature, *args), signature.partition("(")[0], gas=12_000_000)])

    def mine() -> None:
        chain.mine(chain.node.timestamp() + 12)

    provider = new("PoolAddressesProvider", "string,address", "defiwatch devnet", admin)
    run(provider, "setACLAdmin(address)", admin)  # ACLManager's constructor asks for it
    acl = new("ACLManager", "address", provider)
    run(provider, "setACLManager(address)", acl)
    for role in ("addPoolAdmin", "addEmergencyAdmin", "addRiskAdmin", "addAssetListingAdmin"):
        run(acl, f"{role}(address)", admin)
    libraries = {
        name: new(name)
        for name in (
            "SupplyLogic",
            "BorrowLogic",
            "LiquidationLogic",
            "EModeLogic",
            "BridgeLogic",
            "PoolLogic",
        )
    }
    libraries["ConfiguratorLogic"] = new("ConfiguratorLogic")
    libraries["FlashLoanLogic"] = new("FlashLoanLogic", links=libraries)
    pool_code = new("Pool", "address", provider, links=libraries)
    configurator_code = new("PoolConfigurator", links=libraries)
    run(pool_code, "initialize(address)", provider)
    run(configurator_code, "initialize(address)", provider)
    run(provider, "setPoolImpl(address)", pool_code)
    run(provider, "setPoolConfiguratorImpl(address)", configurator_code)
    addresses = [tokens[asset].address for asset in listed]
    oracle = new(
        "AaveOracle",
        "address,address[],address[],address,address,uint256",
        *(provider, addresses, [feeds[asset].proxy for asset in listed], ZERO, ZERO, base_unit),
    )
    run(provider, "setPriceOracle(address)", oracle)
    data_provider = new("AaveProtocolDataProvider", "address", provider)
    run(provider, "setPoolDataProvider(address)", data_provider)
    mine()
    pool = str(chain.value(provider, "getPool()", returns="address"))
    configurator = str(chain.value(provider, "getPoolConfigurator()", returns="address"))

    codes = [new(name, "address", pool) for name in ("AToken", "StableDebtToken", "VariableDebtToken")]
    strategies = {asset: _strategy(chain, admin, provider, terms) for asset, terms in listed.items()}
    steep = Terms(0, 0, 0, 0, 0, 0, optimal=8000, slope1=700, slope2=12000, base=100, whale=0)
    spare = _strategy(chain, admin, provider, steep)
    mine()
    for asset in listed:
        token = tokens[asset]
        names = [
            f"{prefix}{asset}" for prefix in ("Aave ", "a", "Aave Variable Debt ", "vd", "Aave Stable Debt ", "sd")
        ]
        row = (*codes, token.decimals, strategies[asset], token.address, roles.treasury, ZERO, *names, b"")
        run(configurator, _INIT, [row])
    for category, (ltv, threshold, bonus, label) in EMODES.items():
        signature = "setEModeCategory(uint8,uint16,uint16,uint16,address,string)"
        run(configurator, signature, category, ltv, threshold, bonus, ZERO, label)
    for asset, terms in listed.items():
        address = tokens[asset].address
        signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
        run(configurator, signature, address, terms.ltv, terms.threshold, terms.bonus)
        run(configurator, "setReserveBorrowing(address,bool)", address, True)
        if terms.stable_rate:
            run(configurator, "setReserveStableRateBorrowing(address,bool)", address, True)
        run(configurator, "setReserveFactor(address,uint256)", address, terms.reserve_factor)
        run(configurator, "setLiquidationProtocolFee(address,uint256)", address, terms.protocol_fee)
        run(configurator, "setReserveFlashLoaning(address,bool)", address, True)
        if terms.emode:
            run(configurator, "setAssetEModeCategory(address,uint8)", address, terms.emode)
    mine()
    market = AaveMarket(
        provider=provider,
        pool=pool,
        configurator=configurator,
        oracle=oracle,
        data_provider=data_provider,
        acl_manager=acl,
        reserves={asset: _reserve(chain, data_provider, tokens[asset], strategies[asset]) for asset in listed},
        emodes={
            category: tuple(asset for asset, terms in listed.items() if terms.emode == category) for category in EMODES
        },
        spare_strategy=spare,
    )
    people = (roles.whale, *roles.borrowers, *roles.liquidators, roles.fleeting_liquidator, roles.probe)
    approve = encode("approve(address,uint256)", pool, MAX_UINT256)
    for person in people:
        chain.send([Tx(person, tokens[asset].address, approve, "approve the pool") for asset in listed])
    mine()
    chain.send(
        supply(market, tokens[asset], roles.whale, tokens[asset].units(terms.whale)) for asset, terms in listed.items()
    )
    mine()
    return market


def _strategy(chain: Chain, admin: str, provider: str, terms: Terms) -> str:
    bp = RAY // 10_000
    code = bytecode(AAVE, "DefaultReserveInterestRateStrategy")
    rates = (terms.optimal * bp, terms.base * bp, terms.slope1 * bp, terms.slope2 * bp)
    stable = (50 * bp, 6000 * bp, 100 * bp, 800 * bp, 2000 * bp) if terms.stable_rate else (0, 0, 0, 0, 0)
    return chain.deploy(
        admin, code, "rate strategy", ",".join(["address", *["uint256"] * 9]), provider, *rates, *stable
    )


def _reserve(chain: Chain, data_provider: str, token: Token, strategy: str) -> Reserve:
    a_token, stable, variable = chain.call(
        data_provider, "getReserveTokensAddresses(address)", token.address, returns="address,address,address"
    )
    return Reserve(token.symbol, token.address, a_token, stable, variable, strategy)


def supply(market: AaveMarket, token: Token, user: str, amount: int) -> Tx:
    """`amount` in the token's units."""
    data = encode("supply(address,uint256,address,uint16)", token.address, amount, user, 0)
    return Tx(user, market.pool, data, f"supply {token.symbol}")


def withdraw(market: AaveMarket, token: Token, user: str, amount: int) -> Tx:
    data = encode("withdraw(address,uint256,address)", token.address, amount, user)
    return Tx(user, market.pool, data, f"withdraw {token.symbol}")


def borrow(market: AaveMarket, token: Token, user: str, amount: int, mode: int = VARIABLE_RATE) -> Tx:
    data = encode("borrow(address,uint256,uint256,uint16,address)", token.address, amount, mode, 0, user)
    return Tx(user, market.pool, data, f"borrow {token.symbol}")


def repay(market: AaveMarket, token: Token, user: str, amount: int, mode: int = VARIABLE_RATE) -> Tx:
    data = encode("repay(address,uint256,uint256,address)", token.address, amount, mode, user)
    return Tx(user, market.pool, data, f"repay {token.symbol}")


def set_emode(market: AaveMarket, user: str, category: int) -> Tx:
    return Tx(user, market.pool, encode("setUserEMode(uint8)", category), f"eMode {category}")


def liquidate(
    market: AaveMarket, collateral: Token, debt: Token, user: str, liquidator: str, amount: int, a_token: bool
) -> Tx:
    """Cover at most `amount` units of `debt`; `a_token` takes the collateral as aTokens."""
    data = encode(
        "liquidationCall(address,address,address,uint256,bool)",
        *(collateral.address, debt.address, user, amount, a_token),
    )
    return Tx(liquidator, market.pool, data, f"liquidate {user[:8]} {collateral.symbol} for {debt.symbol}")
