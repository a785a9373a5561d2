"""The scheduler against a naive model of it, a checker of every round, and its own books.

Hypothesis makes up the story: instances come, drain, disconnect, go and come back; tasks are asked
for, stopped, reported late and twice; services are created and scaled. The model knows no more than
who is where and what fits, in plain dicts; what it does not say (which of several fitting instances
is chosen) is for the tests of the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import CHECKERS, check_rounds
from stowplan.placement.model import PlacementConstraint, PlacementStrategy, StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from tests.driving import DISTINCT, Driven, definition, member_of

QUOTA, TIMEOUT_MS = 4, 20_000
# family -> (cpu, memory, host port)
FAMILIES = {
    "small": (256, 128, 0),
    "big": (1024, 512, 0),
    "port": (128, 128, 8080),
    "free": (0, 64, 0),
}
RULES = {
    "any": (),
    "apart": DISTINCT,
    "two": (PlacementConstraint("maxPerInstance", "2"),),
    "new": member_of("attribute:stack == new"),
    "beside": member_of("task:group == family:small"),
}
STRATEGIES = {
    "default": (),
    "binpack": (PlacementStrategy("binpack", "memory"),),
    "spread": (PlacementStrategy("spread", "instanceId"), PlacementStrategy("binpack", "cpu")),
}
ZONES, STACKS, PROVIDERS = "abc", ("old", "new"), (None, "cp")
# The agents in this story say what they like: also that new tasks run before old ones went, and
# that they are there though they are gone.
OF_THE_WORLD = ("really fits", "dead instances")
OF_THE_SCHEDULER = {name: make for name, make in CHECKERS.items() if name not in OF_THE_WORLD}
ALIVE, STOPPING, STOPPED, WAITING = "alive", "stopping", "stopped", "waiting"


@dataclass
class Box:
    """An instance."""

    cpu: int
    memory: int
    stack: str
    provider: str | None
    status: str = "ACTIVE"
    connected: bool = True


@dataclass
class Job:
    """A task."""

    family: str
    rule: str
    group: str
    provider: str | None = None
    service: str | None = None
    box: int | None = None
    state: str = ALIVE
    running: bool = False
    since_ms: int = 0


@dataclass
class Web:
    """A service."""

    family: str
    rule: str
    desired: int
    daemon: bool = False


@dataclass
class Model:
    """Everything that should be true."""

    boxes: list[Box] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    webs: dict[str, Web] = field(default_factory=dict)

    def on(self, box: int) -> list[Job]:
        return [job for job in self.jobs if job.box == box and job.state == ALIVE]

    def fits(self, job: Job, number: int) -> bool:
        """Whether one more task like `job` may go to a box, from the first rule to the last."""
        box, there = self.boxes[number], self.on(number)
        cpu, memory, port = FAMILIES[job.family]
        mates = sum(other.group == job.group for other in there)
        return (
            box.status == "ACTIVE"
            and box.connected
            and sum(FAMILIES[other.family][0] for other in there) + cpu <= box.cpu
            and sum(FAMILIES[other.family][1] for other in there) + memory <= box.memory
            and not (port and any(FAMILIES[other.family][2] == port for other in there))
            and job.provider in (None, box.provider)
            and not (job.rule == "apart" and mates)
            and not (job.rule == "two" and mates >= 2)
            and not (job.rule == "new" and box.stack != "new")
            and not (job.rule == "beside" and all(o.group != "family:small" for o in there))
        )

    def room(self, job: Job) -> bool:
        return any(self.fits(job, number) for number in range(len(self.boxes)))


class SchedulerMachine(RuleBasedStateMachine):
    """Collects events, now and then lets the scheduler decide, and follows what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.events: list[m.Event] = []
        self.asked: list[tuple[int, int]] = []
        self.requests: dict[int, Job] = {}
        self.announced = 0

    @initialize(seed=st.integers(0, 3))
    def begin(self, seed: int) -> None:
        self.world = Driven(SchedulerConfig(seed, QUOTA, TIMEOUT_MS))
        families = [definition(name, *sizes) for name, sizes in FAMILIES.items()]
        self.world.round(*families)

    # --- instances ------------------------------------------------------------------------------

    @rule(
        size=st.sampled_from([(512, 512), (1024, 1024), (2048, 512)]),
        zone=st.sampled_from(ZONES),
        stack=st.sampled_from(STACKS),
        provider=st.sampled_from(PROVIDERS),
    )
    def instance_registers(self, size, zone, stack, provider):
        self._register(self.announced, size, zone, stack, provider)
        self.announced += 1

    @precondition(lambda self: self.model.boxes)
    @rule(data=st.data(), size=st.sampled_from([(512, 512), (2048, 2048)]))
    def instance_registers_again(self, data, size):
        number = self._some_box(data)
        box = self.model.boxes[number]
        self._register(number, size, "a", box.stack, box.provider)

    def _register(self, number, size, zone, stack, provider):
        attributes = {"ecs.availability-zone": zone, "stack": stack}
        self.events.append(
            m.InstanceRegistered(
                number,
                f"i-{number}",
                {"CPU": size[0], "MEMORY": size[1]},
                attributes,
                capacity_provider=provider,
            )
        )

    @precondition(lambda self: self.model.boxes)
    @rule(data=st.data(), status=st.sampled_from(["DRAINING", "ACTIVE"]))
    def instance_status_is_set(self, data, status):
        self.events.append(m.UpdateContainerInstancesState((self._some_box(data),), status))

    @precondition(lambda self: self.model.boxes)
    @rule(data=st.data(), connected=st.booleans())
    def agent_connects_or_not(self, data, connected):
        self.events.append(m.AgentConnectionChanged((self._some_box(data),), connected))

    @precondition(lambda self: self.model.boxes)
    @rule(data=st.data())
    def instance_goes(self, data):
        self.events.append(m.InstancesGone((self._some_box(data),)))

    # --- calls ----------------------------------------------------------------------------------

    @rule(
        family=st.sampled_from(sorted(FAMILIES)),
        name=st.sampled_from(sorted(RULES)),
        strategy=st.sampled_from(sorted(STRATEGIES)),
        provider=st.sampled_from(PROVIDERS),
        group=st.sampled_from([None, "g"]),
        count=st.integers(1, 4),
    )
    def tasks_are_asked_for(self, family, name, strategy, provider, group, count):
        request = len(self.requests)
        self.requests[request] = Job(family, name, group or f"family:{family}", provider)
        self.asked.append((request, count))
        self.events.append(
            m.RunTask(
                request,
                family,
                count,
                group,
                placement_constraints=RULES[name],
                placement_strategy=STRATEGIES[strategy],
                capacity_provider=provider,
            )
        )

    @precondition(lambda self: self.model.boxes)
    @rule(data=st.data(), family=st.sampled_from(sorted(FAMILIES)), how_many=st.integers(1, 2))
    def tasks_are_started_on_named_instances(self, data, family, how_many):
        request = len(self.requests)
        self.requests[request] = Job(family, "any", f"family:{family}")
        self.asked.append((request, how_many))
        numbers = tuple(self._some_box(data) for _ in range(how_many))
        self.events.append(m.StartTask(request, family, numbers))

    @precondition(lambda self: len(self.model.webs) < 3)
    @rule(family=st.sampled_from(["small", "free"]), name=st.sampled_from(["any", "new"]))
    def daemon_is_created(self, family, name):
        service = f"s{len(self.model.webs)}"
        self.model.webs[service] = Web(family, name, 0, daemon=True)
        self.events.append(
            m.CreateService(service, family, 0, RULES[name], scheduling_strategy="DAEMON")
        )

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), how_many=st.integers(1, 3))
    def tasks_are_stopped(self, data, how_many):
        self.events.append(m.StopTask(tuple(self._some_job(data) for _ in range(how_many))))

    @precondition(lambda self: len(self.model.webs) < 3)
    @rule(
        family=st.sampled_from(sorted(FAMILIES)),
        name=st.sampled_from(sorted(set(RULES) - {"beside"})),
        strategy=st.sampled_from(sorted(STRATEGIES)),
        count=st.integers(0, 4),
    )
    def service_is_created(self, family, name, strategy, count):
        service = f"s{len(self.model.webs)}"
        self.model.webs[service] = Web(family, name, count)
        self.events.append(
            m.CreateService(service, family, count, RULES[name], STRATEGIES[strategy])
        )

    @precondition(lambda self: self.model.webs)
    @rule(data=st.data(), count=st.integers(0, 6))
    def service_is_scaled(self, data, count):
        service = data.draw(st.sampled_from(sorted(self.model.webs)))
        self.events.append(m.UpdateService(service, count))

    @rule(
        call=st.sampled_from(
            [
                m.RunTask(99, "nobody", 1),
                m.StopTask((10_000,)),
                m.UpdateService("nobody", 1),
                m.UpdateContainerInstancesState((10_000,), "ACTIVE"),
            ]
        )
    )
    def something_senseless_is_asked(self, call):
        self.events.append(call)

    # --- reports --------------------------------------------------------------------------------

    @precondition(lambda self: any(job.box is not None for job in self.model.jobs))
    @rule(
        data=st.data(),
        status=st.sampled_from([TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.STOPPED]),
        twice=st.booleans(),
    )
    def tasks_are_reported(self, data, status, twice):
        """True, late or repeated: whatever an agent may say of a task that it was given."""
        given_to_agents = [n for n, job in enumerate(self.model.jobs) if job.box is not None]
        tasks = tuple(data.draw(st.lists(st.sampled_from(given_to_agents), min_size=1, max_size=3)))
        code = StopCode.ESSENTIAL_CONTAINER_EXITED if status is TaskStatus.STOPPED else None
        self.events += [m.TasksChanged(status, tasks, code)] * (1 + twice)

    @precondition(lambda self: any(job.box is not None for job in self.model.jobs))
    @rule()
    def everything_that_was_started_runs(self):
        tasks = tuple(n for n, job in enumerate(self.model.jobs) if job.box is not None)
        self.events.append(m.TasksChanged(TaskStatus.RUNNING, tasks))

    def _some_box(self, data) -> int:
        return data.draw(st.integers(0, len(self.model.boxes) - 1))

    def _some_job(self, data) -> int:
        return data.draw(st.integers(0, len(self.model.jobs) - 1))

    # --- a round --------------------------------------------------------------------------------

    @rule(wait_ms=st.sampled_from([0, 1, 1_000, TIMEOUT_MS]))
    def round(self, wait_ms):
        now_ms = self.world.now_ms + wait_ms
        events, self.events = self.events, []
        asked, self.asked = self.asked, []
        commands = self.world.round(*events, at_ms=now_ms)
        for event in self.world.rounds[-1].accepted():
            self._happened(event, now_ms)
        answers = dict.fromkeys((request for request, _ in asked), 0)
        for command in commands:
            self._said(command, now_ms, answers)
        assert answers == dict(asked), "every task asked for is started, waits or has failed"
        self._settled(now_ms)
        assert [str(v) for v in check_rounds(self.world.rounds, OF_THE_SCHEDULER)] == []

    def _happened(self, event: m.Event, now_ms: int) -> None:
        boxes, jobs = self.model.boxes, self.model.jobs
        if isinstance(event, m.InstanceRegistered):
            size = (event.resources["CPU"], event.resources["MEMORY"])
            box = Box(*size, event.attributes["stack"], event.capacity_provider)
            boxes[event.instance : event.instance + 1] = [box]
        elif isinstance(event, m.UpdateContainerInstancesState):
            for number in event.instances:
                boxes[number].status = event.status
        elif isinstance(event, m.AgentConnectionChanged):
            for number in event.instances:
                boxes[number].connected = event.connected
        elif isinstance(event, m.InstancesGone):
            for number in event.instances:
                boxes[number].status = "INACTIVE"
                for job in jobs:
                    if job.box == number:
                        job.state = STOPPED
        elif isinstance(event, m.UpdateService):
            self.model.webs[event.service].desired = event.desired_count
        elif isinstance(event, m.StopTask):
            for task in event.tasks:
                if jobs[task].state == ALIVE:
                    jobs[task].state = STOPPING
        elif isinstance(event, m.TasksChanged):
            for task in event.tasks:
                self._reported(jobs[task], event.status)

    def _reported(self, job: Job, status: TaskStatus) -> None:
        if status is TaskStatus.STOPPED:
            job.state = STOPPED
        elif status is TaskStatus.RUNNING and job.state != STOPPED:
            job.running = True

    def _said(self, command: m.Command, now_ms: int, answers: dict[int, int]) -> None:
        jobs = self.model.jobs
        if isinstance(command, m.StartTasks):
            for task, number in zip(command.tasks, command.instances, strict=True):
                if task == len(jobs):
                    jobs.append(self._new_job(command))
                    if command.request is not None:
                        answers[command.request] += 1
                job = jobs[task]
                assert job.state in (ALIVE, WAITING)
                assert job.box is None, "a task is placed once"
                assert self.model.fits(job, number), (job, number, self.model.boxes[number])
                job.box, job.state = number, ALIVE
        elif isinstance(command, m.StopTasks):
            for task in command.tasks:
                assert jobs[task].box is not None
                if jobs[task].state == ALIVE:
                    jobs[task].state = STOPPING
        elif isinstance(command, m.TasksProvisioning):
            answers[command.request] += len(command.tasks)
            for task in command.tasks:
                assert task == len(jobs)
                template = self.requests[command.request]
                jobs.append(
                    Job(
                        template.family,
                        template.rule,
                        template.group,
                        template.provider,
                        state=WAITING,
                        since_ms=now_ms,
                    )
                )
        elif isinstance(command, m.RunTaskFailed):
            answers[command.request] += command.count
            assert command.failure.reason
            # StartTask's failure is about the one instance that it named.
            looked_at = self._present() if command.instance is None else 1
            assert sum(n for _, n in command.failure.rejected) in (0, looked_at)
        elif isinstance(command, m.TasksStopped):
            for task in command.tasks:
                jobs[task].state = STOPPED

    def _new_job(self, command: m.StartTasks) -> Job:
        if command.service is not None:
            web = self.model.webs[command.service]
            return Job(web.family, web.rule, command.group, service=command.service)
        template = self.requests[command.request]
        return Job(template.family, template.rule, template.group, template.provider)

    def _present(self) -> int:
        return sum(box.status != "INACTIVE" for box in self.model.boxes)

    def _settled(self, now_ms: int) -> None:
        """What must hold after every round."""
        model = self.model
        waiting = [job for job in model.jobs if job.state == WAITING]
        assert len(waiting) <= QUOTA
        for job in waiting:
            assert now_ms - job.since_ms < TIMEOUT_MS, "nobody waits longer than the limit"
        for name, web in model.webs.items():
            living = [job for job in model.jobs if job.service == name and job.state == ALIVE]
            settled = [j for j in living if model.boxes[j.box].status != "DRAINING"]
            if web.daemon:
                assert len({job.box for job in living}) == len(living), "one on an instance"
                assert all(web.rule == "any" or model.boxes[j.box].stack == "new" for j in settled)
                continue
            assert len(settled) <= web.desired
            assert len(living) <= 2 * web.desired

    # --- always ---------------------------------------------------------------------------------

    @precondition(lambda self: not self.events)
    @invariant()
    def the_scheduler_believes_what_the_model_knows(self):
        scheduler = self.world.scheduler
        for number, box in enumerate(self.model.boxes):
            there = self.model.on(number)
            left = scheduler.cluster.remaining[number]
            assert left[0] == box.cpu - sum(FAMILIES[job.family][0] for job in there)
            assert left[1] == box.memory - sum(FAMILIES[job.family][1] for job in there)
            assert scheduler.cluster.running_tasks_count[number] == len(there)
        living = {n for n, job in enumerate(self.model.jobs) if job.state in (ALIVE, WAITING)}
        assert set(scheduler.tasks.living()) == living

    def teardown(self):
        """At rest, with every task running, whatever is still missing fits nowhere."""
        if not hasattr(self, "world"):
            return
        for _ in range(3):
            self._all_run(1)
        for job in self.model.jobs:
            assert job.state != WAITING or not self.model.room(job), job
        # Nobody but the scheduler says when to look again, as after tasks that never ran.
        for _ in range(200):
            deadline_ms = self.world.scheduler.deadline_ms
            if deadline_ms is None:
                break
            self._all_run(deadline_ms - self.world.now_ms)
        else:
            raise AssertionError("the scheduler never comes to rest")
        self._nothing_is_missing()

    def _all_run(self, wait_ms: int) -> None:
        tasks = tuple(n for n, job in enumerate(self.model.jobs) if job.box is not None)
        self.events.append(m.TasksChanged(TaskStatus.RUNNING, tasks))
        SchedulerMachine.round(self, wait_ms)

    def _nothing_is_missing(self) -> None:
        model = self.model
        for name, web in model.webs.items():
            living = [job for job in model.jobs if job.service == name and job.state == ALIVE]
            probe = Job(web.family, web.rule, f"service:{name}", service=name)
            if web.daemon:
                bare = set(range(len(model.boxes))) - {job.box for job in living}
                assert not any(model.fits(probe, number) for number in bare), name
                continue
            assert len(living) >= web.desired or not model.room(probe), (name, web)


class TestScheduler(SchedulerMachine.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.long
class TestSchedulerAtLength(SchedulerMachine.TestCase):
    settings = settings(max_examples=500, stateful_step_count=60)
