"""Rows of `stowplan bench optimal` for the goal `placement`, beside plain CP-SAT.

Made scenarios with what people ask for: zones of unequal size, distinctInstance, host ports, GPUs,
daemons, several spread keys, memberOf. CP-SAT gets the textbook's model, made from the document and
not by the optimizer's code. What it proves in a second must not take the optimizer longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from stowplan.experiments.bench.rows import Clock, Row, at_most
from stowplan.experiments.loading.load import check_scenario
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement.optimal.optimize import optimize
from stowplan.placement.packing.problem import Limits

KINDS = ("uneven zones", "distinct", "ports", "gpus", "daemon", "keys", "member of", "all of it")
SEEDS = 8  # of each kind
PLAIN_SECONDS = 1.0
PLACED, USED, SPREAD = 100_000, 100, 1  # the objective's defaults
CPU, MEMORY = (256, 512, 1024, 1536, 2048), (512, 1024, 2048, 3072, 6144)
TYPES = {  # CPU units, MiB, GPUs, zones and how many in each at most
    "large": (8192, 32_768, 0),
    "middle": (4096, 15_000, 0),
    "cards": (8192, 30_000, 4),
}
ZONES = "abc"
DAEMON = (256, 512)


def mixed(seed: int, kind: str) -> dict[str, Any]:
    """The document of a scenario; the same for the same arguments."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    asked = set(KINDS) if kind == "all of it" else {kind}
    fleet = []
    for zone, most in zip(ZONES, (4, 3, 2), strict=True):
        for name in ("large", "middle", *(["cards"] if "gpus" in asked else [])):
            count = int(rng.integers(0, most + 1)) + (zone == "a")
            if count:
                group = {"name": f"{name}-{zone}", "instance_type": name, "count": count}
                fleet.append(group | {"zones": [zone]})
    services, definitions = [], {}
    for number in range(int(rng.integers(4, 9))):
        name = f"s{number}"
        service, definitions[name] = _service(rng, name, asked)
        services.append(service)
    if "daemon" in asked:
        definitions["agent"] = _definition("agent", {"cpu": DAEMON[0], "memory": DAEMON[1]})
        agent = {"name": "agent", "task_definition": "agent", "scheduling_strategy": "DAEMON"}
        services.append(agent)
    types = {
        name: {"cpu": cpu, "memory": memory, "gpus": gpus}
        for name, (cpu, memory, gpus) in TYPES.items()
    }
    return {
        "name": f"mixed-{seed}", "duration": "10m", "instance_types": types, "fleet": fleet,
        "task_definitions": definitions, "service": services,
    }  # fmt: skip


