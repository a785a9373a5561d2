"""Own prices by a file: what it may hold, and what they change."""

import json

import pytest
import tomlkit

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.loading.prices_file import read_prices
from stowplan.placement.errors import SpecError
from tests.experiments.scenarios import sound


def scenario(folder, **more):
    (folder / "s.toml").write_text(tomlkit.dumps({**sound(), **more}))
    return folder / "s.toml"


def test_a_price_is_read_to_the_millionth_and_other_columns_are_passed_over(tmp_path):
    (tmp_path / "p.csv").write_text(
        "\ufeff# ours, 2026\nregion,instance_type,usd_per_hour\neu, m5.large ,0.060512\n"
    )
    assert read_prices(tmp_path / "p.csv") == {"m5.large": 60_512}


def test_every_line_that_is_wrong_is_named(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("instance_type,usd_per_hour\nm5.large,0.1\nm5.large,0.2\n,1\na,-1\nb,dear\nc\n")
    with pytest.raises(SpecError) as raised:
        read_prices(file)
    places = [place.removeprefix(f"{file}: ") for place, _ in raised.value.problems]
    assert places == [
        "row 3: instance_type",
        "row 4: instance_type",
        "row 5: usd_per_hour",
        "row 6: usd_per_hour",
        "row 7: usd_per_hour",
    ]


def test_a_file_without_its_columns_says_which(tmp_path):
    (tmp_path / "p.csv").write_text("type,price\nm5.large,1\n")
    with pytest.raises(SpecError, match="lacks instance_type, usd_per_hour"):
        read_prices(tmp_path / "p.csv")


def test_a_scenario_counts_by_its_own_prices_and_says_which_types_have_none(folder):
    (folder / "p.csv").write_text("instance_type,usd_per_hour\nm5.large,0.05\nnever.heard,1\n")
    loaded = load_scenario(scenario(folder, prices="p.csv"))
    assert loaded.scenario.instance_types["m5.large"].price_microusd_hour == 50_000
    assert not [note for note in loaded.notes if "p.csv" in note]

    (folder / "p.csv").write_text("instance_type,usd_per_hour\nc5.large,0.05\n")
    loaded = load_scenario(scenario(folder, prices="p.csv"))
    assert loaded.scenario.instance_types["m5.large"].price_microusd_hour == 96_000
    assert "p.csv has no price for m5.large: they keep their own" in loaded.notes


def test_a_type_of_the_scenario_is_priced_too(folder):
    (folder / "p.csv").write_text("instance_type,usd_per_hour\nm5.large,0.05\n")
    types = {"m5.large": {"cpu": 2048, "memory": 7000, "price_microusd_hour": 1}}
    loaded = load_scenario(scenario(folder, prices="p.csv", instance_types=types))
    kind = loaded.scenario.instance_types["m5.large"]
    assert (kind.memory, kind.price_microusd_hour) == (7000, 50_000)


def test_prices_that_are_not_there_are_a_problem_among_the_others(folder):
    with pytest.raises(SpecError) as raised:
        load_scenario(scenario(folder, prices="none.csv", duration="never"))
    places = [place for place, _ in raised.value.problems]
    assert any(place.endswith("none.csv") for place in places)
    assert any(place.endswith("duration") for place in places)


# --- stowplan types -------------------------------------------------------------------------------


def types(capsys, *words):
    code = main(["types", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((r"^m5\.x?large",), {"m5.large", "m5.xlarge"}),
        (
            ("--family", "m4", "--family", "t2", "--vcpu", "2"),
            {"m4.large", "t2.medium", "t2.large"},
        ),
        (("--family", "g", "--arch", "arm64", "--vcpu", "4-8"), {"g5g.xlarge", "g5g.2xlarge"}),
        (
            ("--gpu", "2-4", "--usd=-5"),
            {"g4dn.12xlarge", "g5g.16xlarge", "g5g.metal", "g6.12xlarge"},
        ),
        (("--family", "c5", "--memory", "8-16"), {"c5.xlarge", "c5.2xlarge"}),
        (("--family", "r5", "--memory=-16"), {"r5.large"}),
        (("^t[34]", "--usd=-0.005", "--arch", "arm64"), {"t4g.nano"}),
        (("^m[45]\\.large", "--region", "ca-west-1"), {"m5.large"}),
        (("^c4.large|^c7i.large", "--current"), {"c7i.large"}),
    ],
)
def test_types_are_filtered(capsys, words, names):
    code, rows = types(capsys, *words)
    assert (code, {row["type"] for row in rows}) == (0, names)


def test_types_are_priced_by_the_catalogue_or_by_a_file(capsys, tmp_path):
    (tmp_path / "p.csv").write_text("instance_type,usd_per_hour\nm5.xlarge,0.01\n")
    _, rows = types(capsys, "m5.x?large", "--sort", "price", "--prices", str(tmp_path / "p.csv"))
    assert [(row["type"], row["usd_per_hour"], row["price"]) for row in rows] == [
        ("m5.xlarge", 0.01, "yours"),
        ("m5.large", 0.096, "us-east-1 2026-07-20"),
    ]
    assert rows[1]["usd_per_month"] == 70.08
    _, rows = types(capsys, "^m5.large", "--region", "eu-west-1")
    assert (rows[0]["usd_per_hour"], rows[0]["price"]) == (0.107, "eu-west-1 2025-03-02")
    _, rows = types(capsys, "^hpc6a", "--region", "us-east-2")
    assert [(row["usd_per_hour"], row["price"]) for row in rows] == [("", "")]
    assert main(["types", "--region", "eu-wst-1"]) == 2
    assert "did you mean eu-west-1?" in capsys.readouterr().err


def test_nothing_that_fits_is_told_by_the_exit_code(capsys):
    assert types(capsys, "--gpu", "100") == (1, [])


def test_what_is_no_range_or_pattern_is_said_at_once(capsys):
    assert main(["types", "(", "--vcpu", "few", "--memory", "9-3"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("PATTERN", "--vcpu", "--memory: the range '9-3' is empty"))


def test_the_table_and_the_csv_have_the_same_rows(capsys):
    assert main(["types", "m6g", "--csv"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert main(["types", "m6g"]) == 0
    title, *rows, last = capsys.readouterr().out.splitlines()
    assert header.split(",") == title.split()
    assert [line.split(",")[0] for line in lines] == [row.split()[0] for row in rows]
    assert last.startswith("18 types")
