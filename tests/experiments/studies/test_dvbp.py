"""The policies of dynamic vector bin packing: choices known by hand, and the published figures."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.studies.dvbp import azure, on_engine
from stowplan.experiments.studies.dvbp.bound import by_moments, loads, naive, needed, packed
from stowplan.experiments.studies.dvbp.categories import _raised
from stowplan.experiments.studies.dvbp.command import parse_policies, replays
from stowplan.experiments.studies.dvbp.moments import measure, moments
from stowplan.experiments.studies.dvbp.predictions import normals
from stowplan.experiments.studies.dvbp.replay import BLIND, POLICIES, PUBLISHED, Offered, offer
from stowplan.experiments.studies.dvbp.trace import Trace, made

NAIVE = 724.86


def trace_of(*vms: tuple[tuple[float, float], float, float]) -> Trace:
    """VMs as ((core, memory), start, end)."""
    rows = [(i, i, start, end) for i, (_, start, end) in enumerate(vms)]
    return made(rows, {i: np.array([*size, 0, 0, 0]) for i, (size, _, _) in enumerate(vms)})


def servers(policy: str, trace: Trace) -> list[int]:
    return PUBLISHED[policy](offer(trace, 0, 0)).tolist()


@pytest.fixture(scope="module")
def whole() -> Trace:
    vms, sizes = azure.rows()
    shares = {
        n: np.array([*map(float, azure.shares(size)), 0, 0, 0]) for n, size in enumerate(sizes)
    }
    return made([(vm, kind, float(at), float(to)) for vm, _, kind, _, at, to in vms], shares)


def first(trace: Trace, count: int) -> Trace:
    rows = [
        (i, int(trace.kind[i]), float(trace.start[i]), float(trace.end[i])) for i in range(count)
    ]
    return made(rows, dict(enumerate(trace.sizes)))


# --- by hand --------------------------------------------------------------------------------------

CUBES = (0.55, 0.6, 0.5, 0.3, 0.1, 0.05)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("first_fit", [0, 0, 0]),
        ("best_fit_l1", [1, 1, 0]),
        ("best_fit_l2", [1, 1, 0]),
        ("best_fit_linf", [1, 1, 0]),
        ("worst_fit_l1", [2, 0, 1]),
        ("worst_fit_l2", [2, 0, 1]),
        ("worst_fit_linf", [2, 0, 1]),
        ("mru", [2, 2, 2]),
        ("lru", [0, 1, 2]),
        ("next_fit", [2, 2, 2]),
        ("rr_next_fit", [2, 2, 2]),
    ],
)
def test_what_knows_no_lifetimes_goes_by_size_or_use(policy, expected):
    trace = trace_of(*(((size, size), 0, 1) for size in CUBES))
    assert servers(policy, trace) == [0, 1, 2, *expected]


@pytest.mark.parametrize(("policy", "expected"), [("next_fit", 3), ("rr_next_fit", 0)])
def test_next_fit_opens_a_server_where_the_round_goes_on(policy, expected):
    trace = trace_of(*(((size, size), 0, 1) for size in (*CUBES, 0.3)))
    assert servers(policy, trace)[-1] == expected


def test_next_fit_does_not_count_what_has_left():
    trace = trace_of(((0.6, 0.6), 0, 1), ((0.3, 0.3), 0, 3), ((0.6, 0.6), 2, 3))
    assert servers("next_fit", trace) == [0, 0, 1]
    assert servers("rr_next_fit", trace) == [0, 0, 0]


@pytest.mark.parametrize(("norm", "best", "worst"), [("l1", 0, 1), ("l2", 1, 0), ("linf", 1, 0)])
def test_norms_differ(norm, best, worst):
    trace = trace_of(((0.7, 0.1), 0, 1), ((0.35, 0.4), 0, 1), ((0.1, 0.1), 0, 1))
    assert servers(f"best_fit_{norm}", trace)[-1] == best
    assert servers(f"worst_fit_{norm}", trace)[-1] == worst


def test_worst_fit_l1_asks_the_emptiest_alone():
    trace = trace_of(((0.1, 0.6), 0, 1), ((0.7, 0.5), 0, 1), ((0.1, 0.45), 0, 1))
    assert servers("worst_fit_l1", trace) == [0, 1, 2]
    assert servers("worst_fit_l2", trace) == [0, 1, 1]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("greedy", 0),
        ("nrt_crt", 2),
        ("nrt_best_crt", 1),
        ("lifetime_alignment_log", 1),
        ("lifetime_alignment_binary", 0),
    ],
)
def test_what_orders_servers_by_their_ends(policy, expected):
    ends = [((0.6, 0.6), 0, 10), ((0.5, 0.5), 0, 4), ((0.55, 0.55), 0, 7)]
    assert servers(policy, trace_of(*ends, ((0.3, 0.3), 0, 5))) == [0, 1, 2, expected]


@pytest.mark.parametrize("policy", ["lifetime_alignment_log", "lifetime_alignment_binary"])
def test_what_is_short_goes_to_the_best_fit(policy):
    """Under a second, and under two hours."""
    lasts = 0.5 / 86400 if policy.endswith("log") else 0.05
    ends = [((0.5, 0.5), 0, 0.06), ((0.6, 0.6), 0, 10)]
    assert servers(policy, trace_of(*ends, ((0.3, 0.3), 0, lasts)))[-1] == 1


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("classify_by_duration", [0, 1, 0]), ("classify_by_departure", [0, 1, 2])],
)
def test_classes_have_servers_of_their_own(policy, expected):
    small = (0.1, 0.1)
    assert servers(policy, trace_of((small, 0, 1.5), (small, 0, 3), (small, 0.9, 2.1))) == expected


@pytest.mark.parametrize(
    ("policy", "third"),
    [
        ("reduced_hybrid", 0),
        ("reduced_hybrid_direct_sum", 0),
        ("hybrid", 1),
        ("hybrid_direct_sum", 1),
    ],
)
def test_hybrids_put_a_small_class_in_common(policy, third):
    """A day is 2^16.4 s, its level 16 + 16 + 3: 1 / (2 sqrt 35) = 0.0845 may be in common."""
    trace = trace_of(*(((size, size / 5), 0, 1) for size in (0.05, 0.05, 0.02)))
    assert servers(policy, trace) == [0, 1, third]


@pytest.mark.parametrize("policy", ["hybrid", "reduced_hybrid"])
def test_direct_sums_count_each_resource_apart(policy):
    trace = trace_of(((0.08, 0.01), 0, 1), ((0.01, 0.08), 0, 1))
    assert servers(policy, trace) == [0, 1]
    assert servers(f"{policy}_direct_sum", trace) == [0, 0]


@pytest.mark.parametrize("policy", ["rcp", "rcp_no_large", "ppe", "ppe_no_large"])
def test_categories_fill_common_servers_then_the_base_then_their_own(policy):
    trace = trace_of(*(((0.5, 0.5), 0, 1) for _ in range(5)))
    assert servers(policy, trace) == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(("policy", "second"), [("rcp", 1), ("rcp_no_large", 0)])
def test_large_vms_have_servers_of_their_own(policy, second):
    trace = trace_of(((0.6, 0.6), 0, 1), ((0.3, 0.3), 0, 1))
    assert servers(policy, trace) == [0, second]


def test_ppe_raises_its_limit_to_the_power_of_two_below():
    raised = getattr(_raised, "py_func", _raised)  # it is part of a kernel, and has no call
    assert [raised(1.0, ratio) for ratio in (0.3, 1.0, 1.9, 2.0, 5.0)] == [1, 1, 1, 2, 4]


def test_a_server_is_counted_while_it_holds_something():
    trace = trace_of(((0.6, 0.6), 0, 2), ((0.6, 0.6), 1, 4), ((0.6, 0.6), 2, 3))
    offered = offer(trace, 0, 0)
    assert measure(trace, offered.events, np.array([0, 1, 0])) == (6.0, 2)
    assert moments(trace).tolist() == [0, 1, ~0, 2, ~2, ~1]  # ends before starts


# --- predictions ----------------------------------------------------------------------------------


def test_draws_are_those_of_the_published_program():
    """exp of the numbers, as libstdc++'s lognormal_distribution draws them from mt19937(0)."""
    expected = [3.0734322713298967, 1.353650779683029, 1.0734301167221567, 1.0757750752902402]
    assert np.exp(normals(0, 4)).tolist() == pytest.approx(expected, rel=1e-15)
    assert normals(7, 1000)[:10].tolist() == normals(7, 10).tolist()
    assert abs(normals(3, 100_000).std() - 1) < 0.01


