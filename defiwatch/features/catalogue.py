"""Every feature with its unit. The order is that in which an observation holds them."""

from __future__ import annotations

SWAP = "pool"
"""One trade against a pool, at once."""

FLOW = "flow"
"""One pool's block as it closed."""

DRAIN = "drain"
"""What left a pool within the drain window."""

FEED = "feed"
"""One push of an oracle feed."""

MARKET = "market"
"""One asset of a lending market, in a block in which it was used."""

TRANSFER = "transfer"
"""One transfer of a watched token."""

SERIES = "series"
"""One value of a plain series."""

FEATURES: dict[str, dict[str, str]] = {
    SWAP: {
        "move": "|ln(price / price after the pool's previous trade)|",
        "block_move": "|ln(price / price at the end of the previous block that traded)|",
        "deviation": "|ln(price / time-weighted mean price)|; the mean moves between blocks only, 10 min memory",
        "size": "the trade's larger side as a share of what the pool has to trade with, 0..",
        "flow": "|net amount of token 0 that came in|, as a share of the pool, exponentially decayed over 10 min, 0..",
        "pace": "trades of this pool in this block so far, this one included",
        "gap": "seconds since the pool's previous trade (0 inside a block)",
    },
    FLOW: {
        "close_move": "|ln(price at the block's end / price at the end of the previous block that traded)|",
        "deviation": "|ln(price / time-weighted mean price)| at the block's end",
        "volume": "sum of the trades' sizes in the block, as shares of the pool, 0..",
        "flow": "|net amount of token 0 that came in|, as at the block's end, 0..",
        "reserve_change": "largest relative change of a reserve over the block, 0..",
        "trades": "trades of the pool in the block",
    },
    DRAIN: {
        "removed": "share of the liquidity that its providers took out within the window, net of what came in, 0..1",
        "outflow": "half the share that one side lost in trades within the window, net of liquidity moves, 0..1",
    },
    FEED: {
        "push": "|ln(answer / answer before)|",
        "interval": "seconds between the two rounds, by the feed's own clock",
        "pushes": "pushes of the feed, exponentially decayed over an hour, this one included",
        "away": "|ln(answer / what venues and exchanges agree on)|, as the block was whole",
    },
    MARKET: {
        "supplied": "what was supplied in the block, as a share of all that is supplied, 0..",
        "withdrawn": "what was withdrawn in the block, as such a share, 0..",
        "borrowed": "what was borrowed in the block, as such a share, 0..",
        "repaid": "what borrowers repaid in the block, as such a share, 0..",
        "liquidated": "debt that liquidators repaid, exponentially decayed over an hour, as a share of all debt, 0..",
        "drained": "|net amount that left|, exponentially decayed over an hour, as a share of what is supplied, 0..",
        "step": "|utilisation - that of the last block in which the market was used|, 0..1",
        "strayed": "|utilisation - its slow mean|, 0..1",
    },
    TRANSFER: {
        "amount": "the transfer, in usual transfers (geometric mean) of the token, 0..",
        "moved": "all transfers of the token, exponentially decayed over 10 min, in usual transfers, 0..",
    },
    SERIES: {
        "jump": "|value - value before|, in spreads (mean absolute deviations) of the series",
        "level": "|value - slow mean|, in spreads",
        "range": "how far outside everything seen so far, in widths of that range, 0..",
        "hour": "|value - mean at this half hour of the day|, in spreads",
    },
}
