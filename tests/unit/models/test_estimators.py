"""River's own checks on our estimators, on data of ours: seven features of swaps, anomalies spliced in."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from river import anomaly, base, metrics
from river.checks import common

from defiwatch.models.calibration import TailCalibrator
from defiwatch.models.forecasts import SteppedForecaster
from defiwatch.models.forest import EarlyHalfSpaceTrees
from defiwatch.models.hours import HourProfile
from defiwatch.models.liquidations import CorrectedProbability
from defiwatch.models.owners import IdleShare
from defiwatch.models.priors import PRIORS
from defiwatch.models.scaler import SurprisalScaler

NAMES = tuple(PRIORS["pool"])


class Swaps:
    """Trades as features, ordinary ones and (one in a hundred) extreme ones; the label says which."""

    def __init__(self, n: int = 1500, seed: int = 3, *, squashed: bool = True) -> None:
        draw = random.Random(seed)
        self.rows: list[tuple[dict[str, float], bool]] = []
        for i in range(n):
            odd = i % 100 == 99
            if squashed:
                x = {name: min(1.0, draw.expovariate(12.0)) if not odd else draw.uniform(0.6, 1.0) for name in NAMES}
            else:
                x = {
                    name: draw.lognormvariate(math.log(PRIORS["pool"][name][0]), 1.5) * (500 if odd else 1)
                    for name in NAMES
                }
            self.rows.append((x, odd))

    def __iter__(self) -> Any:
        return iter(self.rows)


ESTIMATORS: dict[str, tuple[Callable[[], Any], bool]] = {
    "forest": (lambda: EarlyHalfSpaceTrees(seed=42), True),
    "small forest": (lambda: EarlyHalfSpaceTrees(n_trees=5, height=4, window_size=50, first_window=16, seed=1), True),
    "scaler": (lambda: SurprisalScaler(), False),
    "hours": (lambda: HourProfile(), False),
    "correction": (lambda: CorrectedProbability(), True),
}

PLAIN = (
    "check_repr",
    "check_str",
    "check_tags",
    "check_clone_same_class",
    "check_clone_is_idempotent",
    "check_init_has_default_params_for_tests",
    "check_init_default_params_are_not_mutable",
    "check_doc",
    "check_clone_changes_memory_addresses",
    "check_mutate_can_be_idempotent",
    "check_pickling_supports_roundtrip",
    "check_repr_roundtrips_clone",
    "check_clone_with_new_params_applies",
    "check_get_params_matches_signature",
)
WITH_DATA = (
    "check_learn_one",
    "check_pickling",
    "check_shuffle_features_no_impact",
    "check_emerging_features",
    "check_disappearing_features",
    "check_radically_disappearing_features",
    "check_predict_one_pure",
    "check_predict_one_before_any_learn",
    "check_no_state_aliasing_with_input",
    "check_clone_is_independent",
    "check_bounded_memory_growth",
    "check_transform_one",
    "check_seeding_is_idempotent",
)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", PLAIN)
def test_rivers_plain_checks(estimator: str, name: str) -> None:
    getattr(common, name)(ESTIMATORS[estimator][0]())


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", WITH_DATA)
def test_rivers_checks_with_data(estimator: str, name: str) -> None:
    make, squashed = ESTIMATORS[estimator]
    if name == "check_seeding_is_idempotent" and "seed" not in inspect.signature(type(make())).parameters:
        assert not isinstance(make(), base.AnomalyDetector)
        return
    getattr(common, name)(make(), Swaps(300, squashed=squashed))


@pytest.mark.parametrize("make", [TailCalibrator, SteppedForecaster, IdleShare])
@pytest.mark.parametrize(
    "name", [name for name in PLAIN if name not in ("check_tags", "check_pickling_supports_roundtrip")]
)
def test_rivers_plain_checks_on_what_is_no_estimator(make: Callable[[], Any], name: str) -> None:
    getattr(common, name)(make())


def test_anomalies_rank_above_the_rest() -> None:
    """River's check_roc_auc, without scikit-learn, and stricter than its 0.5."""
    forest = EarlyHalfSpaceTrees(seed=42)
    area: Any = metrics.ROCAUC()  # type: ignore[no-untyped-call]  # river types its metrics in part
    for x, odd in Swaps():
        area.update(odd, forest.score_one(x))
        forest.learn_one(x)
    assert area.get() > 0.9


def rivers(seed: int) -> Any:
    """River's own, out of the box."""
    return anomaly.HalfSpaceTrees(seed=seed)


def test_the_forest_sees_after_its_first_window() -> None:
    forest, river = EarlyHalfSpaceTrees(seed=7), rivers(7)
    for x, _ in Swaps(80):
        forest.learn_one(x)
        river.learn_one(x)
    odd = dict.fromkeys(NAMES, 0.9)
    usual = dict.fromkeys(NAMES, 0.05)
    assert river.score_one(odd) == 0
    assert not forest.blind
    assert forest.score_one(odd) > forest.score_one(usual) + 0.2


def test_the_forest_is_rivers_once_its_windows_are_whole() -> None:
    """64, 128, then whole windows: from then on the masses are those of river's over the same window."""
    rows = [x for x, _ in Swaps(64 + 128 + 500)]
    forest, river = EarlyHalfSpaceTrees(seed=7), rivers(7)
    for x in rows:
        forest.learn_one(x)
    for x in rows[192:]:
        river.learn_one(x)
    for x, _ in Swaps(50, seed=9):
        assert forest.score_one(x) == pytest.approx(river.score_one(x))


def test_nothing_is_learnt_from_nothing() -> None:
    forest, scaler = EarlyHalfSpaceTrees(seed=7), SurprisalScaler()
    forest.learn_one({})
    scaler.learn_one({})
    assert forest.blind
    assert forest.score_one({}) == 0.0
    assert scaler.seen == 0
    assert scaler.transform_one({}) == {}


def test_squashed_features_are_in_the_unit_interval_and_keep_their_order() -> None:
    scaler = SurprisalScaler()
    for x, _ in Swaps(500, squashed=False):
        scaler.learn_one(x)
    levels = [scaler.transform_one({"move": move})["move"] for move in (0.0, 1e-5, 1e-3, 1e-1, 1e3, 1e9)]
    assert levels == sorted(levels)
    assert levels[0] == 0.0
    assert levels[-1] == 1.0
    assert 0.0 < levels[3] < 1.0


def test_a_bundle_is_small() -> None:
    scaler = SurprisalScaler()
    for x, _ in Swaps(300, squashed=False):
        scaler.learn_one(x)
    assert scaler._raw_memory_usage <= 10 * 1024
