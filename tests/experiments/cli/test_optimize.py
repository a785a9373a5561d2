"""`stowplan optimize --bpp`: proven answers from files, and one error for a bad one."""

import json
import signal
from contextlib import nullcontext

import numpy as np
import pytest

from stowplan.experiments.cli import packing_solved
from stowplan.experiments.cli.interrupt import Interruptible
from stowplan.experiments.cli.main import main

SIZES = [7, 6, 5, 5, 4, 3, 3, 2, 2, 2, 1]


def solved(path, capsys):
    assert main(["optimize", "--bpp", str(path), "--time-limit", "20", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_file_of_sizes_gets_a_packing_that_holds_every_item_once(tmp_path, capsys):
    file = tmp_path / "small.txt"
    file.write_text("\n".join(map(str, [len(SIZES), 10, *SIZES])))

    found = solved(file, capsys)

    assert (found["goal"], found["unit"], found["status"]) == ("bins", "bins", "optimal")
    assert found["objective"] == found["lower_bound"] == sum(SIZES) // 10
    assert found["gap"] == 0
    assert found["plan"]["packing"] == found["packing"]
    packed = np.zeros(len(SIZES), int)
    for bins in found["packing"]:
        load = sum(SIZES[int(kind)] * n for kind, n in bins["items"].items())
        assert load <= 10
        for kind, n in bins["items"].items():
            packed[int(kind)] += n * bins["copies"]
    assert (packed == 1).all()


def test_two_dimensions_are_read_from_vbp(tmp_path, capsys):
    file = tmp_path / "two.vbp"
    file.write_text("2\n10 10\n3\n6 1 4\n1 6 4\n5 5 1\n")

    # Four pairs of (6, 1) and (1, 6) fill 7 of 10 in both; the fifth bin holds (5, 5).
    assert solved(file, capsys)["bins"] == 5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "3\n10\n1\nx\n2\n"),
        ("b.txt", "3\n10\n1\n"),
        ("c.vbp", "2\n10\n"),
        ("d.txt", f"1\n{10**20}\n1\n"),
    ],
)
def test_a_bad_file_is_one_error_with_its_place(name, text, tmp_path, capsys):
    (tmp_path / name).write_text(text)

    assert main(["optimize", "--bpp", str(tmp_path / name)]) == 2
    assert f"{name}: line " in capsys.readouterr().err


def test_an_item_that_fits_no_bin_is_named(tmp_path, capsys):
    (tmp_path / "big.txt").write_text("2\n10\n11\n3\n")

    found = solved(tmp_path / "big.txt", capsys)

    assert found["status"] == "infeasible"
    assert found["unplaceable"] == [0]


def test_windows_files_are_read_too(tmp_path, capsys):
    (tmp_path / "a.VBP").write_bytes(b"\xef\xbb\xbf1\r\n10\r\n1\r\n5 4\r\n")

    assert solved(tmp_path / "a.VBP", capsys)["bins"] == 2


def test_a_file_that_is_no_text_is_an_error(tmp_path, capsys):
    (tmp_path / "noise.bpp").write_bytes(b"\xff\xfe\x00")

    assert main(["optimize", "--bpp", str(tmp_path / "noise.bpp")]) == 2
    assert "noise.bpp: not a text file" in capsys.readouterr().err


