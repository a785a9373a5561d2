"""The container runtime of every simulated instance: what actions lead to, and when.

Images come as `sim.pulls` has it, starts and stops take the time that the scenario's models draw,
and what a container does once it runs is its behaviour.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from numpy.random import Generator

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.settings import DEFAULTS, AgentKind
from stowplan.placement.chance import stream
from stowplan.placement.model import ContainerDefinition, TaskDefinition
from stowplan.placement.scenario.containers import ContainerBehaviour, ImageTable, PullTable
from stowplan.placement.scenario.models import Models, Sampler, sampler
from stowplan.sim.machines import Machines, machines_of
from stowplan.sim.pulls import Pulls

_TERMINATED, _KILLED = 143, 137  # 128 + SIGTERM, 128 + SIGKILL
_DEFAULT = ContainerBehaviour()
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class ContainerModels:
    """What a scenario says of containers: behaviour by task definition (`family:revision`) and
    container, images by name, how pulls go, and whose waits the agents have."""

    behaviour: Mapping[str, Mapping[str, ContainerBehaviour]] = field(default_factory=dict)
    images: Mapping[str, ImageTable] = field(default_factory=dict)
    pulls: PullTable = field(default_factory=PullTable)
    agent: AgentKind = "amazon-ecs-agent"

    def plays(self, definition: TaskDefinition) -> bool:
        """Whether tasks of this definition are more than a start and an end."""
        return (
            bool(self.images)
            or len(definition.containers) > 1
            or definition.containers[0].restart_policy is not None
            or definition.name in self.behaviour
        )


class _Script:
    """What one container of a definition does."""

    def __init__(
        self, definition: ContainerDefinition, does: ContainerBehaviour, works: bool, rng: Generator
    ) -> None:
        self.definition, self.does, self.works, self._rng = definition, does, works, rng
        self._run_ms = sampler(does.run, rng) if does.run else None
        self._crash_ms = sampler(does.crash_after, rng)

    def exit(self, key: Key, run_ms: int | None) -> tuple[int, r.Exited] | None:
        """(ms after the start, how) that it ends by itself; None: it does not."""
        does = self.does
        if does.crash_percent and self._rng.integers(100) < does.crash_percent:
            code = _KILLED if does.out_of_memory else does.crash_exit_code
            return self._crash_ms(1)[0], r.Exited(*key, code, does.out_of_memory)
        if self._run_ms is not None:
            return self._run_ms(1)[0], r.Exited(*key, does.exit_code)
        if self.works and run_ms is not None:
            return run_ms, r.Exited(*key, does.exit_code)
        return None

    def verdicts(self) -> list[tuple[int, bool]]:
        """(ms after the start, healthy) of the changes that its health check will find.

        Checks come every `interval`; it takes `retries` failures in a row, none of them within
        `startPeriod`, to be unhealthy, and one success to be healthy.
        """
        check = self.definition.health_check
        if check is None:
            return []
        every_ms, passes, fails = 1000 * check.interval, *self._health_ms()
        bad_ms = 1000 * check.start_period + check.retries * every_ms
        found = []
        good_ms = None if passes is None else max(every_ms, -(-passes // every_ms) * every_ms)
        if good_ms is None or good_ms > bad_ms:
            found.append((bad_ms, False))
        if good_ms is not None and (fails is None or good_ms < fails):
            found.append((good_ms, True))
        if fails is not None and good_ms is not None:
            later_ms = -(-fails // every_ms) * every_ms + (check.retries - 1) * every_ms
            found.append((max(later_ms, bad_ms), False))
        return found

    def _health_ms(self) -> tuple[int | None, int | None]:
        passes, fails = self.does.healthy_after, self.does.unhealthy_after
        return (None if passes is False else passes, None if fails is False else fails)


@dataclass(frozen=True, slots=True)
class _Role:
    """What is to be known of one task: its scripts by container, and the workload's run time."""

    scripts: Mapping[str, _Script]
    run_ms: int | None


