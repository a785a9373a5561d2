"""The dead man's switch of instances, run here with a metadata service of the test."""

from __future__ import annotations

import os
import subprocess
import time

from stowplan.realdriver.ec2.user_data import read_settings, user_data

CURL = """#!/bin/bash
for last; do :; done
case $last in
  */api/token) echo token ;;
  */tags/instance/stowplan:until) cat {tag} ;;
  *) exit 22 ;;
esac
"""


def switch(tmp_path, until_s, tag):
    """The script that user data installs, with quick sleeps, and commands of the test's own."""
    script = user_data({"ECS_CLUSTER": "c"}, until_s=until_s, tag="stowplan:until")
    body = script.split("<<'SWITCH'\n")[1].split("SWITCH\n")[0].replace("sleep 20", "sleep 0.2")
    file = tmp_path / "switch"
    file.write_text(body)
    for name, text in {
        "curl": CURL.format(tag=tag),
        "shutdown": f'#!/bin/bash\necho "$@" > {tmp_path}/off\nkill $PPID\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.Popen(["bash", str(file)], env=env)


def test_it_powers_off_when_the_tag_is_not_moved_on_and_not_before(tmp_path):
    tag = tmp_path / "tag"
    tag.write_text(str(int(time.time()) + 1000))
    running = switch(tmp_path, int(time.time()) - 100, tag)  # what was written at launch is over
    time.sleep(1)
    assert running.poll() is None, "the tag says that somebody drives the run"
    tag.write_text(str(int(time.time()) - 1))
    running.wait(10)
    assert (tmp_path / "off").read_text() == "-h now\n"


def test_where_the_tag_cannot_be_read_the_time_holds_that_was_known_last(tmp_path):
    running = switch(tmp_path, int(time.time()) + 1, tmp_path / "none")
    time.sleep(0.6)
    assert running.poll() is None
    running.wait(10)
    assert (tmp_path / "off").exists()


def test_the_script_is_sound_and_says_what_agents_are_told():
    settings = {"ECS_CLUSTER": "c", "ECS_BACKEND_HOST": "https://here:1"}
    script = user_data(settings, until_s=5, tag="stowplan:until", authority="PEM")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert read_settings(script) == settings
    assert len(script.encode()) < 16_384  # of EC2
    assert "SWITCH" not in user_data(settings, until_s=None, tag="stowplan:until")