def test_the_folder_of_a_packing_holds_answer_plan_and_plot(tmp_path, capsys):
    (tmp_path / "pairs.txt").write_text("4\n10\n6\n6\n4\n4\n")

    arguments = ["--bpp", str(tmp_path / "pairs.txt"), "--out", str(tmp_path / "out")]
    assert main(["optimize", *arguments]) == 0

    assert "optimal: 2 bins, at least 2 needed (proven least)" in capsys.readouterr().out
    answer = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert (answer["bins"], answer["log"][-1][1:]) == (2, [2, 2])
    assert (tmp_path / "out" / "plan.txt").read_text().count("item") == 4
    assert "<svg" in (tmp_path / "out" / "progress.svg").read_text()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--goal", "fleet"], "--goal: is for scenarios"),
        (["--layout", "x"], "--layout: is for scenarios"),
        (["--seed", "-1"], "whole number >= 0"),
        (["--work", "nan"], "a number from 0"),
    ],
)
def test_options_without_effect_are_errors(option, said, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("1\n10\n1\n")
    try:
        code = main(["optimize", "--bpp", str(tmp_path / "a.txt"), *option])
    except SystemExit as end:  # argparse's way
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_ctrl_c_prints_the_best_so_far_with_its_gap(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(7)
    rows = [" ".join(map(str, [*rng.integers(50, 400, 4), 3])) for _ in range(40)]
    (tmp_path / "hard.vbp").write_text("\n".join(["4", "1000 1000 1000 1000", "40", *rows]))
    stop = nullcontext(lambda *_: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(packing_solved, "_progress", lambda: stop)

    found = solved(tmp_path / "hard.vbp", capsys)

    assert (found["status"], found["interrupted"]) == ("feasible", True)
    assert found["bins"] > found["lower_bound"] > 0
    assert sum(b["copies"] * sum(b["items"].values()) for b in found["packing"]) == 120


def test_ctrl_c_is_heard_at_the_next_look_at_the_clock_once():
    with Interruptible() as interruptible:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruptible.clock()
        assert interruptible.clock() <= interruptible.clock()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_items_by_the_hundred_thousand_are_quick_and_too_many_are_an_error(tmp_path, capsys):
    (tmp_path / "many.vbp").write_text("2\n10 10\n2\n5 4 200000\n3 3 1\n")
    found = solved(tmp_path / "many.vbp", capsys)
    assert (found["bins"], found["lower_bound"]) == (100_001, 100_001)
    assert found["seconds"] < 15

    (tmp_path / "many.vbp").write_text("2\n10 10\n2\n5 4 1000000000\n3 3 1\n")
    assert main(["optimize", "--bpp", str(tmp_path / "many.vbp")]) == 2
    assert "500,000,001 bins of 2 kinds are too many" in capsys.readouterr().err


def test_bars_to_be_cut_are_read_with_their_counts(tmp_path, capsys):
    """Wikipedia's example of cutting stock: 13 widths of paper, of rolls of 5600 mm."""
    widths = [1380, 1520, 1560, 1710, 1820, 1880, 1930, 2000, 2050, 2100, 2140, 2150, 2200]
    counts = [22, 25, 12, 14, 18, 18, 20, 10, 12, 14, 16, 18, 20]
    lines = [f"{width} {count}" for width, count in zip(widths, counts, strict=True)]
    (tmp_path / "rolls.txt").write_text("\n".join(["13", "5600", *lines]))
    found = solved(tmp_path / "rolls.txt", capsys)
    assert (found["status"], found["bins"], found["lower_bound"]) == ("optimal", 73, 73)


def test_jobs_of_temporal_bin_packing_are_read_and_proven(tmp_path, capsys):
    file = tmp_path / "jobs.txt"
    # The jobs of 6 cannot share; the one of 4 is held by the server that is busy longest anyway.
    file.write_text("3 10 0 0\n0 0 8 6\n1 2 5 6\n2 1 9 4\n")
    assert main(["optimize", "--tbpp", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["goal"], found["unit"], found["status"]) == ("hours", "server time", "optimal")
    assert found["objective"] == found["lower_bound"] == 9 + 3
    where = found["plan"]["tasks"]["instance"]
    assert where[0] == where[2] != where[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: number of jobs and capacity"),
        ("2 10\n0 0 5 1\n", "file ends after 1 of 2 jobs"),
        ("1 10\n0 5 3 1\n", "line 2: the job ends at 3, before it starts at 5"),
        ("1 10\n0 5 9\n", "line 2: 4 numbers expected"),
    ],
)
def test_a_file_of_jobs_that_is_wrong_is_refused_with_its_line(tmp_path, capsys, text, said):
    (tmp_path / "jobs.txt").write_text(text)
    assert main(["optimize", "--tbpp", str(tmp_path / "jobs.txt")]) == 2
    assert said in capsys.readouterr().err
