"""What the engines of a run cannot promise its tasks, asked of the engines before it starts."""

from __future__ import annotations

from stowplan.experiments.loading.load import Loaded
from stowplan.placement.errors import PlacementError
from stowplan.placement.scenario.scenario import instance_specs
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.connection import Connection
from stowplan.realdriver.docker.members import refused
from stowplan.realdriver.docker.promises import broken_promises


def said_of_engines(loaded: Loaded, engines: EnginesTable) -> list[str]:
    """A sentence for each promise that does not hold, and each task that an engine refuses; with
    the engine where it is that one's alone. Engines that do not answer say nothing."""
    scenario = loaded.scenario
    definitions = [parse_task_definition(each) for each in scenario.task_definitions.values()]
    said = [f"{each.name} will not start: {what}" for each in definitions for what in refused(each)]
    fleet = machines(engines, instance_specs(scenario))
    for number, table in enumerate(engines.engine):
        connection = Connection(table, engines)
        try:
            connection.check(engines.silence / 1000)
            connection.connect()
        except PlacementError as error:
            said.append(f"engine {connection.name}: not asked: {error}")
            continue
        finally:
            connection.close()
        addresses = [machine.address for machine in fleet if machine.engine == number]
        found = broken_promises(connection.facts, table.url, addresses, definitions)
        said += [f"engine {connection.name}: {what}" for what in found]
    return said
