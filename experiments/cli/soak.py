"""`stowplan soak`: random clusters under random faults, each run read by the checkers.

A seed is a world: its fleet, services with deployments, streams of tasks and faults are all drawn
from it. So a seed that fails, fails again: `stowplan soak --start SEED --seeds 1`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.random import Generator
from rich.console import Console

from stowplan.experiments.cli.soak_calls import OUTSIDE, Outsider
from stowplan.experiments.cli.soak_rollouts import add_rollouts
from stowplan.experiments.cli.soak_state import differences
from stowplan.experiments.loading.arguments import positive
from stowplan.experiments.loading.catalogue import instance_types
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.result import scheduler_config, tee
from stowplan.experiments.report.progress_lines import tracked
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import ReplayError, replay
from stowplan.placement.messages import Round, RunTask, RunTaskFailed
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import NOWHERE

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
TYPES = ("m5.large", "m5.xlarge", "c5.large", "c5.xlarge", "r5.large")
CHAINS = (
    "default",
    "random",
    "binpack:memory",
    "binpack:cpu",
    "spread:instanceId",
    ["spread:attribute:ecs.availability-zone", "binpack:memory"],
    ["spread:attribute:ecs.availability-zone", "spread:instanceId", "random"],
)
CONSTRAINTS = ("distinctInstance", "attribute:rack != r1", "attribute:rack exists")
RUN = Run("drawn", "shared", "drawn")
# Faults end in the first part of a run; the rest is for what they did to be mended.
FAULTS_S, RUN_S = 1_800, 3 * 3_600


def random_scenario(seed: int) -> Scenario:
    """The world of a seed."""
    rng = np.random.default_rng([seed, 0x50A4])
    definitions = {f"app{n}": _definition(rng, f"app{n // 2}") for n in range(6)}
    containers = np.random.default_rng([seed, 0xC047])
    behaviour = {}
    for name in [name for name in definitions if containers.random() < 0.3]:
        behaviour[name] = _company(containers, definitions[name])
    images = _images(containers) if containers.random() < 0.4 else {}
    names = list(definitions)
    groups = [_capacity_provider(rng, n) for n in range(rng.integers(0, 3))]
    providers = [group["name"] for group in groups]
    table: dict[str, Any] = {
        "name": f"soak-{seed}",
        "seed": seed,
        "duration": RUN_S,
        "cluster": {
            "provisioning_quota": int(rng.integers(1, 200)),
            "default_capacity_provider_strategy": _strategy(rng, providers, 0.2) or [],
        },
        "capacity_provider": groups,
        "models": {"boot": {"distribution": "exponential", "mean": int(rng.integers(0, 300))}},
        "instance_types": {name: instance_types()[name].model_dump() for name in TYPES},
        "fleet": [_fleet(rng, n) for n in range(rng.integers(1, 4))],
        "task_definitions": definitions,
        "behaviour": behaviour,
        "images": images,
        "service": [_service(rng, n, names, providers) for n in range(rng.integers(0, 5))],
        "workload": [_workload(rng, n, names, providers) for n in range(rng.integers(0, 3))],
        "strategies": {RUN.strategy: _one(rng, CHAINS)},
        "faults": {RUN.faults: [_fault(rng, names, providers) for _ in range(rng.integers(0, 4))]},
    }
    _add_autoscaling(np.random.default_rng([seed, 0xA57]), table["service"])
    _add_balancers(np.random.default_rng([seed, 0xE1B]), table["service"])
    add_rollouts(np.random.default_rng([seed, 0xB1E]), table, FAULTS_S, RUN.faults)
    return Scenario.model_validate(table)


def _add_autoscaling(rng: Generator, services: list[dict[str, Any]]) -> None:
    """Some services are scaled by a load that is level again after the faults."""
    for service in services:
        if service.get("scheduling_strategy") != "DAEMON" and rng.random() < 0.2:
            loads = [{"at": n * FAULTS_S / 4, "value": float(rng.integers(200))} for n in range(5)]
            service["autoscaling"] = {
                "load": loads,
                "target": 10.0,
                "min_capacity": int(rng.integers(0, 4)),
                "max_capacity": int(rng.integers(5, 25)),
                "scale_in_cooldown": int(rng.integers(60, 600)),
            }


def _add_balancers(rng: Generator, services: list[dict[str, Any]]) -> None:
    """Some services have a load balancer; the tasks of some are slow to be ready."""
    for service in services:
        if rng.random() < 0.3:
            service["load_balancer"] = {
                "health_check_interval": int(rng.integers(5, 31)),
                "initial_threshold_count": int(rng.choice([1, 1, 3])),
                "deregistration_delay": int(rng.choice([0, 20, 120, 300])),
                "ready_after": _one(rng, (0, 0, 20, 90, 200)),
            }
            service["health_check_grace_period"] = int(rng.choice([0, 0, 60, 240]))


def _one(rng: Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _definition(rng: Generator, family: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "main",
        "image": "main",
        "cpu": int(rng.choice([64, 128, 256, 512])),
        "memory": int(rng.choice([128, 256, 512, 1024])),
    }
    if rng.random() < 0.25:
        port = int(rng.integers(8000, 8003))
        container["portMappings"] = [{"containerPort": port, "hostPort": port}]
    if rng.random() < 0.3:
        container["healthCheck"] = {"command": ["CMD", "true"], "interval": 10}
    return {"family": family, "containerDefinitions": [container]}


def _company(rng: Generator, definition: dict[str, Any]) -> dict[str, Any]:
    """Give the main container company, or a restart policy; returns what its containers do."""
    main = definition["containerDefinitions"][0]
    if rng.random() < 0.3:
        main["restartPolicy"] = {"enabled": True, "restartAttemptPeriod": 60}
    before = {"name": "before", "image": "side", "cpu": 10, "memory": 32, "essential": False}
    condition = _one(rng, ("START", "COMPLETE", "SUCCESS", "HEALTHY"))
    if condition == "HEALTHY":
        before |= {"healthCheck": {"command": ["CMD", "true"], "interval": 5}, "startTimeout": 60}
    main["dependsOn"] = [{"containerName": "before", "condition": condition}]
    definition["containerDefinitions"].append(before)
    ends = condition in ("COMPLETE", "SUCCESS")
    return {
        "main": {
            "crash_percent": int(rng.choice([0, 0, 20])),
            "crash_after": {"distribution": "exponential", "mean": 60},
            "out_of_memory": bool(rng.random() < 0.5),
            "obeys_sigterm": bool(rng.random() < 0.7),
        },
        "before": {"run": {"mean": 5}} if ends else {},
    }


def _images(rng: Generator) -> dict[str, Any]:
    base = int(rng.integers(20, 400))
    own = int(rng.integers(1, 2000))
    return {"main": {"layers": {"base": base, "app": own}}, "side": {"layers": {"base": base}}}


def _fleet(rng: Generator, number: int) -> dict[str, Any]:
    return {
        "name": f"group{number}",
        "instance_type": _one(rng, TYPES),
        "count": int(rng.integers(1, 8)),
        "zones": list(ZONES[: rng.integers(1, 4)]),
        "attributes": {"rack": f"r{number}"} if rng.random() < 0.7 else {},
        "at": int(rng.integers(0, 600)) if rng.random() < 0.4 else 0,
        "capacity_provider": "cp" if rng.random() < 0.5 else None,
    }


def _capacity_provider(rng: Generator, number: int) -> dict[str, Any]:
    most = int(rng.integers(1, 10))
    managed = rng.random() < 0.8
    first = int(rng.integers(0, most + 1))
    scaling = {
        "target_capacity": int(rng.choice([100, 100, 90, 50, 10])),
        "minimum_scaling_step_size": int(rng.integers(1, 4)),
        "maximum_scaling_step_size": int(rng.integers(4, 20)),
        "instance_warmup": int(rng.integers(0, 400)),
    }
    return {
        "name": f"asg{number}",
        "instance_types": [str(t) for t in rng.choice(TYPES, rng.integers(1, 3), replace=False)],
        "zones": list(ZONES[: rng.integers(1, 4)]),
        "max_size": most,
        "min_size": int(rng.integers(0, first + 1)),
        "desired_size": first,
        "market": _one(rng, ("on-demand", "spot")),
        "discount_percent": 60,
        "attributes": {"rack": f"r{number}"} if rng.random() < 0.7 else {},
        "managed_scaling": scaling if managed else False,
        "managed_termination_protection": bool(managed and rng.random() < 0.7),
        "managed_draining": bool(rng.random() < 0.5),
    }


def _strategy(rng: Generator, providers: list[str], share: float) -> list[dict[str, Any]] | None:
    """Some of the providers with weights, a base on the first; None: what the cluster has."""
    if not providers or rng.random() > share:
        return None
    used = providers[: rng.integers(1, len(providers) + 1)]
    items = [{"capacity_provider": name, "weight": int(rng.integers(1, 4))} for name in used]
    items[0]["base"] = int(rng.integers(0, 3))
    return items


def _service(rng: Generator, number: int, names: list[str], providers: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": f"service{number}",
        "task_definition": _one(rng, names),
        "at": int(rng.integers(0, 300)),
        "constraints": [_one(rng, CONSTRAINTS)] if rng.random() < 0.4 else [],
        "deploy": [_deploy(rng, names) for _ in range(rng.integers(0, 3))],
    }
    if rng.random() < 0.2:
        return table | {"scheduling_strategy": "DAEMON"}
    low, high = _one(rng, ((100, 200), (50, 100), (50, 150), (0, 100), (100, 125)))
    counts = [int(rng.integers(0, 20)) for _ in range(rng.integers(0, 3))]
    return table | {
        "desired_count": int(rng.integers(0, 15)),
        "capacity_provider_strategy": _strategy(rng, providers, 0.6),
        "minimum_healthy_percent": low,
        "maximum_percent": high,
        "circuit_breaker": {"rollback": bool(rng.random() < 0.7)} if rng.random() < 0.5 else None,
        "availability_zone_rebalancing": bool(rng.random() < 0.5),
        "scale": [{"at": 300 + int(rng.integers(FAULTS_S)), "desired_count": n} for n in counts],
    }


def _deploy(rng: Generator, names: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {"at": 300 + int(rng.integers(FAULTS_S))}
    return table | ({"task_definition": _one(rng, names)} if rng.random() < 0.8 else {})


def _workload(
    rng: Generator, number: int, names: list[str], providers: list[str]
) -> dict[str, Any]:
    strategy = _strategy(rng, providers, 0.5)
    return {
        "name": f"workload{number}",
        "task_definition": _one(rng, names),
        "kind": "poisson",
        "until": FAULTS_S,
        "retry": 30,
        "retry_max": 600,
        "capacity_provider": "cp" if strategy is None and rng.random() < 0.3 else None,
        "capacity_provider_strategy": strategy,
        "constraints": [_one(rng, CONSTRAINTS[1:])] if rng.random() < 0.2 else [],
        "options": {
            "rate_per_s": float(rng.choice([0.02, 0.1, 0.3])),
            "run": {"distribution": "exponential", "mean": int(rng.integers(10, 300))},
        },
    }


def _fault(rng: Generator, names: list[str], providers: list[str]) -> dict[str, Any]:
    kinds = get_args(Fault.model_fields["kind"].annotation)
    kind = _one(rng, [each for each in kinds if each != "alarm"])  # that is drawn with its service
    at_s = int(rng.integers(FAULTS_S - 300))
    table: dict[str, Any] = {"kind": kind, "at": at_s, "detect": int(rng.integers(0, 90))}
    if kind == "start-failure":
        return table | {"task_definition": _one(rng, names), "until": at_s + 900}
    if kind == "api-throttling":
        rates = {"burst": int(rng.integers(1, 5)), "rate_per_s": 1}
        return table | {"until": at_s + 900} | (rates if rng.random() < 0.7 else {})
    if kind == "insufficient-capacity":
        where = {"zone": _one(rng, ZONES)} if rng.random() < 0.5 else {}
        return table | where | {"until": at_s + int(rng.integers(1, 900))}
    if kind in ("partition", "registry-failure", "slow-disk", "scheduler-restart"):
        table["until"] = at_s + int(rng.integers(1, 300))
    if kind in ("registry-failure", "scheduler-restart"):
        return table
    if kind == "zone-loss" or rng.random() < 0.3:
        return table | {"zone": _one(rng, ZONES)}
    if providers and rng.random() < 0.5:
        return table | {"capacity_provider": _one(rng, providers)}
    return table | {"instances": f"attribute:rack == r{rng.integers(3)}"}


def soak(seed: int) -> list[str]:
    """Run the world of a seed; what is wrong with the run, empty where nothing is.

    Replays to the same commands, breaks no rule, tries again what found no room, and ends with
    every service whole, or with a reason why it is not.
    """
    loaded = Loaded(random_scenario(seed), Path(f"soak-{seed}"), {})
    scheduler, driver = world(loaded, RUN, loaded.scenario.duration)
    rounds: list[Round] = []
    drawn = np.random.default_rng([seed, 0xCA11])
    outsider = Outsider(drawn, driver.callers, FAULTS_S * 1000)
    try:
        scheduler = drive(loaded, RUN, scheduler, driver, tee([rounds.append, outsider]))
        scheduler.cluster.check()
    except Exception as error:  # whatever it is, the next seed is still to be tried
        return [f"the run ended with {error!r}"]
    found = [str(violation) for violation in check_rounds(rounds)]
    found += [
        f"service {name} has not converged: {len(service.running)} of {service.desired_count} "
        f"tasks run, of {len(service.deployments)} deployments"
        for name, service in scheduler.services.items()
        if not settled(service)
        and not any(scheduler.tasks.instance[task] == NOWHERE for task in service.tasks)
    ]
    found += forgotten(rounds, loaded.scenario)
    found += differences(outsider.reader.state, scheduler)
    try:
        replay(Scheduler(scheduler_config(loaded.scenario), loaded.strategies), rounds)
    except ReplayError as error:
        found.append(str(error))
    return found


def forgotten(rounds: list[Round], scenario: Scenario) -> list[str]:
    """Jobs whose tasks found no room and were not asked for again, as their client should have.

    It asks again within `retry_max`. A task that failed later than that before the end still has
    time.
    """
    patience_ms = max((table.retry_max for table in scenario.workload), default=0)
    failed: dict[int, int] = {}
    retried: dict[int, bool] = {}
    for entry in rounds:
        for event in entry.events:
            if isinstance(event, RunTask):
                failed.pop(event.request, None)
                retried[event.request] = event.started_by != OUTSIDE
        for command in entry.commands:
            if isinstance(command, RunTaskFailed) and retried.get(command.request):
                failed[command.request] = entry.now_ms
    return [
        f"request {request} found no room at {at_ms} ms and was not tried again"
        for request, at_ms in failed.items()
        if at_ms + patience_ms < scenario.duration
    ]


def settled(service: Service) -> bool:
    """Whether a service is steady at its count, or has said why it cannot be.

    No room, a deployment that has failed, percents under which nothing may move, and targets that
    fail their checks again and again are reasons.
    """
    failed = service.primary.rollout_state == "FAILED"
    failed |= service.target is not None and service.target.unhealthy_ms is not None
    return (
        service.daemon or service.is_complete or bool(service.complaint) or failed or service.stuck
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan soak`."""
    parser.add_argument("--seeds", type=positive, default=200, metavar="N", help="default: 200")
    parser.add_argument("--start", type=int, default=0, metavar="SEED", help="the first of them")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Soak seed after seed; prints each that fails with the command that repeats it.

    Ctrl-C ends it with what was done so far.
    """
    console = Console(stderr=True)
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    done = failed = 0
    try:
        for seed in tracked(seeds, "soak"):
            found = soak(seed)
            done, failed = done + 1, failed + bool(found)
            if found:
                more = f", and {len(found) - 1} more" if found[1:] else ""
                print(f"seed {seed}: {found[0]}{more}")
                print(f"  stowplan soak --start {seed} --seeds 1", flush=True)
    except KeyboardInterrupt:
        console.print("stopped")
    print(f"{done - failed} of {done} seeds passed")
    return int(failed > 0)
