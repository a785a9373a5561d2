"""`stowplan calibrate`: measures engines, and writes the models that a scenario then names."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from stowplan.experiments.calibration.calibration import Call, Level, calibration
from stowplan.experiments.calibration.measure import Bench, levels
from stowplan.experiments.loading.engines_file import load_engines
from stowplan.placement.errors import SpecError
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.workers import CALLERS

# The levels take turns, so that a machine that gets busier slows all of them alike.
_TURNS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan calibrate`."""
    parser.add_argument("--engines", type=Path, help="TOML file; default: the local engine alone")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="to write")
    parser.add_argument("--image", default="busybox", help="with a `sh` and a `sleep`")
    parser.add_argument("--samples", type=int, default=24, help="of each step at each level")
    parser.add_argument(
        "--pull",
        action="append",
        default=[],
        metavar="IMAGE",
        help="also pull it, and remove it each time; best of several sizes",
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Measure, fit, write, and say what was found."""
    if arguments.samples < 2 * _TURNS:
        raise SpecError([("--samples", f"at least {2 * _TURNS}")])
    engines = load_engines(arguments.engines)
    content = measure(engines, arguments.image, arguments.samples, tuple(arguments.pull))
    try:
        arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SpecError([(f"--out {arguments.out}", error.strerror or str(error))]) from error
    _show(content)
    print(f'written: {arguments.out}; name it in a scenario: [models] calibration = "..."')
    return 0


def measure(
    engines: EnginesTable, image: str, samples: int, pull: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The content of a calibration file, measured on these engines now."""
    bench = Bench(engines, image)
    calls: defaultdict[tuple[str, int, int], list[Call]] = defaultdict(list)
    try:
        bench.prepare(image, pull)
        bench.lives(len(engines.engine), 1, 1)  # the first is slow
        for turn in range(_TURNS):
            for count, at_once in levels(len(engines.engine)):
                print(f"turn {turn + 1} of {_TURNS}: {count} x {at_once}", file=sys.stderr)
                for level in bench.lives(count, at_once, max(at_once, samples // (_TURNS * count))):
                    calls[level.step, count, at_once] += level.calls
        pulled = [bench.pulls(name, max(3, samples // 4)) for name in pull]
    finally:
        bench.clear()
    found = [Level(*key, tuple(made)) for key, made in calls.items()]
    about = {"engines": [each.name or each.url for each in engines.engine], "image": image}
    return calibration(found, pulled, CALLERS, about)


def _show(content: dict[str, Any]) -> None:
    print(f"{'step':8} engines x calls    n    p50 s    p95 s  modelled p50  KS p")
    for row in content["fits"]:
        level = f"{row['engines']} x {row['at_once']}"
        times = f"{row['p50_s']:8.3f} {row['p95_s']:8.3f}"
        modelled = f"{row['modelled_p50_s']:12.3f}"
        print(f"{row['step']:8} {level:15} {row['n']:4} {times}  {modelled}  {row['p']:.3f}")
    for row in content["pull_fits"]:
        print(f"pull {row['image']} ({row['mib']:.1f} MiB): p50 {row['p50_s']:.3f} s, n {row['n']}")
    models = content["models"]
    shared = "shared by all engines" if models["servers_shared"] else "of each engine"
    print(", ".join(f"{step} {_text(models[step])}" for step in ("create", "start", "stop")))
    print(f"servers {models['servers']}, {shared}")


def _text(model: dict[str, Any]) -> str:
    if model["distribution"] == "empirical":
        return f"from {len(model['samples'])} samples"
    return f"lognormal {model['median']} sigma {model['sigma']}"