class Containers:
    """Takes actions of the agents, and reports in time what came of them.

    `slow`: by instance, the factor by which pulls and starts take longer there. Starts
    slow each other down where `machines` are given.
    """

    def __init__(
        self,
        models: ContainerModels,
        start_ms: Sampler,
        stop_ms: Sampler,
        rng: Generator,
        machines: Machines | None = None,
        create_ms: Sampler | None = None,
    ) -> None:
        self.models, self._rng = models, rng
        self.machines, self.create_ms = machines, create_ms
        self.slow: dict[int, float] = {}
        self._start_ms, self._stop_ms = start_ms, stop_ms
        self.pulls: Pulls[Key] = Pulls(models.images, models.pulls)
        self._scripts: dict[str, Mapping[str, _Script]] = {}
        self._roles: dict[int, _Role] = {}
        # (ms, order, instance, turn, event): an event of an earlier turn of its container is void.
        self._events: list[tuple[int, int, int, int, r.RuntimeEvent]] = []
        self._turns: dict[Key, int] = {}
        self._exits: dict[Key, int] = {}
        self._stopping: dict[Key, int] = {}
        self._count = 0

    def cast(self, task: int, definition: TaskDefinition, run_ms: int | None) -> None:
        """Tell of a task before anything is done for it; `run_ms` as the workload has it."""
        scripts = self._scripts.get(definition.name)
        if scripts is None:
            scripts = self._scripts[definition.name] = self._write(definition)
        self._roles[task] = _Role(scripts, run_ms)

    def dismiss(self, task: int) -> None:
        """The task is over."""
        role = self._roles.pop(task, None)
        for name in role.scripts if role else ():
            self._turns.pop((task, name), None)
            self._exits.pop((task, name), None)
            self._stopping.pop((task, name), None)

    def set_factor(self, instance: int, factor: float, now_ms: int) -> None:
        """From now on pulls and starts take `factor` times as long there as they would."""
        self.slow[instance] = factor
        self.pulls.set_factor(instance, factor, now_ms)

    def do(self, instance: int, action: r.Action, now_ms: int) -> None:
        """Take up an action."""
        key = (action.task, action.container)
        if isinstance(action, r.PullImage):
            there = not self.pulls.modelled
            if there or (action.unless_cached and self.pulls.has(instance, action.image)):
                self._say(now_ms, instance, r.ImagePulled(*key))
            else:
                self.pulls.begin(instance, key, action.image, now_ms)
        elif isinstance(action, r.CreateContainer):
            image = self._roles[action.task].scripts[action.container].definition.image
            there = self.pulls.has(instance, image)
            event = r.Created(*key) if there else r.CreateFailed(*key, f"No such image: {image}")
            delay_ms = 0 if self.create_ms is None else self.create_ms(1)[0]
            self._call(instance, event, delay_ms, now_ms)
        elif isinstance(action, r.StartContainer):
            self._turn(key)
            delay_ms = round(self._start_ms(1)[0] * self.slow.get(instance, 1))
            self._call(instance, r.Started(*key), delay_ms, now_ms)
        elif isinstance(action, r.StopContainer):
            self._stop(instance, key, action.timeout_s * 1000, now_ms)

    def end(self, instance: int, task: int, now_ms: int) -> None:
        """A task's time is over: its essential containers are stopped, as the real driver does."""
        for name, script in self._roles[task].scripts.items():
            own_s = script.definition.stop_timeout
            timeout_s = DEFAULTS.stop_timeout_s if own_s is None else own_s
            if script.definition.essential:
                self._stop(instance, (task, name), timeout_s * 1000, now_ms)

    @property
    def next_ms(self) -> int | None:
        """When `due` has something to say."""
        times = [at for at in (self.pulls.next_ms,) if at is not None]
        times += [self._events[0][0]] if self._events else []
        return min(times, default=None)

    def due(self, now_ms: int) -> list[tuple[int, r.RuntimeEvent]]:
        """(instance, event) of what has happened by now, in order."""
        for instance, who, error in self.pulls.due(now_ms) if self.pulls.modelled else ():
            task, name = who
            done = r.ImagePulled(task, name) if error is None else r.PullFailed(task, name, error)
            self._say(now_ms, instance, done)
        said = []
        while self._events and self._events[0][0] <= now_ms:
            at_ms, _, instance, turn, event = heapq.heappop(self._events)
            key = (event.task, event.container)
            if turn != self._turns.get(key, 0) or event.task not in self._roles:
                continue
            if isinstance(event, r.Started):
                self._play(instance, key, at_ms)
            elif isinstance(event, r.Exited):
                self._turn(key)
            said.append((instance, event))
        return said

    # --- inside -----------------------------------------------------------------------------------

    def _write(self, definition: TaskDefinition) -> Mapping[str, _Script]:
        does = self.models.behaviour.get(definition.name, {})
        needed = {d.container_name for each in definition.containers for d in each.depends_on}
        essential = [each.name for each in definition.containers if each.essential]
        works = next((name for name in essential if name not in needed), essential[0])
        return {
            each.name: _Script(each, does.get(each.name, _DEFAULT), each.name == works, self._rng)
            for each in definition.containers
        }

    def _call(self, instance: int, event: r.RuntimeEvent, delay_ms: int, now_ms: int) -> None:
        """A call that alone takes so long, and what comes of it."""
        if self.machines is None or not delay_ms:
            self._say(now_ms + delay_ms, instance, event)
            return
        turn = self._turns.get((event.task, event.container), 0)

        def done(at_ms: int) -> None:
            self._say(at_ms, instance, event, turn)

        self.machines.start(instance, (delay_ms,), now_ms, done)

    def _say(
        self, at_ms: int, instance: int, event: r.RuntimeEvent, turn: int | None = None
    ) -> None:
        """`turn`: of the container, as of when this was begun; default: as of now."""
        self._count += 1
        if turn is None:
            turn = self._turns.get((event.task, event.container), 0)
        heapq.heappush(self._events, (at_ms, self._count, instance, turn, event))

    def _turn(self, key: Key) -> None:
        """Planned events of a container will not happen."""
        self._turns[key] = self._turns.get(key, 0) + 1
        self._exits.pop(key, None)

    def _play(self, instance: int, key: Key, now_ms: int) -> None:
        """A container has started: what it will do."""
        role = self._roles[key[0]]
        script = role.scripts[key[1]]
        planned = script.exit(key, role.run_ms)
        if planned is not None:
            self._exits[key] = now_ms + planned[0]
            self._say(now_ms + planned[0], instance, planned[1])
        for after_ms, healthy in script.verdicts():
            self._say(now_ms + after_ms, instance, r.HealthChanged(*key, healthy))

    def _stop(self, instance: int, key: Key, timeout_ms: int, now_ms: int) -> None:
        obeys = self._roles[key[0]].scripts[key[1]].does.obeys_sigterm
        if obeys and self.machines is not None:
            turn = self._turns.get(key, 0)
            if self._stopping.get(key) != turn:  # else another stop waits for the same end
                self._stopping[key] = turn
                done = partial(self._stopped, instance, key, turn)
                self.machines.stop(instance, self._stop_ms(1)[0], now_ms, done)
            return
        wanted_ms = self._stop_ms(1)[0] if obeys else timeout_ms
        killed = not obeys or wanted_ms > timeout_ms
        at_ms = now_ms + min(wanted_ms, timeout_ms)
        if self._exits.get(key, at_ms + 1) > at_ms:
            self._turn(key)
            self._say(at_ms, instance, r.Exited(*key, _KILLED if killed else _TERMINATED))

    def _stopped(self, instance: int, key: Key, turn: int, now_ms: int) -> None:
        """A stop is done; it has no effect where the container has ended by itself meanwhile."""
        if turn == self._turns.get(key, 0):
            self._turn(key)
            self._say(now_ms, instance, r.Exited(*key, _TERMINATED))


def runtime_of(containers: ContainerModels, models: Models, seed: int) -> Containers:
    """The runtime of a run, with a stream of chance for each purpose."""
    return Containers(
        containers,
        sampler(models.start, stream(seed, "container start")),
        sampler(models.stop, stream(seed, "container stop")),
        stream(seed, "containers"),
        machines_of(models),
        sampler(models.create, stream(seed, "create")) if models.create else None,
    )
