"""DefiLlama: `GET /prices/current/{coins}`, an aggregator of on-chain and exchange prices; no key is needed.

Coins go by their place, not by symbol: `coingecko:ethereum`, `ethereum:0x…`. A pair names one behind an equals sign
("USDC-USD=ethereum:0xa0b8…"); for the usual symbols it may be left out. What a coin calls itself in the answer is not
believed. `confidence` is DefiLlama's own mark from 0 to 1, no interval: below `SURE` a price is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import quote

import msgspec

from defiwatch.collectors.quotes.base import Answer, Ask, PollingVenue, UnknownPairError, checked, moment_of
from defiwatch.domain.frames import QuoteFrame
from defiwatch.errors import AnswerError

SURE = 0.9

COINS = {
    "BTC": "bitcoin",
    "WBTC": "wrapped-bitcoin",
    "ETH": "ethereum",
    "WETH": "ethereum",
    "STETH": "staked-ether",
    "USDC": "usd-coin",
    "USDT": "tether",
    "DAI": "dai",
    "FRAX": "frax",
    "LUSD": "liquity-usd",
    "LINK": "chainlink",
    "AAVE": "aave",
    "CRV": "curve-dao-token",
    "MKR": "maker",
    "UNI": "uniswap",
}
"""The coins of usual symbols, as CoinGecko names them."""


class _Coin(msgspec.Struct, frozen=True):
    price: float
    timestamp: float
    confidence: float = 1.0


class _Current(msgspec.Struct, frozen=True):
    coins: dict[str, _Coin]


_decode = msgspec.json.Decoder(_Current).decode


class DefiLlama(PollingVenue):
    """Prices are in US dollars, so pairs are against USD."""

    venue: ClassVar[str] = "defillama"
    default_url: ClassVar[str] = "https://coins.llama.fi"
    together: ClassVar[int] = 50

    def ask(self, pairs: Sequence[str]) -> Ask:
        """The prices of these pairs' coins."""
        return Ask("/prices/current/" + ",".join(quote(coin_of(pair), safe=":") for pair in pairs), tuple(pairs))

    def read(self, ask: Ask, answer: Answer) -> Sequence[QuoteFrame]:
        """The quotes in an answer. Coins that it leaves out, or is not sure of, are left out."""
        try:
            coins = {name.lower(): coin for name, coin in _decode(answer.body).coins.items()}
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.venue}: {error}") from error
        found = [(pair, coins.get(coin_of(pair).lower())) for pair in ask.pairs]
        if all(coin is None for _, coin in found):
            raise UnknownPairError(f"{self.venue}: knows none of {', '.join(ask.pairs)}")
        sure = [(pair, coin) for pair, coin in found if coin is not None and coin.confidence >= SURE]
        if not sure:
            raise AnswerError(f"{self.venue}: sure of none of {', '.join(ask.pairs)} (confidence below {SURE:g})")
        return [
            checked(
                self.venue,
                pair.partition("=")[0],
                repr(coin.price),
                moment_of(self.venue, pair, coin.timestamp),
            )
            for pair, coin in sure
        ]


def coin_of(pair: str) -> str:
    """Where a pair's coin is found. UnknownPairError for a symbol that is not usual, or a quote that is not USD."""
    symbols, _, coin = pair.partition("=")
    base, _, counted = symbols.upper().partition("-")
    if counted != "USD":
        raise UnknownPairError(f"defillama: {pair}: prices are in USD")
    if coin:
        return coin
    if base not in COINS:
        raise UnknownPairError(f"defillama: {pair}: say which coin, as in {base}-USD=ethereum:0x…")
    return f"coingecko:{COINS[base]}"
