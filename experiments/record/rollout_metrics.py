"""The metrics of what deployments cost; see `rollout_costs`."""

from __future__ import annotations

from collections.abc import Mapping

from stowplan.experiments.record.metric import Metric

OF_ROLLOUTS: Mapping[str, Metric] = {
    "deploying_min": Metric(
        lambda r: r.rollout_costs.going_ms / 60_000,
        "min",
        "less",
        "minutes that deployments took that replaced others, rollbacks included",
    ),
    "deploying_extra_task_min": Metric(
        lambda r: r.rollout_costs.extra_ms / 60_000,
        "min",
        "less",
        "meanwhile, tasks beyond the desired counts, times minutes",
    ),
    "deploying_at_risk_task_min": Metric(
        lambda r: r.rollout_costs.at_risk_ms / 60_000,
        "min",
        "less",
        "meanwhile, tasks' worth of traffic on what was not proven yet, times minutes",
    ),
    "deploying_extra_instances": Metric(
        lambda r: r.rollout_costs.instances,
        "",
        "less",
        "the most instances in use meanwhile, beyond as many as when it began",
    ),
    "deploying_extra_dollars": Metric(
        lambda r: r.rollout_costs.dollars, "$", "less", "what those cost for as long"
    ),
}
