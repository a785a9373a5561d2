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
    url = os.environ.get("DOCKER_HOST")
    if not url:
        return _of_context()
    if not url.startswith(SCHEMES):
        raise SpecError([("DOCKER_HOST", f"expected one of {', '.join(SCHEMES)}, found {url!r}")])
    if not os.environ.get("DOCKER_TLS_VERIFY") or not url.startswith("tcp://"):
        return EngineTable(url=url)
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    return EngineTable(url=url, tls=_tls(folder))


def _tls(folder: Path) -> TlsTable:
    names = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    return TlsTable(**{name: str(folder / file) for name, file in names.items()})


def _of_context() -> EngineTable:
    """The engine of the `docker` command's context; its own default where none is chosen."""
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name, get_tls_dir

    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name == "default":
        return EngineTable(url=DEFAULT_URL)
    try:
        found = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises the bare class where its file makes no sense
        raise SpecError([(f"docker context {name}", str(error))]) from error
    if found is None:
        raise SpecError([(f"docker context {name}", "there is none; `docker context ls` lists")])
    url = found.Host
    if not url.startswith(SCHEMES):
        what = f"expected one of {', '.join(SCHEMES)}, found {url!r}"
        raise SpecError([(f"docker context {name}", what)])
    keys = Path(get_tls_dir(name, "docker"))
    return EngineTable(url=url, tls=_tls(keys) if (keys / "cert.pem").is_file() else None)
