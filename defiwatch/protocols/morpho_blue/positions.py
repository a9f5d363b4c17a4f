"""Positions and markets as they stand, in everybody's words. The base currency of a Morpho market is its loan token."""

from __future__ import annotations

from defiwatch.domain import risk
from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S
from defiwatch.protocols.erc20 import symbol_of, token_of
from defiwatch.protocols.morpho_blue import adaptive, shares
from defiwatch.protocols.morpho_blue.apply import PROTOCOL
from defiwatch.protocols.morpho_blue.state import PRICES, Answer, Holding, Market, Scene
from defiwatch.protocols.spec import Book


def position_of(book: Book, at: BlockRef, id_: str, it: Scene, account: Address, holding: Holding) -> Position | None:
    """One account in one market, in loan units; None where it has neither debt nor collateral."""
    if holding.known and not holding.borrow_shares and not holding.collateral:
        return None
    market = it.market
    unknown = it.missing if holding.known else "its balances were not read yet"
    collateral_token, loan_token = token_of(book, market.collateral), token_of(book, market.loan)
    borrowed = shares.to_assets_up(holding.borrow_shares, it.totals.borrow_assets, it.totals.borrow_shares)
    value = holding.collateral * it.price // shares.PRICE_SCALE
    threshold = market.lltv * BPS // WAD
    unit = 10**collateral_token.units
    prices: dict[Address, int] = {}
    crossing = shares.liquidation_price(holding.collateral, market.lltv, borrowed)
    if crossing is not None and not unknown:
        prices[market.collateral] = crossing * unit // shares.PRICE_SCALE
    legs = (
        Leg(
            asset=market.collateral,
            symbol=symbol_of(book, market.collateral),
            decimals=collateral_token.units,
            collateral=holding.collateral,
            debt=0,
            price=it.price * unit // shares.PRICE_SCALE,
            liquidation_threshold=threshold,
            collateral_base=0 if unknown else value,
            liquidation_bonus=shares.incentive(market.lltv) * BPS // WAD,
        ),
        Leg(
            asset=market.loan,
            symbol=symbol_of(book, market.loan),
            decimals=loan_token.units,
            collateral=0,
            debt=borrowed,
            price=10**loan_token.units,
            liquidation_threshold=0,
            debt_base=borrowed,
        ),
    )
    answer = book.get(PRICES, market.oracle)
    room = shares.max_borrow(holding.collateral, it.price, market.lltv) - borrowed
    factor = shares.health_factor(holding.collateral, it.price, market.lltv, borrowed)
    if unknown and holding.known and not holding.borrow_shares:
        factor = UINT256_MAX  # Morpho.sol:516: without debt it asks nobody
    elif unknown:
        factor = 0
    return Position(
        chain_id=book.chain_id,
        protocol=PROTOCOL,
        market=id_,
        account=account,
        block=at.number,
        block_hash=at.hash,
        time=at.time,
        health_factor=factor,
        collateral_base=0 if unknown else value,
        debt_base=0 if unknown else borrowed,
        liquidation_threshold=threshold,
        legs=legs if holding.known and market.have_params else (),
        liquidation_prices=prices,
        available_borrows_base=0 if unknown else max(0, min(room, _cash(it))),
        ltv=threshold,
        base_decimals=loan_token.units,
        unknown=unknown,
        label=_label(book, market),
        base=symbol_of(book, market.loan),
        prices_block=-1 if answer is None or not holding.borrow_shares else answer.block,
    )


def describe(book: Book, at: BlockRef, id_: str, it: Scene, target: Answer | None) -> risk.Market:
    """A market's loan side; `debt_known` in assets at its own share price. `target`: its rate at target."""
    curve = _curve(it, target, at.time)
    market = it.market
    totals, token = it.totals, token_of(book, market.loan)
    yearly = it.rate * YEAR_S / WAD
    used = totals.borrow_assets / totals.supply_assets if totals.supply_assets else 0.0
    return risk.Market(
        chain_id=book.chain_id,
        protocol=PROTOCOL,
        id=id_,
        label=_label(book, market),
        asset=market.loan,
        symbol=symbol_of(book, market.loan),
        decimals=token.units,
        supplied=totals.supply_assets,
        borrowed=totals.borrow_assets,
        cash=_cash(it),
        debt_known=totals.borrow_assets * market.known_shares // max(1, totals.borrow_shares),
        price=10**token.units,
        base_decimals=token.units,
        base=symbol_of(book, market.loan),
        bad_debt=market.bad_debt,
        borrow_rate=yearly,
        supply_rate=yearly * used * (1.0 - totals.fee / WAD),
        block=at.number,
        time=at.time,
        unknown=it.missing,
        curve=None if isinstance(curve, str) else curve,
        curve_unknown=curve if isinstance(curve, str) else "",
    )


def _curve(it: Scene, target: Answer | None, time: int) -> adaptive.AdaptiveCurve | str:
    """The market's curve as it is now, adapted since its last update; or why it is not known."""
    if it.market.irm == ZERO_ADDRESS:
        return "it has no rate model, borrowing is free"
    if target is None:
        return "its rate model was not read"
    if target.value is None:
        return "its rate model is not one that is known"
    totals = it.market.totals
    off = adaptive.off_target(adaptive.utilisation(totals))
    return adaptive.AdaptiveCurve(adaptive.step(target.value, off, max(0, time - totals.last_update))[1])


def _cash(it: Scene) -> int:
    """What may be withdrawn or borrowed: Morpho.sol:223 and 258 hold borrowed ≤ supplied."""
    return max(0, it.totals.supply_assets - it.totals.borrow_assets)


def _label(book: Book, market: Market) -> str:
    if not market.have_params:
        return ""
    share = f"{market.lltv * 100 / WAD:.4g}%"
    return f"{symbol_of(book, market.collateral)}/{symbol_of(book, market.loan)} {share}"
