"""What the terminal shows."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from stowplan.experiments.report.console import ProgressBars, print_table
from tests.experiments.report.made_results import result, results


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(runs, width=100):
    console = Console(width=width, file=io.StringIO())
    print_table(runs, console)
    return console.file.getvalue()


def row_of(text, strategy):
    return next(line.split() for line in text.splitlines() if line.startswith(strategy))


def test_every_layout_and_faults_has_a_table_with_every_strategy():
    text = shown(results())
    for layout in ("shared", "separate"):
        for faults in ("none", "zone-loss"):
            assert f"{layout} · faults: {faults}" in text
    assert sum(line.startswith(("spread ", "binpack ")) for line in text.splitlines()) == 16, (
        "one of the fleet, one of what deploying costs"
    )


def test_numbers_are_those_of_the_run_under_their_headings():
    text = shown([result(faults="zone-loss", wait_p99_s=302.6, dollars=82.766)])
    row = dict(zip(row_of(text, "strategy"), row_of(text, "binpack"), strict=False))
    assert row["$"] == "82.77"
    # "p50 s" and "p99 s" are two words each, so what follows is looked for as text.
    assert " 303 " in text
    assert "refused for memory: binpack 40" in text
    assert "refused for cpu: binpack 2" in text


def test_columns_about_losses_show_only_where_something_was_lost():
    assert "whole" not in shown([result()]).split("used:")[0]
    assert "whole" in shown([result(faults="zone-loss")]).split("used:")[0]


def test_failed_deployments_are_said_by_service():
    failed = replace(result("spread"), failed_deployments={"web": 2, "api": 1})
    text = shown([failed, replace(result("binpack"), failed_deployments={"web": 1})])
    assert "deployments of web failed: spread 2, binpack 1\n" in text
    assert "deployments of api failed: spread 1\n" in text
    assert "failed" not in shown(results())


def test_an_interrupted_run_says_so_and_is_never_the_best():
    short = result("short", dollars=0.01)
    short = replace(short, whole=False, metrics={**short.metrics, "simulated_s": 3_600.0})
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    print_table([result("a", dollars=5.0), result("b", dollars=9.0), short], console)
    text = console.file.getvalue()
    assert "short (only 1 h)" in text
    assert re.search(r"\x1b\[1;32m *5\.00", text)
    assert not re.search(r"\x1b\[1;32m *0\.01", text)


def test_a_hundred_columns_are_enough():
    large = {"deploying_min": 0.0, "refusals": 1_276_898.0, "waiting": 15_180.0, "dollars": 1082.77}
    runs = [result("spread-zone-binpack", faults="zone-loss", **large)]
    lines = shown(runs).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    row = " ".join(line for line in lines if line.startswith("spread-zone-binpack"))
    assert "1,276,898" in row
    assert "1,082.77" in row
    assert row.count("spread-zone-binpack ") == 2  # in parts, since it is wider than that
    assert "…" not in "".join(lines)


def test_a_narrow_terminal_gets_two_tables_and_every_number():
    large = {"deploying_min": 0.0, "refusals": 276_898.0}
    text = shown([result("spread-zone-binpack", faults="zone-loss", **large)], width=80)
    assert sum(line.startswith("spread-zone-binpack ") for line in text.splitlines()) == 2
    assert "276,898" in text
    assert "…" not in text


def test_markup_in_a_name_is_text():
    assert "[bold]x[/nope]" in shown([result("[bold]x[/nope]", layout="[red]")])


def test_no_runs_are_said_to_be_none():
    assert shown([]) == "No runs.\n"


def test_progress_is_silent_when_stderr_is_no_terminal(capsys):
    with ProgressBars(["a", "b"], 1000) as bars:
        bars("a", 500)
        bars("a", -1)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_running_runs_and_all_of_them():
    console = Console(file=Terminal(), force_terminal=True, width=100)
    with ProgressBars(["binpack__[x]__none", "spread__[x]__none"], 1000, console) as bars:
        bars("binpack__[x]__none", 500)
        bars._progress.refresh()
    text = console.file.getvalue()
    assert "binpack · [x] · none" in text
    assert "50 %" in text
    assert "25 %" in text
    assert "0 of 2 done" in text


@pytest.mark.parametrize("runs", [["a"], ["a", "b"]])
def test_a_finished_run_gives_its_bar_away(runs):
    bars = ProgressBars(runs, 1000)
    bars("a", 100)
    bars("a", -1)
    bars("a", -1)
    bars("unknown", 5)
    (overall,) = bars._progress.tasks
    assert overall.completed == 1000
    assert overall.total == 1000 * len(runs)
    assert overall.fields["note"] == f"1 of {len(runs)} done"
