"""The tutorials do what they say, from their first line to their last."""

import re
import shlex

from stowplan.experiments.cli.main import main
from tests.house import ROOT


def blocks(name: str, kind: str) -> list[str]:
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_a_platform_engineers_commands_work_in_an_empty_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (definition,) = blocks("platform-engineer", "json")
    (tmp_path / "web.json").write_text(definition)
    (faults,) = blocks("platform-engineer", "toml")
    commands = "".join(blocks("platform-engineer", "sh")).splitlines()

    said = {}
    for command in commands:
        if "--strategy" in command:
            with (tmp_path / "tour.toml").open("a") as file:
                file.write("\n" + faults)
        assert main(shlex.split(command)[1:]) == 0, command
        said[command] = capsys.readouterr().out

    assert len(commands) == 10
    assert (
        "packed"
        in said["stowplan simulate tour.toml --out out/loss --strategy packed=binpack:memory"]
    )
    assert "3 instances, at least 3 instances (proven least)" in said[commands[-3]]
    assert {path.name for path in (tmp_path / "out" / "loss" / "journals").iterdir()} == {
        f"{strategy}__shared__{faults}.jsonl.gz"
        for strategy in ("ecs-default", "packed")
        for faults in ("none", "zone-loss")
    }


def test_a_researchers_lines_run_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("researcher", "python"))
    exec(compile(code, "researcher.md", "exec"), {"__name__": "researcher"})

    said = capsys.readouterr().out
    assert "RESOURCE:CPU" in said
    assert "rounds replay to the same commands, 0 violations" in said
    assert "optimal 3 3" in said
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"utilisation.png", "fragmentation.png", "over-time.png"}
    assert (tmp_path / "run.html").stat().st_size > 10_000
