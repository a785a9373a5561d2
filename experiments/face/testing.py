"""`stowplan.testing`: the contract of everything that can be added, one call for each.

Each returns nothing, or raises an AssertionError whose sentence says what is broken. No test
framework is needed. Those of strategies, constraints and drivers need only the pure part of
stowplan: they are in `stowplan.placement.testing` as well.
"""

from stowplan.experiments.record.contract import check_metric
from stowplan.experiments.workloads.contract import check_workload
from stowplan.placement.optimal.contract import check_goal
from stowplan.placement.testing import (
    add_instance,
    check_constraint,
    check_driver,
    check_strategy,
    make_cluster,
    make_kind,
)

__all__ = [
    "add_instance",
    "check_constraint",
    "check_driver",
    "check_goal",
    "check_metric",
    "check_strategy",
    "check_workload",
    "make_cluster",
    "make_kind",
]
