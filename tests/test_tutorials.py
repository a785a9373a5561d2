"""The tutorials do what they say, from their first line to their last."""

import json
import re
import shlex

import stowplan as sp
from stowplan._register import GIVEN, REGISTRIES
from stowplan.experiments.cli.main import _parser, main
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


def test_parts_of_ones_own_run_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("your-own-parts", "python"))
    before = {kind: registry.added for kind, registry in REGISTRIES.items()}
    try:
        exec(compile(code, "your-own-parts.md", "exec"), {"__name__": "parts"})
    finally:
        for kind, registry in REGISTRIES.items():
            for name in registry.added.keys() - before[kind].keys():
                del registry[name]
                GIVEN.pop((kind, name), None)

    said = capsys.readouterr().out
    assert "rounds replay to the same commands, 0 violations> (15, 1)" in said
    for refused in ("found -512", "read-only", "'cp'", "'rack'", "did you mean binpack?"):
        assert refused in said
    assert (tmp_path / "run.html").stat().st_size > 10_000


def test_every_name_of_the_face_is_used_by_a_guide_or_a_notebook():
    """In code that runs: a name in prose alone shows nobody how it is used."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    code = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    used = set(re.findall(r"\bsp\.(\w+)", "\n".join(code)))
    assert set(sp.__all__) - used == set()
    assert {n for n in used if not n.startswith("_")} <= set(sp.__all__)


def test_every_command_of_the_guide_to_agents_is_one():
    lines = "".join(blocks("agents", "sh")).splitlines()
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("stowplan ")]
    assert [words[0] for words in ours] == ["serve", "agent", "serve"]
    for words in ours:
        assert _parser(words).parse_args(words).command
