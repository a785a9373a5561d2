"""Reads the file of `--aws`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stowplan.experiments.loading.load import read_toml
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.placement.errors import SpecError
from stowplan.realdriver.ec2.config import AwsTable


def load_aws(path: Path | None, **given: Any) -> AwsTable:
    """The settings in a TOML file; None: the defaults.

    Args:
        given: fields that the command line has, in place of the file's; None: it has not.
    Raises:
        SpecError: naming every problem with its place.
    """
    document = {} if path is None else read_toml(path)
    document |= {name: value for name, value in given.items() if value is not None}
    try:
        table = AwsTable.model_validate(document)
    except ValidationError as error:
        found = shape_problems(error, AwsTable)
        raise SpecError([(f"{path or '--aws'}: {at}", what) for at, what in found]) from error
    own = table.own
    if own is not None and own.ca is not None:
        file = own.ca if path is None else str(path.parent / own.ca)
        if not Path(file).is_file():
            raise SpecError([(f"{path}: own.ca", f"no file {file}")])
        table = table.model_copy(update={"own": own.model_copy(update={"ca": file})})
    return table
