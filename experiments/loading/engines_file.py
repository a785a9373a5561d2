"""Reads the file of `--engines`; without one, the local engine of the `docker` command."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from stowplan.experiments.loading.load import read_toml
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.placement.errors import SpecError
from stowplan.realdriver.docker.config import (
    DEFAULT_URL,
    SCHEMES,
    EnginesTable,
    EngineTable,
    TlsTable,
)


def load_engines(path: Path | None) -> EnginesTable:
    """The engines in a TOML file; None: the one that the `docker` command would use.

    Raises:
        SpecError: naming every problem with its place.
    """
    if path is None:
        return EnginesTable(engine=(_local(),))
    document = read_toml(path)
    try:
        table = EnginesTable.model_validate(document)
    except ValidationError as error:
        found = shape_problems(error, EnginesTable)
        raise SpecError([(f"{path}: {at}", what) for at, what in found]) from error
    engines = tuple(_beside(path, engine) for engine in table.engine)
    missing = [
        (f"{path}: engine[{n}].tls.{name}", f"no file {file}")
        for n, engine in enumerate(engines)
        for name, file in (engine.tls.model_dump() if engine.tls else {}).items()
        if not Path(file).is_file()
    ]
    if missing:
        raise SpecError(missing)
    return table.model_copy(update={"engine": engines})


def _beside(path: Path, engine: EngineTable) -> EngineTable:
    """The engine with the paths of its files relative to the working directory."""
    if engine.tls is None:
        return engine
    files = {name: str(path.parent / file) for name, file in engine.tls.model_dump().items()}
    return engine.model_copy(update={"tls": TlsTable(**files)})


def _local() -> EngineTable:
    url = os.environ.get("DOCKER_HOST") or DEFAULT_URL
    if not url.startswith(SCHEMES):
        raise SpecError([("DOCKER_HOST", f"expected one of {', '.join(SCHEMES)}, found {url!r}")])
    if not os.environ.get("DOCKER_TLS_VERIFY") or not url.startswith("tcp://"):
        return EngineTable(url=url)
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    names = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    tls = TlsTable(**{name: str(folder / file) for name, file in names.items()})
    return EngineTable(url=url, tls=tls)
