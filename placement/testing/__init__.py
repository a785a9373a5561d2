"""For tests, ours and yours: contracts of strategies, constraints and drivers; small worlds.

`check_strategy(Mine)` says in one call whether a strategy of your own may join `STRATEGIES`, and
so do the others for their kind. Nothing here needs a test framework; what is wrong is an
AssertionError that says what and where. `stowplan.testing` has these, and those of workloads,
metrics and goals.
"""

from stowplan.placement.testing.constraint import check_constraint
from stowplan.placement.testing.driver import check_driver
from stowplan.placement.testing.strategy import check_strategy
from stowplan.placement.testing.worlds import add_instance, make_cluster, make_kind

__all__ = [
    "add_instance",
    "check_constraint",
    "check_driver",
    "check_strategy",
    "make_cluster",
    "make_kind",
]
