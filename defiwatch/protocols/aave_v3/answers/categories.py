"""Answers about eMode categories."""

from __future__ import annotations

from typing import Any

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS
from defiwatch.domain.text import harmless
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.answers.taker import Taker
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    CATEGORIES,
    Category,
)

replace = msgspec.structs.replace


def category_data(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getEModeCategoryData, the view of 3.0 and 3.1."""
    if ledger.form.liquid_emode:  # the older view, kept by newer pools without what they added
        return
    (number,) = views.CATEGORY_DATA.arguments(call)
    ltv, threshold, bonus, source, label = answer[0]
    old = ledger.book.get(CATEGORIES, (ledger.key, number)) or Category()
    changed = replace(old, ltv=ltv, threshold=threshold, bonus=bonus, source=source, label=harmless(label, 64))
    ledger.book.put(CATEGORIES, (ledger.key, number), changed)
    if threshold:
        ledger.list_category(number)


def category_config(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getEModeCategoryCollateralConfig; a category without a threshold does not exist."""
    (number,) = views.CATEGORY_CONFIG.arguments(call)
    ltv, threshold, bonus = answer
    old = ledger.book.get(CATEGORIES, (ledger.key, number))
    if threshold or old is not None or number in ledger.market.categories:
        changed = replace(old or Category(), ltv=ltv, threshold=threshold, bonus=bonus, source=ZERO_ADDRESS)
        ledger.book.put(CATEGORIES, (ledger.key, number), changed)
        ledger.list_category(number)
    if number > ledger.market.probed:
        ledger.set_market(replace(ledger.market, probed=number))


def category_field(field: str) -> Taker:
    """A taker that writes one field of the category that the call named."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        number = int(call.data[10:74], 16)
        old = ledger.book.get(CATEGORIES, (ledger.key, number))
        if old is not None or answer[0]:
            value = harmless(answer[0], 64) if isinstance(answer[0], str) else answer[0]
            ledger.book.put(CATEGORIES, (ledger.key, number), replace(old or Category(), **{field: value}))

    return take_field
