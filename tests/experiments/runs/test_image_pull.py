"""The scenario on image pulls: what piling up costs, what the pull adds, what cures it."""

from __future__ import annotations

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import simulate

SCENARIO = SCENARIOS / "image_pull.toml"
PULL_S = 0.21 + 0.0122 * 800  # of the layers that no other image of the instance brings


def test_spread_and_cached_images_cure_what_piling_up_and_pulls_make():
    loaded = load_scenario(SCENARIO)
    found = {run.id: simulate(loaded, run).metrics for run in loaded.scenario.runs()}
    whole = {name: row["services_back_heard_s"] for name, row in found.items()}
    lost = {name: row["lost"] for name, row in found.items()}
    assert lost["piled-up__plain__lost"] == 6, "all replicas of the service"
    assert lost["spread__plain__lost"] == 1
    assert whole["piled-up__plain__lost"] > PULL_S
    assert whole["piled-up__plain__lost-and-no-registry"] > 5 * 60 - 60
    # Agents that ask a registry first do so for 28 s, for each of two images, before a copy does.
    asks = "spread__plain__lost-and-no-registry"
    assert 2 * 28 < whole[asks] < 2 * 28 + 2
    cured = [
        name for name in whole if name != asks and (name.startswith("spread") or "warm" in name)
    ]
    assert len(cured) == 5
    assert all(whole[name] < 2 for name in cured), "two containers start, of 0.66 s each"
