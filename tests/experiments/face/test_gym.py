"""`sp.gym`: the checker, masks, going back, several side by side, and an agent as a strategy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import stowplan as sp
from stowplan._episode import PolicyStrategy, observed
from stowplan._place import state_of
from stowplan.placement.chance import stream
from stowplan.placement.engine.engine import Engine

TASKS = ({"cpu": 512, "memory": 3000, "count": 9}, {"cpu": 1500, "memory": 500, "count": 6})
LIVES = {"rate_per_s": 1.0, "mean_s": 9.0}


def made(**more):
    pytest.importorskip("gymnasium", reason="needs the extra gym")
    rows = [*TASKS, {"cpu": 64, "memory": 64, "count": 3, "constraints": "distinctInstance"}]
    return sp.gym(sp.tasks(rows), sp.cluster({"m5.large": 3, "c5.xlarge": 2}), **more)


def test_gymnasium_finds_nothing_wrong_with_it(recwarn):
    env = made()
    from gymnasium.utils.env_checker import check_env

    for each in (env, made(**LIVES)):
        check_env(each, skip_render_check=True)
    said = [str(warning.message) for warning in recwarn if "gymnasium" in str(warning.category)]
    assert not [text for text in said if "spec" not in text], said


@pytest.mark.parametrize("lives", [{}, LIVES], ids=["stay", "end"])
def test_masks_are_what_the_engine_allows(lives):
    env = made(**lives)
    observation, info = env.reset(seed=3)
    rng, done, refused = np.random.default_rng(0), False, 0
    while not done:
        live, kinds = env._live, env._batch.kinds
        task = kinds[live.index[live.position]]
        engine = Engine(live.cluster, rng, kernels=False)
        assert (env.action_masks() == engine.allowed(task)).all()
        assert np.array_equal(observation, observed(live.cluster, task))
        assert observation in env.observation_space
        live.cluster.check()
        action = int(rng.choice(np.flatnonzero(info["action_mask"])))
        observation, _, done, _, info = env.step(action)
        assert info["refused"] >= refused
        refused = info["refused"]
    assert not info["action_mask"].any()
    assert info["refused"] > 0 or lives


def test_a_task_opens_an_instance_and_one_without_room_costs():
    env = made(refusal=7.0)
    _, info = env.reset(seed=1)
    row = int(info["action_mask"].argmax())
    assert env.step(row)[1] == -1
    while env.action_masks()[row]:
        assert env.step(row)[1] == 0
    _, reward, _, _, info = env.step(row)
    assert (reward, info["refused"]) == (-7, 1)


def test_the_time_that_instances_are_busy_is_the_cost():
    env = made(**LIVES)
    _, info = env.reset(seed=5)
    total, busy, at_s, done = 0.0, 0, 0.0, False
    while not done:
        _, reward, done, _, info = env.step(int(info["action_mask"].argmax()))
        total += reward
        at_s = env._live.now_s
        busy = max(busy, info["busy"])
    assert 0 < -total - 10 * info["refused"] <= busy * at_s / LIVES["mean_s"] + 1e-9


@pytest.mark.parametrize("lives", [{}, LIVES], ids=["stay", "end"])
def test_a_snapshot_goes_on_the_same_way_as_often_as_wanted(lives):
    env = made(**lives)
    _, info = env.reset(seed=2)
    for _ in range(5):
        *_, info = env.step(int(info["action_mask"].argmax()))
    kept, masks = env.snapshot(), env.action_masks()

    def rest():
        mask, seen, done = masks, [], False
        while not done:
            observation, reward, done, _, info = env.step(len(mask) - 1 - int(mask[::-1].argmax()))
            seen.append((observation.tolist(), reward, info["busy"]))
            mask = info["action_mask"]
        return seen

    first = rest()
    for _ in range(2):
        env.restore(kept)
        assert rest() == first


def test_several_side_by_side_are_each_as_alone():
    vector, env = made(envs=3), made()
    observations, infos = vector.reset(seed=4)
    alone, info = env.reset(seed=5)
    assert observations.shape == (3, *alone.shape)
    assert np.array_equal(observations[1], alone)
    assert np.array_equal(infos["action_mask"][1], info["action_mask"])
    actions = infos["action_mask"].argmax(axis=1)
    _, rewards, *_ = vector.step(actions)
    assert rewards[1] == env.step(actions[1])[1]


def tightest(observation, mask):
    """Least memory left."""
    return -observation[:, 1]


def test_a_policy_is_a_strategy():
    rows, where = sp.tasks(TASKS), sp.cluster({"m5.large": 30})
    ours = sp.place(rows, where, PolicyStrategy(tightest))
    theirs = sp.place(rows, where, "binpack:memory")
    assert (ours.placements["instance"] == theirs.placements["instance"]).all()
    sp.register("strategy", "trained", PolicyStrategy(tightest))
    assert (sp.place(rows, where, "trained").placements["instance"] ==
            theirs.placements["instance"]).all()  # fmt: skip


def test_the_agent_sees_as_a_strategy_what_it_saw_as_an_agent():
    state, seen = state_of(sp.cluster({"m5.large": 2})), []
    (kind, _), rng = sp.tasks(TASKS).batch.kinds, stream(0, "x")

    def policy(observation, mask):
        seen.append((observation, mask))
        return np.zeros(len(mask))

    keys = PolicyStrategy(policy).keys(kind, state, np.array([1]), rng)
    assert keys.tolist() == [0]
    assert np.array_equal(seen[0][0], observed(state, kind))
    assert seen[0][1].tolist() == [False, True]


def test_what_makes_no_sense_is_said_at_once():
    pytest.importorskip("gymnasium", reason="needs the extra gym")
    with pytest.raises(sp.SpecError, match=r"rate_per_s: .*above 0[\s\S]*expected both or none"):
        made(rate_per_s=-1.0)
    with pytest.raises(sp.SpecError, match="envs: expected at least 1"):
        made(envs=0)


def test_without_its_extra_it_says_what_is_missing():
    run = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "import stowplan as sp\n"
        "try: sp.gym(sp.tasks(cpu=1, count=1), sp.cluster({'m5.large': 1}))\n"
        "except sp.SpecError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True)
    assert "pip install 'stowplan[gym]'" in said.stdout
