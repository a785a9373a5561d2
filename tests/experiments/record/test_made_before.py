"""A journal that an earlier stowplan wrote reads and replays as before.

`made_before/small.jsonl.gz` is the run `binpack__shared__zone-loss` of `small.toml`, as it was
written before journals of another format version were refused with a sentence.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main

SMALL = Path(__file__).parent / "made_before" / "small.jsonl.gz"


def header_as(folder, old, new):
    """A copy of the journal with another header."""
    content = gzip.decompress(SMALL.read_bytes())
    assert content.count(old) == 1
    file = folder / "small.jsonl.gz"
    file.write_bytes(gzip.compress(content.replace(old, new), 1))
    return file


@pytest.mark.parametrize("version", [b',"format":1', b""], ids=["the first", "none"])
def test_it_replays_to_the_same_commands(tmp_path, capsys, version):
    file = header_as(tmp_path, b',"format":1', version)
    assert main(["verify", str(file)]) == 0
    assert "2829 rounds replay to the same commands, 0 violations" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "replay", "regret"])
def test_one_of_a_later_format_is_refused_in_one_sentence(tmp_path, capsys, command):
    file = header_as(tmp_path, b',"format":1', b',"format":99')
    assert main([command, str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{file}: of format version 99, which is too new" in line
