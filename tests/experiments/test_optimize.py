"""`stowplan optimize --bpp`: proven answers from files, and one error for a bad one."""

import json

import numpy as np
import pytest

from experiments.cli import main

SIZES = [7, 6, 5, 5, 4, 3, 3, 2, 2, 2, 1]


def solved(path, capsys):
    assert main(["optimize", "--bpp", str(path), "--time-limit", "20", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_file_of_sizes_gets_a_packing_that_holds_every_item_once(tmp_path, capsys):
    file = tmp_path / "small.txt"
    file.write_text("\n".join(map(str, [len(SIZES), 10, *SIZES])))

    found = solved(file, capsys)

    assert found["status"] == "optimal"
    assert found["bins"] == found["lower_bound"] == sum(SIZES) // 10
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
    ("name", "text"), [("a.txt", "3\n10\n1\nx\n2\n"), ("b.txt", "3\n10\n1\n"), ("c.vbp", "2\n10\n")]
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
