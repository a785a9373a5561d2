"""The Driver protocol on EC2: instances that are paid for, at a control plane of ECS's API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stowplan.placement import messages as m
from stowplan.placement.driver import DriverError
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.realdriver.ec2.bill import Limits
from stowplan.realdriver.ec2.config import AwsTable
from stowplan.realdriver.ec2.fleet import Ec2Fleet, Place
from stowplan.realdriver.ec2.launch import Notes
from stowplan.realdriver.real_time import RealDriver


class Ec2Driver(RealDriver):
    """Plays a run on instances that it launches, or that are there (`AwsTable.existing`).

    Args:
        slots: the scenario's instances.
        place: the cluster and the run, and the calls about them.
        limits: what the run may take.
        notes: what must outlast a crash beside the rounds.
        until_ms, run_ms: see `RealDriver`.
        say: takes a line about each thing that happens, for people.
    """

    fleet: Ec2Fleet

    def __init__(
        self,
        slots: Sequence[InstanceSpec],
        table: AwsTable,
        place: Place,
        limits: Limits,
        notes: Notes,
        *,
        until_ms: int | None = None,
        run_ms: Callable[[int], int | None] = lambda request: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__(until_ms, run_ms)
        self.fleet = Ec2Fleet(slots, table, place, limits, notes, self.book, self._inbox, say)

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """See `RealDriver`. A run that cannot begin leaves nothing that costs."""
        try:
            return super().wait(deadline_ms)
        except DriverError:
            if not self.fleet.ready:
                self.fleet.abandon()
            raise

    def execute(self, command: m.Command) -> None:
        """Begin to carry out a command."""
        if isinstance(command, m.StartTasks):
            self.fleet.tasks.note(command)
        elif isinstance(command, m.Order):
            self.fleet.groups.order(command)
        super().execute(command)

    def restore(self, rounds: Iterable[m.Round]) -> None:
        """See `RealDriver`."""
        rounds = list(rounds)
        super().restore(rounds)
        for entry in rounds:
            for event in entry.accepted():
                self.fleet.groups.restore(event)
            for command in entry.commands:
                if isinstance(command, m.StartTasks):
                    self.fleet.tasks.note(command)
