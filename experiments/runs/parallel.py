"""All runs of a scenario, several at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from queue import Queue
from threading import Thread

from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.runs.compiling import say_when_compiling, to_stderr
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import Run

# run id -> simulated ms done so far; -1 when the run is finished
Report = Callable[[str, int], None]

_COMPILING = ("compiling", 0)  # among the news, in place of a run
_stopped = False  # Ctrl-C was pressed
_worker: tuple[Loaded, Path | None, Queue[tuple[str, int] | None]] | None = None


def check_jobs(jobs: int | None) -> None:
    """Raises SpecError where `--jobs` is no number of processes."""
    if jobs is not None and jobs < 1:
        raise SpecError([(f"--jobs {jobs}", "expected at least 1 process")])


def run_all(
    path: Path,
    runs: list[Run],
    journals: Path | None,
    report: Report,
    *,
    extra_strategies: Mapping[str, str | list[str]] | None = None,
    jobs: int | None = None,
) -> list[RunResult]:
    """Simulate `runs` of the scenario in `path`.

    Args:
        journals: folder for a journal per run; None: none are kept.
        report: told how far each run is, from a thread of its own.
        extra_strategies: as in `load_scenario`.
        jobs: processes at a time; None: one for each processor.
    Returns:
        the results in the order of `runs`, whatever the order in which they ended. After Ctrl-C
        those of runs that had begun, as far as they came (see the metric `simulated_s`); a second
        one raises KeyboardInterrupt.
    """
    # spawn: workers import afresh, so no thread or lock of this process is copied into them.
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        news = manager.Queue()
        listener = Thread(target=_listen, args=(news, report), daemon=True)
        listener.start()
        workers = min(jobs or os.cpu_count() or 1, len(runs))
        pool = ProcessPoolExecutor(
            workers, context, _start_worker, (path, extra_strategies or {}, journals, news)
        )
        try:
            futures = [pool.submit(_run, run) for run in runs]
            try:
                wait(futures)
            except KeyboardInterrupt:  # it reaches the workers, too
                for future in futures:
                    future.cancel()
                wait(futures)
            ended = [future.result() for future in futures if not future.cancelled()]
            results = [result for result in ended if result is not None]
        except BaseException:
            end_workers(pool)  # whatever it is, nobody waits for their work any more
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            news.put(None)
            listener.join()
    return results


def end_workers(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool at once; the standard library only waits for their work."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()


def _listen(news: Queue[tuple[str, int] | None], report: Report) -> None:
    while (item := news.get()) is not None:
        if item == _COMPILING:  # every worker says so; people hear it once
            to_stderr()
        else:
            report(*item)


def _start_worker(
    path: Path,
    extra_strategies: Mapping[str, str | list[str]],
    journals: Path | None,
    news: Queue[tuple[str, int] | None],
) -> None:
    # Loaded once a process: own strategies are code, which does not travel between processes.
    global _worker
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say_when_compiling(lambda: news.put(_COMPILING))
    _worker = (load_scenario(path, extra_strategies), journals, news)


def _stop(*_: object) -> None:
    global _stopped
    _stopped = True


def _run(run: Run) -> RunResult | None:
    assert _worker is not None, "the pool's initialiser did not run"
    if _stopped:
        return None
    loaded, journals, news = _worker
    journal = None if journals is None else journals / f"{run.id}.jsonl.gz"
    result = simulate(loaded, run, journal, lambda ms: news.put((run.id, ms)), lambda: _stopped)
    news.put((run.id, -1))
    return result
