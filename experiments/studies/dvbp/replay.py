"""The policies by name, and one run of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp import categories, classes, ends, fits, hedged, turns
from stowplan.experiments.studies.dvbp.moments import Measured, measure, moments
from stowplan.experiments.studies.dvbp.predictions import predicted_lifetimes
from stowplan.experiments.studies.dvbp.trace import Floats, Ints, Trace


class Offered(NamedTuple):
    """What a policy may see, in its time: the trace, its moments, and the predictions.

    `lifetime` and `end` are (n,) days as predicted. True ends are in the trace: a policy may read
    those of VMs that have ended, and no others.
    """

    trace: Trace
    events: Ints
    lifetime: Floats
    end: Floats


Policy = Callable[[Offered], Ints]


def _given(offered: Offered) -> tuple[Any, ...]:
    trace = offered.trace
    return offered.events, trace.kind, trace.sizes, trace.norm_width


def _plain(module: ModuleType, rule: int, offered: Offered) -> Ints:
    server: Ints = module.run(*_given(offered), rule)
    return server


def _by_end(rule: int, offered: Offered) -> Ints:
    server: Ints = ends.run(*_given(offered), rule, offered.trace.start, offered.end)
    return server


def _by_class(
    rule: int, of: Callable[[Trace, Floats, Floats], classes.Classes], offered: Offered
) -> Ints:
    made = of(offered.trace, offered.lifetime, offered.end)
    server: Ints = classes.run(*_given(offered), rule, *made)
    return server


def _by_category(rule: int, offered: Offered) -> Ints:
    trace = offered.trace
    made = categories.categories(trace, offered.lifetime, offered.end)
    days = np.column_stack((trace.start, trace.end, offered.end))
    server: Ints = categories.run(*_given(offered), rule, days, *made)
    return server


PUBLISHED: Mapping[str, Policy] = {
    "first_fit": partial(_plain, fits, fits.FIRST),
    "next_fit": partial(_plain, turns, turns.NEXT),
    "rr_next_fit": partial(_plain, turns, turns.ROUND),
    "mru": partial(_plain, fits, fits.MRU),
    "lru": partial(_plain, fits, fits.LRU),
    "best_fit_l1": partial(_plain, fits, fits.BEST_L1),
    "best_fit_l2": partial(_plain, fits, fits.BEST_L2),
    "best_fit_linf": partial(_plain, fits, fits.BEST_LINF),
    "worst_fit_l1": partial(_plain, fits, fits.WORST_L1),
    "worst_fit_l2": partial(_plain, fits, fits.WORST_L2),
    "worst_fit_linf": partial(_plain, fits, fits.WORST_LINF),
    "greedy": partial(_by_end, ends.GREEDY),
    "nrt_crt": partial(_by_end, ends.LATER_FIRST),
    "nrt_best_crt": partial(_by_end, ends.NEAREST),
    "classify_by_duration": partial(_by_class, classes.PLAIN, classes.by_duration),
    "classify_by_departure": partial(_by_class, classes.PLAIN, classes.by_departure),
    "hybrid": partial(_by_class, classes.WHOLE, classes.hybrid),
    "reduced_hybrid": partial(_by_class, classes.REDUCED, classes.reduced),
    "hybrid_direct_sum": partial(_by_class, classes.WHOLE, classes.hybrid_direct_sum),
    "reduced_hybrid_direct_sum": partial(_by_class, classes.REDUCED, classes.reduced_direct_sum),
    "lifetime_alignment_log": partial(_by_end, ends.BY_LOG),
    "lifetime_alignment_binary": partial(_by_end, ends.BY_TWO),
    "rcp": partial(_by_category, categories.RCP),
    "rcp_no_large": partial(_by_category, categories.RCP_NO_LARGE),
    "ppe": partial(_by_category, categories.PPE),
    "ppe_no_large": partial(_by_category, categories.PPE_NO_LARGE),
}


def _hedged(offered: Offered) -> Ints:
    trace = offered.trace
    days = np.column_stack((trace.start, trace.end, offered.lifetime))
    slots = int(np.cumsum(np.where(offered.events < 0, -1, 1)).max())
    server: Ints = hedged.run(
        offered.events, trace.kind, trace.sizes, days, slots, hedged.Weights()
    )
    return server


POLICIES: Mapping[str, Policy] = {**PUBLISHED, "hedged_nrt": _hedged}
# Those that read no prediction: under errors they do the same.
BLIND = frozenset(tuple(PUBLISHED)[:11])


def offer(trace: Trace, sigma: float, seed: int, events: Ints | None = None) -> Offered:
    """What policies are offered under errors of `sigma`; `events` where they are known already."""
    lifetime = predicted_lifetimes(trace, sigma, seed)
    end = trace.end if sigma == 0 else trace.start + lifetime
    return Offered(trace, moments(trace) if events is None else events, lifetime, end)


def measured(policy: Policy, offered: Offered) -> Measured:
    """One run of a policy."""
    return measure(offered.trace, offered.events, policy(offered))
