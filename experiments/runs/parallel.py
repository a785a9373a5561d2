"""All runs of a scenario: several at a time, each in a process of its own, or all in this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread, current_thread, main_thread

from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.runs.compiling import say_when_compiling, to_stderr
from stowplan.experiments.runs.processes import fresh_processes
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
    seed: int | None = None,
) -> list[RunResult]:
    """Simulate `runs` of the scenario in `path`.

    Args:
        journals: folder for a journal per run; None: none are kept.
        report: told how far each run is; by a thread of its own where there are other processes.
        extra_strategies: as in `load_scenario`.
        jobs: processes at a time; None: one for each processor. With one, or one run, all is done
            in this process and none is begun.
        seed: instead of the scenario's.
    Returns:
        the results in the order of `runs`, whatever the order in which they ended. After Ctrl-C
        those of runs that had begun, as far as they came (see the metric `simulated_s`); a second
        one raises KeyboardInterrupt.
    Raises:
        SpecError: the scenario is wrong, or a script asks for processes that would run it again.
    """
    workers = min(jobs or os.cpu_count() or 1, len(runs))
    if workers <= 1:
        return _run_here(
            lambda: load_scenario(path, extra_strategies or {}).seeded(seed), runs, journals, report
        )
    context = fresh_processes()
    with context.Manager() as manager:
        news = manager.Queue()
        listener = Thread(target=_listen, args=(news, report), daemon=True)
        listener.start()
        pool = ProcessPoolExecutor(
            workers, context, _start_worker, (path, extra_strategies or {}, journals, news, seed)
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


def _run_here(
    load: Callable[[], Loaded], runs: list[Run], journals: Path | None, report: Report
) -> list[RunResult]:
    say_when_compiling()
    loaded = load()
    results = []
    with _interruptible():
        for run in runs:
            if not _stopped:
                results.append(_simulated(loaded, run, journals, report))
    return results


@contextmanager
def _interruptible() -> Iterator[None]:
    """The first Ctrl-C lets the run that goes on end early, the second is a KeyboardInterrupt."""
    global _stopped
    _stopped = False
    if current_thread() is not main_thread():  # it hears of no signals
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        _stop()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _stopped = False


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
    seed: int | None,
) -> None:
    # Loaded once a process: own strategies are code, which does not travel between processes.
    global _worker
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say_when_compiling(lambda: news.put(_COMPILING))
    _worker = (load_scenario(path, extra_strategies).seeded(seed), journals, news)


def _stop(*_: object) -> None:
    global _stopped
    _stopped = True


def _run(run: Run) -> RunResult | None:
    assert _worker is not None, "the pool's initialiser did not run"
    if _stopped:
        return None
    loaded, journals, news = _worker
    return _simulated(loaded, run, journals, lambda name, ms: news.put((name, ms)))


def _simulated(loaded: Loaded, run: Run, journals: Path | None, report: Report) -> RunResult:
    journal = None if journals is None else journals / f"{run.id}.jsonl.gz"
    result = simulate(loaded, run, journal, lambda ms: report(run.id, ms), lambda: _stopped)
    report(run.id, -1)
    return result
