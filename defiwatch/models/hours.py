"""What is usual at this hour of the day: trading has its hours, and a quiet night's trade is not a busy noon's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from river import base

HOUR = "hours since the epoch"
"""The name of the feature that holds the time: hours since the Unix epoch, with fraction."""

_RATE = 0.005
_MOST = math.log(20.0)


class KeptHours(msgspec.Struct, frozen=True):
    """A profile as a checkpoint holds it: by feature, (logarithm's mean, count, days, last day) of each hour, and the
    mean and count of all."""

    hours: dict[str, list[tuple[float, float, float, float]]]
    whole: dict[str, tuple[float, float]]


class HourProfile(base.Transformer):
    """Divides each feature by what this hour of the day usually adds to it; 1 until an hour was seen on enough days.

    The mean logarithm of each hour is held against that of the whole day, and trusted by days/(days + 2).

    Parameters
    ----------
    least_days
        On how many different days an hour must have been seen.
    """

    def __init__(self, least_days: int = 3) -> None:
        self.least_days = least_days
        self._hours: dict[str, list[tuple[float, float, float, float]]] = {}
        self._whole: dict[str, tuple[float, float]] = {}

    def learn_one(self, x: Mapping[Any, float]) -> None:
        """Take one observation; what is not above 0 teaches nothing."""
        time = x.get(HOUR)
        if time is None:
            return
        hour, day = int(time) % 24, float(int(time) // 24)
        for name, value in x.items():
            if name == HOUR or not value > 0.0:
                continue
            y = math.log(value)
            mean, count = self._whole.get(name, (y, 0.0))
            self._whole[name] = (mean + max(_RATE / 24.0, 1.0 / (count + 1.0)) * (y - mean), count + 1.0)
            row = self._hours.get(name)
            if row is None:
                row = self._hours[name] = [(0.0, 0.0, 0.0, -1.0)] * 24
            mean, count, days, last = row[hour]
            mean += max(_RATE, 1.0 / (count + 1.0)) * (y - mean)
            row[hour] = (mean, count + 1.0, days + (day != last), day)

    def factor(self, name: Any, hours: float) -> float:
        """By what a feature is usually larger at this time than over the whole day."""
        row = self._hours.get(name)
        if row is None:
            return 1.0
        mean, _, days, _ = row[int(hours) % 24]
        if days < self.least_days:
            return 1.0
        trust = days / (days + 2.0)
        return math.exp(min(_MOST, max(-_MOST, trust * (mean - self._whole[name][0]))))

    def transform_one(self, x: Mapping[Any, float]) -> dict[Any, float]:
        """The features as they would be at an average hour; without the time."""
        time = x.get(HOUR)
        if time is None:
            return dict(x)
        return {name: value / self.factor(name, time) for name, value in x.items() if name != HOUR}

    def kept(self) -> KeptHours:
        """Everything that was learnt."""
        return KeptHours({name: list(row) for name, row in self._hours.items()}, dict(self._whole))

    def take(self, kept: KeptHours) -> None:
        """Take up what `kept` gave."""
        self._hours = {name: list(row) for name, row in kept.hours.items()}
        self._whole = dict(kept.whole)
