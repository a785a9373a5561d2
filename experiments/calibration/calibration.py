"""From measured samples to the models of a simulation, as one JSON file that a scenario names.

The file's `models` and `pulls` are what a scenario may say itself; `fits` are the samples behind
them, with how well they are met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from stowplan.experiments.loading.calibration_file import FORMAT
from stowplan.placement.chance import stream
from stowplan.placement.errors import SpecError

# Below this the samples themselves are drawn from.
P_MIN = 0.05
_RESAMPLED = 999
_SERVERS = np.geomspace(0.1, 100, 601)


class Call(msgspec.Struct, frozen=True):
    """A call to an engine, by its place in the file; times of one clock."""

    engine: int
    began_s: float
    ended_s: float


class Level(msgspec.Struct, frozen=True):
    """Calls of a step, up to `at_once` at a time on each of `engines` engines."""

    step: str
    engines: int
    at_once: int
    calls: tuple[Call, ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """How long each call took."""
        return tuple(call.ended_s - call.began_s for call in self.calls)


class Pulled(msgspec.Struct, frozen=True):
    """Pulls of an image of so many MiB, of which nothing was there."""

    image: str
    mib: float
    seconds: tuple[float, ...]


class Fit(msgspec.Struct, frozen=True):
    """A lognormal of seconds, by the logarithms' mean and standard deviation; `ks` is the largest
    distance between its distribution function and the samples', `p` how often that would be as
    large if they were lognormal."""

    mu: float
    sigma: float
    ks: float
    p: float

    @property
    def median_s(self) -> float:
        """The median of the lognormal."""
        return math.exp(self.mu)


def lognormal(seconds: Sequence[float]) -> Fit:
    """The lognormal nearest to the samples, at least three and above zero.

    Parameters and test are from the same samples, which flatters the test, so `p` is found by
    drawing as many from the lognormal and fitting those alike (Lilliefors).
    """
    logs = np.log(np.asarray(seconds, float))
    sigma = float(logs.std(ddof=1))
    if sigma == 0:
        return Fit(float(logs.mean()), 0.0, 0.0, 1.0)
    drawn = stream(0, "goodness of fit").standard_normal((_RESAMPLED, len(logs)))
    ks = float(_distances(logs[None, :])[0])
    worse = int((_distances(drawn) >= ks).sum())
    return Fit(float(logs.mean()), sigma, ks, (1 + worse) / (1 + _RESAMPLED))


def _distances(samples: np.ndarray) -> np.ndarray:
    """Kolmogorov and Smirnov's distance of each row from the normal fitted to it."""
    count = samples.shape[1]
    spread = samples.std(axis=1, ddof=1, keepdims=True)
    scaled = np.sort((samples - samples.mean(axis=1, keepdims=True)) / spread, axis=1)
    expected = 0.5 * (1 + np.vectorize(math.erf)(scaled / math.sqrt(2)))
    above = np.arange(1, count + 1) / count - expected
    farthest: np.ndarray = np.maximum(above, 1 / count - above).max(axis=1)
    return farthest


def fit_servers(levels: Sequence[Level]) -> tuple[float, bool]:
    """(servers, shared) of `Models` with which a step's calls are the same work at all levels.

    Least squares of the medians' logarithms; with a single engine it is shared.
    """
    weights = np.sqrt([len(level.calls) for level in levels])
    found = []
    for shared in (True, False):
        medians = [np.median(works_s(level, _SERVERS, shared), axis=1) for level in levels]
        left = np.log(np.column_stack(medians))
        left -= np.average(left, axis=1, weights=weights)[:, None]
        errors = (weights * left**2).sum(axis=1)
        best = int(errors.argmin())
        found.append((float(errors[best]), float(_SERVERS[best]), shared))
    _, servers, shared = min(found, key=lambda each: (each[0], not each[2]))
    return servers, shared