def test_errors_have_a_median_of_one_and_their_sigma(whole):
    offered = offer(whole, 2.0, 5)
    error = np.log(offered.lifetime / (whole.end - whole.start))
    assert abs(np.median(error)) < 0.02
    assert abs(error.std() - 2) < 0.02
    assert np.array_equal(offer(whole, 0, 5).end, whole.end)


# --- against what is published --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "ratio"),
    [
        ("nrt_crt", 1.064),
        ("first_fit", 1.330),
        ("best_fit_l2", 1.350),
        ("next_fit", 5.392),
        ("greedy", 1.269),
        ("lifetime_alignment_log", 1.276),
        ("rcp", 1.186),
        ("lifetime_alignment_binary", 1.341),
    ],
)
def test_the_published_ratios_without_errors(whole, policy, ratio):
    days, _ = measure(whole, moments(whole), PUBLISHED[policy](offer(whole, 0, 0)))
    assert days / NAIVE == pytest.approx(ratio, abs=0.0005)


def test_the_published_draw_with_errors(whole):
    """Their figures are of seed 1, draw for draw."""
    published = {"nrt_crt": 1.347, "greedy": 1.301, "lifetime_alignment_log": 1.385, "rcp": 1.366}
    offered = offer(whole, 1, 1)
    for policy, ratio in published.items():
        days, _ = measure(whole, offered.events, PUBLISHED[policy](offered))
        assert days / NAIVE == pytest.approx(ratio, abs=0.0005), policy


