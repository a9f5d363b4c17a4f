"""What an asset is: symbols that name the same coin, pegs, and which asset measures which."""

from __future__ import annotations

USD = "USD"

WRAPPED: dict[str, str] = {
    "WETH": "ETH",
    "WBNB": "BNB",
    "WXDAI": "XDAI",
    "WMATIC": "POL",
    "WPOL": "POL",
    "MATIC": "POL",
    "WAVAX": "AVAX",
}
"""Wrapped coins that redeem one for one at any time, and renamed ones: they are the same asset."""

PEGGED: dict[str, str] = {
    "USDC": USD,
    "USDT": USD,
    "DAI": USD,
    "USDS": USD,
    "XDAI": USD,
    "FRAX": USD,
    "LUSD": USD,
    "PYUSD": USD,
    "GHO": USD,
    "TUSD": USD,
    "BUSD": USD,
    "USDBC": USD,
    "CRVUSD": USD,
    "USDE": USD,
    "FDUSD": USD,
    "SUSD": USD,
    "USDP": USD,
    "GUSD": USD,
    "FEI": USD,
    "UST": USD,
    "WBTC": "BTC",
    "CBBTC": "BTC",
    "TBTC": "BTC",
}
"""What an asset is meant to be worth, in the order in which it is assumed; only where no price of it exists at all."""

STAKED: dict[str, str] = {
    **dict.fromkeys(("STETH", "WSTETH", "RETH", "CBETH", "WEETH", "EZETH", "RSETH", "OSETH", "ETHX", "WBETH"), "ETH"),
    **dict.fromkeys(("STMATIC", "MATICX"), "POL"),
    "SAVAX": "AVAX",
    "SDAI": "DAI",
    "SUSDE": "USDE",
}
"""What lending markets price, as a rule, by an exchange rate to another asset and not by its own market."""

REBASING = frozenset({"STETH"})
"""Staked assets that pay by their number: one is worth one."""

COINS = frozenset({"ETH", "BTC", *WRAPPED.values(), *(asset for asset, peg in PEGGED.items() if peg == "BTC")})
"""What other assets are counted in, beside dollars."""


FIAT = frozenset(
    {USD, "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "CNY", "KRW", "SGD", "BRL", "TRY", "NZD", "XAU", "XAG"}
)
"""What no token is, whatever it calls itself."""


def base_of(symbol: str) -> str:
    """The asset that a symbol names: upper case, wrapped and renamed coins as what they are."""
    upper = symbol.upper()
    return WRAPPED.get(upper, upper)


def rank(asset: str) -> int:
    """How great an asset is as a measure of others: dollars 0, coins and bitcoin 1, the rest 2."""
    if asset == USD or PEGGED.get(asset) == USD:
        return 0
    return 1 if asset in COINS else 2