def works_s(level: Level, servers: float | np.ndarray, shared: bool) -> np.ndarray:
    """How long each call would have taken alone, by the model: [..., call] for `servers` [...].

    Beside n - 1 others a call gets on 1 + (n - 1) / servers times as slowly: so what counts is how
    many there were from moment to moment, which at the end of a crowd are fewer than at its height.
    """
    machines = np.array([0 if shared else call.engine for call in level.calls])
    times = np.array([(call.began_s, call.ended_s) for call in level.calls])
    servers = np.asarray(servers, float)[..., None]
    works = np.empty((*servers.shape[:-1], len(times)))
    for machine in set(machines.tolist()):
        own = times[machines == machine]
        edges = np.unique(own)
        begun, ended = (np.searchsorted(np.sort(own[:, i]), edges, "right") for i in (0, 1))
        others = np.maximum(begun - ended - 1, 0)[:-1]
        steps = np.diff(edges) / (1 + others / servers)
        done = np.cumsum(np.insert(steps, 0, 0, axis=-1), axis=-1)
        first, last = (np.searchsorted(edges, own[:, i]) for i in (0, 1))
        works[..., machines == machine] = done[..., last] - done[..., first]
    return works


def calibration(
    levels: Sequence[Level], pulled: Sequence[Pulled], callers: int, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a calibration file."""
    servers, shared = fit_servers([level for level in levels if level.step == "start"])
    works = {
        step: [
            work_s
            for level in levels
            if level.step == step
            for work_s in works_s(level, servers, shared).tolist()
        ]
        for step in ("create", "start", "stop")
    }
    models = {
        **{step: _distribution(seconds) for step, seconds in works.items()},
        "servers": round(servers, 3),
        "callers": callers,
        "servers_shared": shared,
    }
    content = {"format": FORMAT, **about, "agent": "docker", "models": models}
    if pulled:
        content["pulls"] = fit_pulls(pulled)
    fits = [_described(level, works, servers, shared) for level in levels]
    images = [
        {"image": each.image, "mib": round(each.mib, 3), **_summary(each.seconds)}
        for each in pulled
    ]
    return {**content, "fits": fits, "pull_fits": images}


def _distribution(seconds: Sequence[float]) -> dict[str, Any]:
    """A `Distribution` as a scenario has it: lognormal where that fits."""
    fit = lognormal(seconds)
    if fit.p < P_MIN:
        return {"distribution": "empirical", "samples": [round(each, 3) for each in seconds]}
    median = f"{max(1, round(1000 * fit.median_s))}ms"
    return {"distribution": "lognormal", "median": median, "sigma": round(fit.sigma, 4)}


def _described(
    level: Level, works: Mapping[str, Sequence[float]], servers: float, shared: bool
) -> dict[str, Any]:
    row = {"step": level.step, "engines": level.engines, "at_once": level.at_once}
    row |= _summary(level.seconds)
    slow = float(np.median(level.seconds / works_s(level, servers, shared)))
    return {**row, "modelled_p50_s": round(slow * float(np.median(works[level.step])), 4)}


def _summary(seconds: Sequence[float]) -> dict[str, Any]:
    fit = {
        name: round(value, 4) for name, value in msgspec.structs.asdict(lognormal(seconds)).items()
    }
    p50, p95 = (round(float(np.quantile(seconds, q)), 4) for q in (0.5, 0.95))
    samples = [round(each, 4) for each in seconds]
    return {"n": len(samples), "p50_s": p50, "p95_s": p95, **fit, "samples_s": samples}


def fit_pulls(pulled: Sequence[Pulled]) -> dict[str, Any]:
    """A `PullTable`: the line through the medians by size; of one size, no latency is told apart.

    Raises:
        SpecError: larger images took no longer, so there is no rate.
    """
    sizes = np.array([each.mib for each in pulled])
    medians_ms = np.array([1000 * float(np.median(each.seconds)) for each in pulled])
    if len(set(sizes.tolist())) == 1:
        slope, latency = float(medians_ms.mean() / sizes[0]), 0.0
    else:
        slope, latency = (float(value) for value in np.polyfit(sizes, medians_ms, 1))
    if slope <= 0:
        raise SpecError([("--pull", "larger images did not take longer; name images that differ")])
    return {"latency": f"{max(0, round(latency))}ms", "ms_per_mib": round(slope, 4)}