def test_the_naive_bound(whole):
    assert naive(whole) == pytest.approx(NAIVE, abs=0.005)


def test_a_bound_of_single_moments_has_little_to_gain_here(whole):
    """First fit decreasing of each moment is within 2 % of the naive bound."""
    days, load = loads(whole)
    days, load = days[::50], load[::50]
    least = days @ needed(load, whole.sizes)
    assert least <= days @ packed(load, whole.sizes) < 1.02 * least


def least_servers(items, most):
    """The exact number, by trying all."""
    for servers_ in range(1, most + 1):
        for places in product(range(servers_), repeat=len(items)):
            held = np.zeros((servers_, items.shape[1]))
            np.add.at(held, list(places), items)
            if (held <= 1 + 1e-9).all():
                return servers_
    raise AssertionError


def test_the_bound_of_a_moment_is_never_above_the_least_number_and_may_beat_the_naive():
    rng, beaten = np.random.default_rng(3), 0
    for _ in range(30):
        sizes = np.zeros((3, 5))
        sizes[:, :2] = rng.integers(4, 20, (3, 2)) / 20
        load = rng.integers(0, 3, (1, 3))
        load[0, 0] = 1
        items = np.repeat(sizes, load[0], axis=0)
        exact, bound = least_servers(items, len(items)), needed(load, sizes)[0]
        assert np.ceil(items.sum(axis=0).max() - 1e-6) <= bound <= exact
        assert exact <= packed(load, sizes)[0]
        beaten += bound > np.ceil(items.sum(axis=0).max() - 1e-6)
    assert beaten > 2


def test_bounds_of_a_trace():
    """Three VMs of 0.4 and 0.4 need two servers, three of 0.6 need three."""
    three = trace_of(*(((0.6, 0.2), 0, 2) for _ in range(3)))
    assert naive(three) == 4
    assert by_moments(three) == 6


# --- ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "best"), [(0, 1.0637), pytest.param(1, 1.301, marks=pytest.mark.long)]
)
def test_ours_beats_the_best_of_the_published(whole, sigma, best):
    """Best of all 26: nearest remaining time without errors, greedy for this draw."""
    offered = offer(whole, sigma, 1)
    days, _ = measure(whole, offered.events, POLICIES["hedged_nrt"](offered))
    assert days / NAIVE < best


def test_ours_reads_no_end_before_it_has_come(whole):
    """What ends later may end at any other time: the choices before are the same."""
    trace = first(whole, 6_000)
    offered = offer(trace, 1, 0)
    until = float(np.quantile(trace.start, 0.7))
    later = trace.end > until
    other = replace(trace, end=np.where(later, trace.end + 1, trace.end))
    changed = Offered(other, moments(other), offered.lifetime, offered.end)
    ours = POLICIES["hedged_nrt"]
    here = trace.start <= until
    assert later.any()
    assert np.array_equal(ours(offered)[here], ours(changed)[here])
    assert not np.array_equal(ours(offered), ours(changed))


@pytest.mark.long
def test_every_policy_fits_the_engines_books(whole):
    trace = first(whole, 2_000)
    for sigma in (0, 2):
        offered = offer(trace, sigma, 1)
        for name, policy in POLICIES.items():
            server = policy(offered)
            on_engine.book(offered, server)
            assert measure(trace, offered.events, server).machine_days >= naive(trace), name


