"""On a Dask cluster of processes a worker is killed, then the head: no finished run is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from stowplan.experiments.runs.travel import packed
from stowplan.experiments.studies.experiment.cells import design_of
from stowplan.experiments.studies.experiment.runner import Runner
from stowplan.experiments.studies.experiment.spec import read_spec
from stowplan.experiments.studies.experiment.store import Store
from stowplan.placement.errors import SpecError

pytest.importorskip("distributed")
SEEDS = 30


@pytest.fixture
def started():
    """Begins processes, and ends them."""
    processes = []

    def start(*arguments, cwd, **options):
        environment = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "warning"}
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=cwd,
            env=environment,
            text=True,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.long
def test_a_worker_is_killed_then_the_head(folder, started):
    text = (folder / "question.toml").read_text()
    (folder / "question.toml").write_text(text.replace("seeds = 3", f"seeds = {SEEDS}"))
    address_file = folder / "scheduler.json"
    common = ("--no-dashboard",)
    started(
        *("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common),
        *("--scheduler-file", str(address_file)),
        cwd=folder,
    )
    wait_for(address_file.exists)
    address = re.search(r"tcp://[\d.:]+", address_file.read_text())[0]
    worker = ("distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "1", *common)
    one, _ = (started(*worker, "--no-nanny", cwd=folder) for _ in range(2))
    command = ("stowplan", "experiment", "run", "question.toml", "--out", "out")
    head = started(*command, "--scheduler", address, cwd=folder)
    runs = folder / "out" / "runs"

    def kept():
        return {path.name for path in runs.glob("[!.]*.parquet")} if runs.exists() else set()

    wait_for(lambda: len(kept()) >= 3)
    os.killpg(one.pid, signal.SIGKILL)
    before = len(kept())
    wait_for(lambda: len(kept()) >= before + 3)  # the other goes on, with what that one had
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    ended = kept()
    assert len(ended) < 2 * SEEDS
    again = started(*command, "--scheduler", address, cwd=folder, stdout=subprocess.PIPE)
    said, wrong = again.communicate(timeout=240)
    assert again.returncode == 0, wrong
    made = int(re.search(r"(\d+) runs made", said)[1])
    assert made == 2 * SEEDS - len(ended)
    assert ended <= kept()
    # The same files as without Dask.
    design = design_of(read_spec(folder / "question.toml"), folder, "question.toml")
    runner = Runner(design, Store(folder / "out"), jobs=1)
    runner.run()
    assert runner.made == 0


def test_no_scheduler_there_is_one_error(folder):
    from stowplan.experiments.studies.experiment.on_dask import OnDask

    design = design_of(read_spec(folder / "question.toml"), folder, "question.toml")
    with pytest.raises(SpecError, match="no Dask scheduler answers"):
        OnDask(packed(design.variants), "tcp://127.0.0.1:9", wait_s=0.5)
