"""Docker engines as what a scenario runs on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.permits import ALLOWED
from stowplan.experiments.runs.promises import said_of_engines
from stowplan.experiments.runs.real import RunOrder, counted, say
from stowplan.placement.callers.callers import Callers
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.placement.scenario.scenario import Scenario, instance_specs
from stowplan.realdriver.clusters import ID, PLAYED_BY
from stowplan.realdriver.docker.config import ENGINES, EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.journal import DurableJournal


@dataclass(frozen=True, slots=True)
class DockerPlatform:
    """See `real.Platform`. `allowed`: rights on the machine that tasks are meant to have."""

    engines: EnginesTable
    allowed: tuple[str, ...] = ()
    name: str = "docker"

    @property
    def words(self) -> str:
        """How many engines."""
        return counted(len(self.engines.engine), "engine")

    def specs(self, scenario: Scenario) -> Sequence[InstanceSpec]:
        """Those that the engines are, or else the scenario's fleet."""
        return [each.spec for each in machines(self.engines, instance_specs(scenario))]

    def facts(self, scenario: Scenario) -> dict[str, str]:
        """The engines, and which of them plays which instance."""
        tables = self.engines.engine
        fleet = machines(self.engines, instance_specs(scenario))
        played = {e.spec.name: tables[e.engine].name or tables[e.engine].url for e in fleet}
        return {
            ALLOWED: ",".join(self.allowed),
            PLAYED_BY: json.dumps(played),
            ENGINES: self.engines.model_dump_json(),
        }

    def digest(self) -> list[str]:
        """Time limits of engines may change."""
        return [engine.model_dump_json(exclude={"shared"}) for engine in self.engines.engine]

    def said(self, loaded: Loaded) -> Sequence[str]:
        """What the engines cannot promise."""
        return said_of_engines(loaded, self.engines)

    def check(self, cluster: str, run: str, down: str) -> None:
        """See `real.Platform`."""
        found = leftovers(self.engines, cluster, None, reachable_only=True)
        if len(found.silent) == len(self.engines.engine):
            raise SpecError([("--engines", f"no engine answers: {'; '.join(found.silent)}")])
        others = found.without(run)
        if others.count:
            what = f"another run's {others.summary} are on these engines"
            cure = f"remove them by `{down}`, or name another"
            raise SpecError([(f"cluster {cluster}", f"{what}; {cure}")])

    def driver(
        self, order: RunOrder, header: Header, callers: Callers, journal: DurableJournal
    ) -> DockerDriver:
        """See `real.Platform`."""
        return DockerDriver(
            machines(self.engines, instance_specs(order.scenario)),
            self.engines,
            cluster=order.cluster.name,
            run=header.run[ID],
            until_ms=order.until_ms,
            run_ms=callers.run_ms,
            say=say,
        )

    def remove(self, order: RunOrder, run: str) -> None:
        """See `real.Platform`."""
        found = leftovers(self.engines, order.cluster.name, run)
        say(f"the run is over: stopping and removing {found.summary}")
        found.remove()
        say(f"removed {found.summary}")

    def files(self) -> Mapping[str, str]:
        """None."""
        return {}

    def notes(self) -> Sequence[str]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing is held."""