def test_what_reads_no_predictions_does_not(whole):
    trace = first(whole, 5_000)
    without, with_errors = offer(trace, 0, 0), offer(trace, 2, 3)
    for name, policy in PUBLISHED.items():
        same = np.array_equal(policy(without), policy(with_errors))
        assert same == (name in BLIND), name


# --- stowplan's chains, and the command -----------------------------------------------------------


def test_chains_run_on_the_engine(whole):
    """The engine's first fit opens the lowest empty server again, the published one never does."""
    trace = first(whole, 3_000)
    chains = parse_policies("nilas+first_fit,stowplan:first_fit")
    aligned, plain = (row[3] for row in replays(trace, chains, [0], [0], check=True))
    assert aligned < plain
    vms = trace_of(((0.6, 0.6), 0, 1), ((0.6, 0.6), 0, 3), ((0.6, 0.6), 2, 3))
    chain = on_engine.chain_of("first_fit")
    assert on_engine.run(offer(vms, 0, 0), chain).tolist() == [0, 1, 0]
    assert servers("first_fit", vms) == [0, 1, 2]


FILES = {
    "vm.csv": "vmId,tenantId,vmTypeId,priority,starttime,endtime\n"
    "0,0,0,1,0,1\n1,0,1,1,0.5,2\n2,0,0,1,-1,2\n3,0,0,1,1,\n4,0,7,1,1,2\n",
    "vmType.csv": "id,vmTypeId,machineId,core,memory,hdd,ssd,nic\n"
    "0,0,0,0.6,0.25,,0,0\n1,1,0,0.5,0.5,0,0,0\n2,7,1,0.5,0.5,0,0,0\n",
}


def run_command(tmp_path, *options, files=FILES):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    where = ["--vms", str(tmp_path / "vm.csv"), "--types", str(tmp_path / "vmType.csv")]
    return main(["dvbp", *where, "--out", str(tmp_path / "out.csv"), *options])


def test_the_command_writes_a_row_for_each_run(tmp_path, capsys):
    """What has no end, ran before time 0 or needs other servers is left out, as published."""
    policies = "first_fit,nrt_crt,stowplan:first_fit"
    assert (
        run_command(tmp_path, "--policy", policies, "--sigma", "0,1", "--seed", "0-1", "--book")
        == 0
    )
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert list(rows[0]) == ["policy", "sigma", "seed", "machine_days", "peak"]
    assert len(rows) == 3 * 2 * 2
    assert {(row["machine_days"], row["peak"]) for row in rows} == {("2.5", "2")}
    assert "12 rows; naive bound 2.50" in capsys.readouterr().out


def test_all_that_is_wrong_is_said_at_once(tmp_path, capsys):
    bad = {
        "vm.csv": FILES["vm.csv"] + "4,0,9,1,2,1\n0,0,9,1,1,x\n5,0,9,1,1,2\n0,0,0,1,1,2\n6,0\n",
        "vmType.csv": FILES["vmType.csv"] + "3,3,0,1.5,0,0,0,0\n4,4,0,0,0,0,0,0\n",
    }
    options = ("--policy", "nrt,nilas+x,rcp", "--sigma=-1,x", "--seed", "b")
    assert run_command(tmp_path, *options, files=bad) == 2
    said = capsys.readouterr().err
    for part in (
        "--policy nrt",
        "'x' is no strategy",
        "--sigma -1",
        "--sigma x",
        "--seed b",
        "vmType.csv:5: shares of a server must be from 0 to 1",
        "vmType.csv:6: needs nothing of any resource",
        "vm.csv:7: ends at 1, which is not after its start, 2",
        "vm.csv:8: endtime 'x' is not a number",
        "vm.csv:11: 2 columns",
    ):
        assert part in said, part
    assert (
        run_command(tmp_path, "--policy", "rcp", files={**bad, "vmType.csv": FILES["vmType.csv"]})
        == 2
    )
    said = capsys.readouterr().err
    assert "vm.csv:9: vmTypeId 9 is not in" in said
    assert "vm.csv:10: vmId 0 stands twice" in said


def test_files_that_are_none(tmp_path, capsys):
    assert (
        main(
            [
                *[
                    "dvbp",
                    "--vms",
                    "no.csv",
                    "--types",
                    "none.csv",
                    "--policy",
                    "rcp",
                    "--out",
                    "o.csv",
                ]
            ]
        )
        == 2
    )
    said = capsys.readouterr().err
    assert "no.csv" in said
    assert "none.csv" in said
    assert run_command(tmp_path, "--policy", "rcp", "--machine", "5") == 2
    assert "no type runs on machine 5" in capsys.readouterr().err
