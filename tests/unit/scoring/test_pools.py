"""Pools: points that add up, sentences in the field's words, and the lines between calm, warning and critical."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import GROUPS, FeatureSurprise, Observation, Surprise
from defiwatch.domain.risk import Assessment, Subject
from defiwatch.features import FEATURES
from defiwatch.scoring import assess, assess_drain, assess_pool
from defiwatch.scoring.words import WORDS

AT = BlockRef(1, 100, "0xb10c", 1_700_000_000)
POOL = Subject("pool", 1, "uniswap_v3", "0xpool", "USDC/WETH 0.05%")


def observed(values: dict[str, float], kind: str = "pool", facts: dict[str, float] | None = None) -> Observation:
    return Observation(POOL, kind, values, AT, tx="0xtx", log_index=7, facts=facts or {})


def surprise(tails: dict[str, float], values: dict[str, float], *, joint: float = 0.0, tail: float = 1.0) -> Surprise:
    return Surprise(
        tuple(FeatureSurprise(name, values[name], 2e-4, 1e-5, 1e-3, tails[name]) for name in tails),
        joint,
        500,
        young=False,
        joint_tail=tail,
    )


def judged(tails: dict[str, float], *, kind: str = "pool", tail: float = 1.0, **values: float) -> Assessment:
    full = {name: values.get(name, 1e-4) for name in tails}
    return assess_pool(observed(full, kind), surprise(tails, full, tail=tail), Alerts())


CALM = dict.fromkeys(FEATURES["pool"], 0.4)


def test_the_words_of_the_field() -> None:
    values = {**dict.fromkeys(FEATURES["pool"], 1e-4), "block_move": math.log(1.051)}
    found = assess_pool(
        observed(values, facts={"block_move": 0.051}), surprise({**CALM, "block_move": 1e-5}, values), Alerts()
    )
    assert found.key == "1:uniswap_v3:0xpool:anomaly"
    assert found.kind == "pool.anomaly"
    assert found.severity == "critical"
    assert found.title == "USDC/WETH 0.05%: price moved 5.1 % in one block"
    (reason,) = found.reasons
    assert reason.name == "block_move"
    assert reason.value == pytest.approx(0.051)
    assert reason.text == "price moved 5.1 % in one block; usual 0.02 %"
    assert reason.usual == pytest.approx(2e-4, rel=1e-3)
    assert found.evidence.tx == "0xtx"
    assert found.evidence.log_index == 7
    assert found.budgeted
    assert found.incident


def test_what_is_usual_scores_nothing() -> None:
    found = judged(CALM)
    assert (found.score, found.severity, found.reasons) == (0.0, None, ())
    assert found.title == "USDC/WETH 0.05%: as usual"


def test_the_score_follows_the_rarest_and_does_not_add_up_one_event_seen_from_two_sides() -> None:
    alone = judged({**CALM, "move": 1e-4})
    both = judged({**CALM, "move": 1e-4, "block_move": 1e-4, "deviation": 1e-4})
    assert alone.score == pytest.approx(78.0)
    assert both.score == alone.score
    assert judged({**CALM, "move": 1e-4, "size": 1e-4}).score == pytest.approx(alone.score, abs=0.1)
    assert judged({**CALM, "move": 1e-3}).score == pytest.approx(52.0)


def test_points_go_to_what_is_rare() -> None:
    found = judged({**CALM, "move": 1e-5, "size": 1e-3, "pace": 0.05})
    names = [reason.name for reason in found.reasons]
    assert names[0] == "move"
    assert "size" in names
    assert found.reasons[0].points > 3 * found.reasons[1].points


def test_small_unusual_moves_warn_and_large_ones_are_critical() -> None:
    assert judged({**CALM, "move": 1e-4}, move=math.log(1.014)).severity == "warning"
    assert judged({**CALM, "move": 1e-4}, move=math.log(1.05)).severity == "critical"
    assert judged({**CALM, "move": 1e-6}, move=math.log(1.014)).severity == "critical"
    assert judged({**CALM, "move": 0.3}, move=math.log(1.30)).severity is None


def test_the_threshold_is_the_users() -> None:
    strict = msgspec.structs.replace(Alerts(), anomaly_score=50.0)
    values = dict.fromkeys(CALM, 1e-4)
    found = assess_pool(observed(values), surprise({**CALM, "move": 1e-3}, values), strict)
    assert found.severity == "warning"


def test_a_young_pool_is_held_against_its_kind() -> None:
    values = dict.fromkeys(CALM, 1e-3)
    young = msgspec.structs.replace(surprise({**CALM, "move": 1e-4}, values), young=True)
    assert "usual for its kind" in assess_pool(observed(values), young, Alerts()).reasons[0].text


def test_a_rare_combination_has_a_reason_of_its_own() -> None:
    found = judged(CALM, tail=1e-6)
    assert [reason.name for reason in found.reasons] == ["together"]
    assert found.severity == "critical"


def test_every_feature_has_words_and_a_group() -> None:
    for kind, groups in GROUPS.items():
        grouped = {name for names, _ in groups.values() for name in names}
        assert grouped == set(FEATURES[kind])
        assert grouped <= set(WORDS)


@given(
    tails=st.fixed_dictionaries({name: st.floats(1e-12, 1.0) for name in FEATURES["pool"]}),
    tail=st.floats(1e-12, 1.0),
)
def test_points_add_up_to_the_score(tails: dict[str, float], tail: float) -> None:
    found = judged(tails, tail=tail)
    assert 0.0 <= found.score <= 100.0
    assert math.fsum(reason.points for reason in found.reasons) == pytest.approx(found.score, abs=0.5)
    assert all(reason.points >= 0.0 for reason in found.reasons)


def drained(removed: float, outflow: float = 0.0) -> Assessment:
    values = {"removed": removed, "outflow": outflow}
    return assess_drain(observed(values, "drain"), surprise(dict.fromkeys(values, 0.5), values), Alerts())


def test_drains() -> None:
    assert drained(0.19).severity is None
    warned = drained(0.2)
    assert (warned.severity, warned.score) == ("warning", 50.0)
    assert warned.title == "USDC/WETH 0.05%: 20.0 % of the pool left within 10m"
    assert warned.key == "1:uniswap_v3:0xpool:drain"
    assert drained(0.4).severity == "critical"
    both = drained(0.15, 0.1)
    assert both.severity == "warning"
    assert [reason.name for reason in both.reasons] == ["removed", "outflow"]
    assert math.fsum(r.points for r in both.reasons) == pytest.approx(both.score, abs=0.5)
    assert drained(1.0).score > drained(0.5).score > drained(0.3).score
    assert drained(0.0).reasons == ()


def test_assess_goes_by_kind() -> None:
    values = {"removed": 0.5, "outflow": 0.0}
    assert [a.kind for a in assess(observed(values, "drain"), surprise({}, values), Alerts())] == ["pool.drain"]
    assert [a.kind for a in assess(observed({}, "pool"), surprise({}, {}), Alerts())] == ["pool.anomaly"]
    assert [a.kind for a in assess(observed({}, "feed"), surprise({}, {}), Alerts())] == ["feed.anomaly"]
    assert assess(observed({}, "series"), surprise({}, {}), Alerts()) == ()
