"""Journals looked at from a notebook: drawn as a page, and checked."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd

from stowplan._results import Journal, Result
from stowplan.experiments.cli.replay import replay_page
from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.loading.own_strategies import as_factory
from stowplan.experiments.record.journals import open_journal
from stowplan.experiments.runs.audit import Verdict, judged
from stowplan.experiments.runs.compiling import say_when_compiling
from stowplan.placement.errors import SpecError

Given = Result | Journal | str | Path


@dataclass(frozen=True)
class Replay:
    """A run as a page with a slider over time; a notebook shows it. Made by `replay`.

    Attributes
    ----------
    html : str
        The page; it needs nothing else, no network either.
    """

    html: str = field(repr=False)
    height: int = 720

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path."""
        Path(path).write_text(self.html, encoding="utf-8")
        return Path(path)

    def __repr__(self) -> str:
        return f"<Replay: a page of {len(self.html) / 1e6:.1f} MB; save(path) writes it>"

    def _repr_html_(self) -> str:
        source = html.escape(self.html, quote=True)
        style = f"width: 100%; height: {self.height}px; border: 0"
        return f'<iframe srcdoc="{source}" style="{style}"></iframe>'


@dataclass(frozen=True, repr=False)
class Verification:
    """Whether a run replays to the same commands and breaks no rule. Made by `verify`.

    Attributes
    ----------
    verdict : Verdict
        What was found.
    """

    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Whether it replays and breaks no rule."""
        return self.verdict.ok

    @property
    def violations(self) -> pd.DataFrame:
        """A row per rule that was broken or could not be checked; none is a sound run."""
        rows = [(v.checker, v.round, v.now_ms, v.verdict, v.what) for v in self.verdict.violations]
        return pd.DataFrame(rows, columns=["checker", "round", "ms", "verdict", "what"])

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        verdict = self.verdict
        if verdict.error:
            return f"<Verification: does not replay: {verdict.error}>"
        found = f"{verdict.rounds} rounds replay to the same commands"
        return f"<Verification: {found}, {len(verdict.violations)} violations>"


def replay(run: Given, *, height: int = 720) -> Replay:
    """A run drawn as a map of the cluster over time, with a slider and its events.

    Parameters
    ----------
    run : Result, Journal, str or Path
        What `simulate` returned, its journal, or a journal's file (`.jsonl.gz`).
    height : int
        Of the frame in a notebook, in pixels.

    Returns
    -------
    Replay
        A notebook shows it; `save` writes the page.

    Raises
    ------
    SpecError
        The journal cannot be read, or was not kept.

    Examples
    --------
    >>> import stowplan as sp
    >>> page = sp.replay(sp.simulate(sp.load("small")))
    >>> page.html.lstrip().lower().startswith("<!doctype html>")
    True
    """
    stream, name = _opened(run)
    return Replay(replay_page(stream, name), height)


def verify(run: Given, *, strategies: Mapping[str, Any] | None = None) -> Verification:
    """Replay a run in a fresh scheduler, and let checkers of their own book read it.

    Parameters
    ----------
    run : Result, Journal, str or Path
        What `simulate` returned, its journal, or a journal's file (`.jsonl.gz`).
    strategies : mapping, optional
        Strategies that were objects of a notebook, by the names that the journal has for them; a
        Result knows its own, and `file.py:Class` is looked for in the working directory.

    Returns
    -------
    Verification
        True where it replays and breaks no rule; `violations` is a DataFrame.

    Raises
    ------
    SpecError
        The journal cannot be read, or a strategy's file not be loaded.

    Examples
    --------
    >>> import stowplan as sp
    >>> bool(sp.verify(sp.simulate(sp.load("small"), "binpack")))
    True
    """
    say_when_compiling()
    stream, name = _opened(run)
    with open_journal(stream, name) as (header, read):
        rounds = list(read)
    own = {n: as_factory(n, each) for n, each in (strategies or {}).items()}
    if isinstance(run, Result):
        own = {**run.scenario.loaded.own_strategies, **own}
    files = [n for n in header.strategies if n not in own]
    return Verification(judged(header, rounds, {**load_strategies(files, Path()), **own}))


def _opened(run: Given) -> tuple[Path | IO[bytes], str]:
    if isinstance(run, Result):
        run = run.journal
    if isinstance(run, Journal):
        return io.BytesIO(run.data), run.name
    if isinstance(run, str | Path):
        return Path(run), Path(run).name
    raise SpecError([("run", f"expected a Result, a Journal or a journal's file, found {run!r}")])
