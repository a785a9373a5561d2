"""Results that no simulation made: small, quick, and with known numbers."""

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.availability import UpTime
from stowplan.experiments.record.leftovers import Leftover
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.records import InstanceRecord
from stowplan.experiments.record.result import RunResult
from stowplan.placement.scenario.scenario import Run

SMALL = SCENARIOS / "small.toml"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def scenario(**changes):
    """The scenario `small` with some fields changed."""
    return load_scenario(SMALL).scenario.model_copy(update=changes)


def instance(number, *, until_ms=120_000):
    return InstanceRecord(
        name=f"i-{number:03d}",
        zone=ZONES[number % 3],
        type="m5.xlarge",
        cpu=4096,
        memory=16_384,
        price_microusd_hour=192_000,
        since_ms=0,
        until_ms=until_ms,
        ever_used=number < 2,
        busy_ms=60_000,
    )


def result(strategy="binpack", layout="shared", faults="none", **metrics):
    """A run of two minutes on three instances; the last is gone after the first minute."""
    lost = faults != "none"
    row = {name: float(7 + i) for i, name in enumerate(METRICS)}
    row |= {
        "simulated_s": 120.0,
        "instances_mean": 12.0,
        "submitted": 10.0,
        "service_asked": 5.0,
        "lost": 3.0 * lost,
        "deployments_failed": 0.0,
        "services_back_s": 0.5 if lost else None,
    }
    row |= {"refusals_by_reason": '{"RESOURCE:CPU": 2, "RESOURCE:MEMORY": 40}'} | metrics
    samples = [
        # ms, cpu, memory, both used, present, busy, running, pending, waiting, started, finished,
        # of services: wanted, running, believed
        (0, 12_288, 49_152, 0, 0, 3, 0, 0, 0, 0, 0, 0, 3, 0, 0),
        (60_000, 12_288, 49_152, 3072, 24_576, 3, 2, 4, 0, 5, 4, 0, 3, 2, 3),
        (120_000, 0, 0, 0, 0, 0, 0, 0, 0, 2, 8, 8, 3, 3, 3),
    ]
    frames = [(0, [0, 0, 0]), (60_000, [100, 25, 0]), (120_000, [50, 25, 255])]
    return RunResult(
        Run(strategy, layout, faults),
        row,
        samples,
        frames,
        [instance(n) for n in range(3)],
        [(250, 5), (10_000, 3)],
        service_waits=[(500, 3), (20_000, 1)],
        starts=[(250, 8)],
        leftovers=[Leftover(60_000, "CPU", 12_288, 3072, 0, 1024, 2048)],
        services={("web", ""): UpTime(0, 120_000, 3, 3, 3, 60_000, 90_000, 0, 90_000, 120_000)},
        migrations={"web": 2},
    )


def results():
    """Two strategies, two layouts, with and without faults."""
    return [
        result(strategy, layout, faults, instances_busy_mean=busy, wait_p99_s=wait)
        for layout, wait in (("shared", 10.0), ("separate", 90.0))
        for faults in ("none", "zone-loss")
        for strategy, busy in (("spread", 11.5), ("binpack", 4.25))
    ]
