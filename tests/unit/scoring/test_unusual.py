"""Feeds, markets and transfers: points that add up, words of the field, and never more than a warning."""

from __future__ import annotations

import pytest

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import GROUPS, FeatureSurprise, Observation, Surprise
from defiwatch.domain.risk import Assessment, Subject
from defiwatch.features import FEATURES
from defiwatch.scoring import assess
from defiwatch.scoring.words import WORDS

AT = BlockRef(1, 100, "0xb10c", 1_700_000_000)
SUBJECTS = {
    "feed": Subject("feed", 1, "chainlink", "0xfeed", "ETH/USD"),
    "market": Subject("market", 1, "aave_v3", "0xpool:0xusdc", "USDC"),
    "transfer": Subject("token", 1, "erc20", "0xusdc", "USDC"),
}


def judged(kind: str, tails: dict[str, float], facts: dict[str, float] | None = None, **values: float) -> Assessment:
    full = {name: values.get(name, 1e-4) for name in tails}
    obs = Observation(SUBJECTS[kind], kind, full, AT, tx="0xtx", log_index=7, facts=facts or {})
    features = tuple(FeatureSurprise(name, full[name], 2e-4, 1e-5, 1e-3, tail) for name, tail in tails.items())
    (found,) = assess(obs, Surprise(features, 0.0, 500, young=False), Alerts())
    return found


@pytest.mark.parametrize(
    ("kind", "tails", "values", "facts", "told", "title"),
    [
        ("feed", {"push": 1e-5}, {"push": 0.0513}, {"push": 0.0526}, "feed.anomaly", "ETH/USD: the answer moved 5.3 %"),
        ("feed", {"interval": 1e-6}, {"interval": 9000.0}, {}, "feed.anomaly", "ETH/USD: 2.5 h between two rounds"),
        ("market", {"withdrawn": 1e-5}, {"withdrawn": 0.31}, {}, "market.anomaly", "USDC: 31.0 % of all supply was"),
        ("market", {"step": 1e-5}, {"step": 0.12}, {}, "market.anomaly", "USDC: utilisation moved by 12 points"),
        (
            "transfer", {"amount": 1e-5}, {"amount": 800.0}, {"units": 4e7, "usd": 1.0},
            "flow.whale", "USDC: one transfer of 40,000,000 USDC ($40.0M), 800 times the usual",
        ),
    ],
)  # fmt: skip
def test_the_words_of_the_field(
    kind: str, tails: dict[str, float], values: dict[str, float], facts: dict[str, float], told: str, title: str
) -> None:
    found = judged(kind, tails, facts, **values)
    assert found.kind == told
    assert found.title.startswith(title)
    assert found.severity == "warning"
    assert found.budgeted
    assert found.evidence.tx == "0xtx"
    assert found.key.endswith(":whale" if kind == "transfer" else ":anomaly")


@pytest.mark.parametrize("kind", SUBJECTS)
@pytest.mark.parametrize("rare", [1e-1, 1e-3, 1e-5, 1e-9])
def test_the_parts_add_up_and_it_is_never_critical(kind: str, rare: float) -> None:
    tails = {name: rare * (i + 1) for i, name in enumerate(FEATURES[kind])}
    found = judged(kind, tails)
    assert abs(sum(reason.points for reason in found.reasons) - found.score) <= 0.5
    assert found.score <= 100.0
    assert found.severity in (None, "warning")


@pytest.mark.parametrize(("worth", "told"), [(50_000.0, False), (500_000.0, True)])
def test_a_transfer_of_little_worth_is_nobodys_concern(worth: float, told: bool) -> None:
    found = judged("transfer", {"amount": 1e-9}, {"units": worth, "usd": 1.0}, amount=1e6)
    assert (found.severity is not None) == told
    assert (found.rarity > 0.0) == told, "nor does it use the budget"


def test_every_feature_of_a_kind_that_is_judged_has_words_and_a_group() -> None:
    for kind in SUBJECTS:
        grouped = [name for names, _ in GROUPS[kind].values() for name in names]
        assert sorted(grouped) == sorted(FEATURES[kind])
        assert set(grouped) <= set(WORDS)
