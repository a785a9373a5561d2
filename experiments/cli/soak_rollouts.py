"""How deployments go on in the worlds of `stowplan soak`: strategies, hooks, alarms, set bounds."""

from __future__ import annotations

from typing import Any

from numpy.random import Generator

from stowplan.placement.messages import STAGES
from stowplan.placement.messages.rollouts import UNHOOKED, UNPAUSED

_HOOKED = [stage for stage in STAGES if stage not in UNHOOKED]


def add_rollouts(rng: Generator, table: dict[str, Any], until_s: int, faults: str) -> None:
    """Some services shift traffic, and some rolling ones have alarms or succeed early.

    Args:
        table: of a scenario, to be changed.
        until_s: alarms come before.
        faults: the name of the faults that they are among.
    """
    for service in table["service"]:
        if service.get("scheduling_strategy") == "DAEMON":
            continue
        if "autoscaling" in service and rng.random() < 0.4:
            service["autoscaling"]["scheduled"] = [
                {"at": at_s, "min_capacity": int(rng.integers(0, 8)), "max_capacity": 20}
                for at_s in sorted(rng.integers(0, until_s, size=2).tolist())
            ]
        if rng.random() < 0.35:
            service.pop("circuit_breaker", None)
            service["deployment"] = _shift(rng)
        elif rng.random() < 0.25:
            name = f"errors-{service['name']}"
            bake_s = int(rng.integers(0, 240))
            service["alarms"] = {
                "names": [name],
                "rollback": bool(rng.random() < 0.7),
                "bake_time": bake_s,
            }
            for at_s in rng.integers(0, until_s, size=int(rng.integers(0, 4))).tolist():
                until = at_s + int(rng.integers(1, 300))
                alarm = {"kind": "alarm", "alarm": name, "at": at_s, "until": until}
                table["faults"][faults].append(alarm)
        elif rng.random() < 0.25:
            least = service.get("minimum_healthy_percent", 100)
            service["early_success"] = {
                "healthy_percent": int(rng.integers(least, 101)),
                "cleanup": str(rng.choice(["BLOCKING", "DEFERRED"])),
            }


def _shift(rng: Generator) -> dict[str, Any]:
    return {
        "strategy": str(rng.choice(["BLUE_GREEN", "LINEAR", "CANARY"])),
        "bake_time": int(rng.choice([0, 60, 300, 900])),
        "step_percent": float(rng.choice([10.0, 25.0, 33.3, 60.0])),
        "step_bake_time": int(rng.choice([0, 30, 120])),
        "canary_percent": float(rng.choice([0.1, 5.0, 50.0, 100.0])),
        "canary_bake_time": int(rng.choice([0, 60, 600])),
        "service_connect": bool(rng.random() < 0.4),
        "hook": [_hook(rng) for _ in range(rng.integers(0, 3))],
    }


def _hook(rng: Generator) -> dict[str, Any]:
    pause = rng.random() < 0.3
    stages = [each for each in _HOOKED if not (pause and each in UNPAUSED)]
    chosen = rng.permutation(stages)[: int(rng.integers(1, 3))].tolist()
    return {
        "stages": chosen,
        "target": "PAUSE" if pause else "AWS_LAMBDA",
        "takes": int(rng.choice([0, 20, 300])),
        "fails": bool(rng.random() < 0.2),
        "timeout": int(rng.choice([60, 600])),
        "timeout_action": str(rng.choice(["ROLLBACK", "CONTINUE"])),
    }
