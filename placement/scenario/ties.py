"""Which of the instances that tie to the end of a chain gets a task: AWS does not say.

A scenario says so with `ties`: the one of the lowest number, which is what the engine takes, or any
of them, each as likely, which is a last link `random` in every chain that could tie.
"""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement.model import (
    RUN_TASK_DEFAULT_STRATEGIES,
    SERVICE_DEFAULT_STRATEGIES,
    STRATEGIES_MAX,
    PlacementStrategy,
)
from stowplan.placement.scenario.fields import Chain
from stowplan.placement.scenario.scenario import Run, Scenario, ServiceTable, WorkloadTable
from stowplan.placement.scenario.settings import with_settings

RANDOM = PlacementStrategy("random")
# Links after which one instance is left, whatever is there.
_ONE_IS_LEFT = frozenset({"random", "first_fit", "next_fit"})


def chain_of(scenario: Scenario, run: Run, table: ServiceTable | WorkloadTable) -> Chain:
    """The chain that the calls of a service or workload carry in a run."""
    chain = _own_chain(scenario, run.strategy, table)
    ties = run.ties or scenario.ties
    return (*_whole(chain, table), RANDOM) if ties == "random" and _open(chain, table) else chain


def has_open_ties(scenario: Scenario, strategy: str) -> bool:
    """Whether some chain of a strategy's runs could tie to the end, and has room for `random`."""
    scenario = with_settings(scenario, strategy)
    tables: list[ServiceTable | WorkloadTable] = [*scenario.service, *scenario.workload]
    chains = [(_own_chain(scenario, strategy, table), table) for table in tables]
    left = [_whole(chain, table) for chain, table in chains if _open(chain, table)]
    return bool(left) and all(len(chain) < STRATEGIES_MAX for chain in left)


def ties_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """(place, what) of each chain that `ties = "random"` would make too long."""
    if scenario.ties != "random":
        return
    chains = [(f"strategies.{name}", chain) for name, chain in scenario.strategies.items()]
    chains += [(f"service[{n}].strategy", s.strategy or ()) for n, s in enumerate(scenario.service)]
    chains += [
        (f"workload[{n}].strategy", w.strategy or ()) for n, w in enumerate(scenario.workload)
    ]
    for place, chain in chains:
        if len(chain) == STRATEGIES_MAX and not _ends(chain):
            what = (
                f'{STRATEGIES_MAX} links leave no room for the last one that `ties = "random"` adds'
            )
            yield place, what


def _own_chain(scenario: Scenario, strategy: str, table: ServiceTable | WorkloadTable) -> Chain:
    return scenario.strategies[strategy] if table.strategy is None else table.strategy


def _whole(chain: Chain, table: ServiceTable | WorkloadTable) -> Chain:
    """The chain, or where it is empty the default of ECS that it stands for."""
    if chain:
        return chain
    is_service = isinstance(table, ServiceTable)
    return SERVICE_DEFAULT_STRATEGIES if is_service else RUN_TASK_DEFAULT_STRATEGIES


def _open(chain: Chain, table: ServiceTable | WorkloadTable) -> bool:
    """Whether instances can tie to the end of a chain. A daemon has none: it is on every one."""
    if isinstance(table, ServiceTable) and table.scheduling_strategy == "DAEMON":
        return False
    return not _ends(_whole(chain, table))


def _ends(chain: Chain) -> bool:
    return any(link.type in _ONE_IS_LEFT for link in chain)
