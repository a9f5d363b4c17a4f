"""What a line looks at in every block: pegs, feeds, markets. Reorgs take it all back."""

from __future__ import annotations

import msgspec

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.ids import MARKET
from defiwatch.domain.risk import Assessment, Feed, Market, Pool, Vault
from defiwatch.domain.units import iso
from defiwatch.engine.watch import Watch
from defiwatch.state.journal import JournaledBook
from defiwatch.state.oracles import PUSHES
from defiwatch.state.pegs import PEGS
from defiwatch.state.prices import PriceBook

START = 1_700_000_000
USDC, USDT, WETH = ("0x" + digit * 40 for digit in "123")


def at(number: int, step: int = 12) -> BlockRef:
    return BlockRef(1, number, f"0x{number:064x}", START + step * number)


def feed(base: str, price: float, time: int, round_id: int = 7) -> Feed:
    return Feed(1, "chainlink", "0x" + "fe" * 20, base, "USD", round(price * 10**8), 8, time, round_id)


def stable_pool(usdc: float, usdt: float, price: float) -> Pool:
    return Pool(
        chain_id=1,
        protocol="curve",
        id="0x" + "aa" * 20,
        label="USDC/USDT",
        tokens=(USDC, USDT),
        symbols=("USDC", "USDT"),
        decimals=(6, 6),
        reserves=(round(usdc * 10**6), round(usdt * 10**6)),
        fee_ppm=400,
        price=price,
        share=max(usdc, usdt) / (usdc + usdt),
    )


class Line:
    """A book, its prices and their watch."""

    def __init__(self, chain_id: int = 1) -> None:
        self.book = JournaledBook(chain_id)
        self.prices = PriceBook(chain_id)
        self.watch = Watch(chain_id, Alerts(), self.prices)

    def block(
        self,
        ref: BlockRef,
        *,
        pools: tuple[Pool, ...] = (),
        feeds: tuple[Feed, ...] = (),
        markets: tuple[Market, ...] = (),
        vaults: tuple[Vault, ...] = (),
    ) -> dict[str, Assessment]:
        self.book.open(ref)
        self.prices.refresh(feeds, pools, ref.time)
        found = self.watch.on_block(self.book, pools, feeds, markets, vaults, float(ref.time), ref)
        return {f"{item.kind} {item.subject.label}": item for item in found}

    def quote(self, base: str, price: float, time: float) -> list[Assessment]:
        self.prices.on_quote(QuoteFrame("coinbase", base, "USD", str(price), iso(time)), time)
        return self.watch.on_quote(self.book, base, time)


def test_a_pools_share_leads_and_its_price_follows() -> None:
    line = Line()
    for i in range(100):
        calm = line.block(at(i), pools=(stable_pool(100, 100, 1.0),), feeds=(feed("USDC", 1.0, START),))
    assert calm["pool.imbalance USDC/USDT"].severity is None
    assert calm["price.depeg USDT"].severity is None
    for i in range(100, 111):
        found = line.block(at(i), pools=(stable_pool(40, 160, 1.03),), feeds=(feed("USDC", 1.0, START),))
    assert found["pool.imbalance USDC/USDT"].severity == "critical"
    assert "80.0 % of the pool is USDT" in found["pool.imbalance USDC/USDT"].reasons[0].text
    depeg = found["price.depeg USDT"]
    assert depeg.severity == "warning"
    assert {reason.name for reason in depeg.reasons} == {"price", "lasting", "share", "outflow"}
    assert depeg.evidence.block == 110
    assert found["price.depeg USDC"].severity is None


def test_a_reorg_takes_back_what_a_block_taught() -> None:
    line = Line()
    for i in range(5):
        line.block(at(i), pools=(stable_pool(100, 100, 1.0),), feeds=(feed("USDC", 1.0, START + i, i + 1),))
    before = line.book.digest()
    line.block(at(5), pools=(stable_pool(10, 190, 1.5),), feeds=(feed("USDC", 0.5, START + 60, 6),))
    assert line.book.digest() != before
    line.book.undo()
    assert line.book.digest() == before
    assert line.book.get(PEGS, "USDT") is not None
    pushes = line.book.get(PUSHES, ("chainlink", "0x" + "fe" * 20))
    assert pushes is not None
    assert pushes.intervals == (1, 1, 1, 1)


def test_venues_pegs_are_the_market_lines_to_judge() -> None:
    market, chain = Line(MARKET), Line(1)
    for i in range(200):
        assert chain.quote("USDC", 1.0, START + 60.0 * i) == []
        market.quote("USDC", 1.0, START + 60.0 * i)
    (first,) = market.quote("USDC", 0.97, START + 12_000.0)
    assert first.severity is None
    market.quote("USDC", 0.97, START + 12_060.0)
    (told,) = market.quote("USDC", 0.97, START + 12_120.0)
    assert (told.key, told.severity) == ("0:price:USDC:depeg", "info")
    assert market.quote("ETH", 2000.0, START + 12_120.0) == []