def _service(rng: Generator, name: str, asked: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    container: dict[str, Any] = {"cpu": int(rng.choice(CPU)), "memory": int(rng.choice(MEMORY))}
    count = int(rng.integers(1, 9))
    service: dict[str, Any] = {"name": name, "task_definition": name}
    rules = []
    if "ports" in asked and rng.random() < 0.4:
        port = int(rng.choice((80, 443)))
        container["portMappings"] = [{"containerPort": 80, "hostPort": port}]
        count = min(count, 5)
    if "gpus" in asked and rng.random() < 0.3:
        gpus = str(int(rng.choice((1, 2))))
        container["resourceRequirements"] = [{"type": "GPU", "value": gpus}]
    if "distinct" in asked and rng.random() < 0.5:
        rules.append("distinctInstance")
    if "member of" in asked and rng.random() < 0.5 and "resourceRequirements" not in container:
        which = rng.choice(("zone", "type"))
        attribute = "ecs.availability-zone" if which == "zone" else "ecs.instance-type"
        value = "a" if which == "zone" else "large"
        rules.append(f"memberOf: attribute:{attribute} == {value}")
    if "keys" in asked:
        keys = ("attribute:ecs.availability-zone", "attribute:ecs.instance-type", "instanceId")
        service["strategy"] = [f"spread:{key}" for key in rng.permutation(keys).tolist()]
    if rules:
        service["constraints"] = rules
    return service | {"desired_count": count}, _definition(name, container)


def _definition(family: str, container: Mapping[str, Any]) -> dict[str, Any]:
    main = {"name": "main", "image": f"example/{family}:1", **container}
    return {"family": family, "networkMode": "bridge", "containerDefinitions": [main]}


def plain_cp_sat(document: Mapping[str, Any], clock: Clock, seconds: float) -> tuple[bool, int]:
    """The textbook's model of a document: (whether proven, least points found)."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    rows = _rows(document)
    used = [model.new_bool_var("") for _ in rows]
    services = [each for each in document["service"] if "desired_count" in each]
    amounts, needs, cost = [], [], []
    for service in services:
        need, port = _needs(document["task_definitions"][service["task_definition"]])
        here = [_allowed(service, row) for row in rows]
        most = 1 if port or "distinctInstance" in service.get("constraints", ()) else None
        count = service["desired_count"]
        x = [model.new_int_var(0, (most or count) if allowed else 0, "") for allowed in here]
        model.add(sum(x) <= count)
        cost.append(PLACED * (count - sum(x)))
        cost.append(SPREAD * _spread(model, x, rows, here, count))
        amounts.append(x)
        needs.append((need, port))
    for number, row in enumerate(rows):
        for k in range(3):
            load = sum(need[k] * x[number] for (need, _), x in zip(needs, amounts, strict=True))
            model.add(load <= row["room"][k] * used[number])
        for port in (80, 443):
            mine = [x[number] for (_, p), x in zip(needs, amounts, strict=True) if p == port]
            model.add(sum(mine) <= 1)
    model.minimize(sum(cost) + USED * sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = seconds
    begun = clock.now()
    status = solver.solve(model)
    quick = clock.now() - begun <= PLAIN_SECONDS
    return status == cp_model.OPTIMAL and quick, round(solver.objective_value)


def _rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each instance: type, zone, and what the daemon leaves."""
    rows = []
    daemon = DAEMON if "agent" in document["task_definitions"] else (0, 0)
    for group in document["fleet"]:
        cpu, memory, gpus = TYPES[group["instance_type"]]
        room = (cpu - daemon[0], memory - daemon[1], gpus)
        row = {"type": group["instance_type"], "zone": group["zones"][0], "room": room}
        rows += [row] * group["count"]
    return rows


def _needs(definition: Mapping[str, Any]) -> tuple[tuple[int, int, int], int | None]:
    (main,) = definition["containerDefinitions"]
    gpus = sum(int(each["value"]) for each in main.get("resourceRequirements", ()))
    ports = [each["hostPort"] for each in main.get("portMappings", ())]
    return (main["cpu"], main["memory"], gpus), ports[0] if ports else None


def _allowed(service: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    text = " ".join(service.get("constraints", ()))
    zone = "availability-zone" not in text or row["zone"] == "a"
    return zone and ("instance-type" not in text or row["type"] == "large")


def _spread(model: Any, x: list[Any], rows: list[dict[str, Any]], here: list[bool], n: int) -> Any:
    """Tasks in the fullest zone that is open to the service above those in the emptiest."""
    high, low = model.new_int_var(0, n, ""), model.new_int_var(0, n, "")
    for zone in sorted({row["zone"] for row, allowed in zip(rows, here, strict=True) if allowed}):
        held = sum(amount for amount, row in zip(x, rows, strict=True) if row["zone"] == zone)
        model.add(high >= held)
        model.add(low <= held)
    return high - low


def placement_rows(clock: Clock, seconds: float, seeds: int = SEEDS) -> Iterator[Row | str]:
    """Of each kind: what plain CP-SAT proves in a second and the optimizer does not."""
    wrong = 0
    for kind in KINDS:
        both, later, longest = 0, [], 0.0
        for seed in range(seeds):
            yield f"placement: {kind}, seed {seed} ..."
            document = mixed(seed, kind)
            proven, points = plain_cp_sat(document, clock, min(seconds, PLAIN_SECONDS))
            bought = check_scenario(document).scenario
            calls = list(arrivals(bought, next(bought.runs())))
            answer = optimize(bought, calls, "placement", Limits(seconds, clock=clock.now))
            if not proven:
                continue
            both += 1
            longest = max(longest, answer.seconds)
            wrong += answer.status == "optimal" and answer.objective != points
            if answer.status != "optimal" or answer.seconds > PLAIN_SECONDS:
                later.append(f"seed {seed}: {answer.status}, {answer.seconds:.1f} s")
        case = f"placement: {kind}, not proven in a second"
        against = "; ".join(later) or f"longest {longest:.2f} s"
        yield at_most(case, len(later), f"of {both} that plain CP-SAT proves", 0, against)
    yield at_most("  optima that differ from CP-SAT's", wrong, "", 0)