def test_a_feed_is_held_against_venues_not_against_itself() -> None:
    line = Line()
    alone = line.block(at(0), feeds=(feed("ETH", 2000.0, START),))
    assert set(alone) == {"oracle.stale ETH/USD"}
    line.quote("ETH", 1800.0, at(1).time)
    assert line.block(at(1), feeds=(feed("ETH", 2000.0, START),))["oracle.deviation ETH/USD"].severity is None
    line.quote("ETH", 1800.0, at(7).time)
    late = line.block(at(7), feeds=(feed("ETH", 2000.0, START),))["oracle.deviation ETH/USD"]
    assert late.severity == "warning"
    assert "not learnt yet" in late.reasons[0].text
    pushed = line.block(at(8), feeds=(feed("ETH", 1801.0, at(8).time, 8),))["oracle.deviation ETH/USD"]
    assert pushed.severity is None


def test_markets_and_vaults() -> None:
    full = Market(1, "aave_v3", "m", "USDC", USDC, "USDC", 6, 10**12, 10**12, 0, 10**12, bad_debt=10**10)
    vault = Vault(1, "erc4626", "0xv", "V", USDC, "USDC", 6, 10**6, 10**9, 10**21, 0, block=1, time=START)
    line = Line()
    line.block(at(1), markets=(full,), vaults=(vault,))
    worse = msgspec.structs.replace(vault, share_price=9 * 10**5, block=2, time=START + 60)
    found = line.block(at(2), markets=(full,), vaults=(worse,))
    assert {kind: item.severity for kind, item in found.items()} == {
        "market.utilisation USDC": "critical",
        "market.bad_debt USDC": "critical",
        "vault.share_price V": "critical",
    }


LST = "0x" + "4" * 40


def staking_pool(symbol: str, price: float, rates: tuple[int, ...] = ()) -> Pool:
    return Pool(
        chain_id=1,
        protocol="curve",
        id="0x" + "ab" * 20,
        label=f"{symbol}/WETH",
        tokens=(LST, WETH),
        symbols=(symbol, "WETH"),
        decimals=(18, 18),
        reserves=(10**22, 10**22),
        fee_ppm=400,
        price=price,
        rates=rates,
    )


def fallen(
    symbol: str, before: float, after: float, *, calm: int, rates: tuple[int, ...] = (), vault: Vault | None = None
) -> dict[str, Assessment]:
    """What is told half an hour after a fall, with ETH itself falling by a third at the same time."""
    line, vaults = Line(), (vault,) if vault else ()
    for i in range(calm):
        line.block(at(i, 600), pools=(staking_pool(symbol, before, rates),), feeds=(feed("ETH", 3000.0, START),))
    found: dict[str, Assessment] = {}
    for i in range(calm, calm + 5):
        dear = feed("ETH", 2000.0, START, 8)
        found = line.block(at(i, 600), pools=(staking_pool(symbol, after, rates),), feeds=(dear,), vaults=vaults)
    return found


def test_a_staked_asset_is_held_against_its_contracts_rate_and_not_against_one() -> None:
    rates = (118 * 10**16, 10**18)
    assert fallen("wstETH", 1.18, 1.1798, calm=3, rates=rates)["price.depeg wstETH"].severity is None
    told = fallen("wstETH", 1.18, 1.1210, calm=3, rates=rates)["price.depeg wstETH"]
    assert told.severity == "warning"
    assert told.title == "wstETH: 1.1210 ETH, 5.0 % below what its contract gives"
    assert told.key == "1:price:WSTETH:depeg"


def test_a_vault_tells_the_rate_of_its_own_shares() -> None:
    vault = Vault(1, "erc4626", LST, "sUSDe", USDC, "USDe", 18, 12 * 10**17, 10**24, 10**24, 0, block=1, time=START)
    pool = msgspec.structs.replace(
        staking_pool("sUSDe", 1.2), tokens=(LST, USDC), symbols=("sUSDe", "USDe"), label="sUSDe/USDe"
    )
    line = Line()
    for i in range(5):
        low = msgspec.structs.replace(pool, price=1.2 if i < 2 else 1.08)
        told = line.block(at(i, 600), pools=(low,), feeds=(feed("USDe", 1.0, START),), vaults=(vault,))
    assert "10.0 % below what its contract gives" in told["price.depeg sUSDe"].title


def test_without_a_contracts_rate_the_usual_ratio_is_learnt_first() -> None:
    assert "price.depeg weETH" not in fallen("weETH", 1.05, 1.0, calm=20)
    told = fallen("weETH", 1.05, 0.9975, calm=60)["price.depeg weETH"]
    assert told.severity == "warning"
    assert "below its usual ratio (learnt)" in told.title
    assert fallen("weETH", 1.05, 1.0502, calm=60)["price.depeg weETH"].severity is None


def test_what_rebases_is_worth_one() -> None:
    told = fallen("stETH", 1.0, 0.95, calm=2)["price.depeg stETH"]
    assert told.title == "stETH: 0.9500 ETH, 5.0 % below its peg"


def test_the_market_line_judges_what_venues_quote() -> None:
    market = Line(MARKET)
    for i in range(60):
        market.quote("ETH", 3000.0, START + 600.0 * i)
        assert all(item.severity is None for item in market.quote("CBETH", 3300.0, START + 600.0 * i))
    for i in range(60, 66):
        market.quote("ETH", 2000.0, START + 600.0 * i)
        told = market.quote("CBETH", 2090.0, START + 600.0 * i)
    assert [item.key for item in told] == ["0:price:CBETH:depeg"]
    assert told[0].severity == "warning"
