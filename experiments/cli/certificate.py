"""The certificate of an endpoint: a given one, or one that is made for it."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from stowplan.placement.errors import SpecError

MADE = "new"
_DAYS = 397


class Certificate(NamedTuple):
    """Files in PEM form."""

    chain: Path
    key: Path


def certificate(chain: str, key: Path | None, host: str, state: Path | None) -> Certificate:
    """The certificate of `--tls` with its key; `new`: one that says its own name is `host`.

    A made one is kept in the state's folder, or in a new temporary one, and used again.

    Raises:
        SpecError: the files are no such pair, or none can be made.
    """
    if chain == MADE and key is None:
        folder = Path(tempfile.mkdtemp(prefix="stowplan-")) if state is None else state
        found = Certificate(folder / "tls.crt", folder / "tls.key")
        if not (found.chain.exists() and found.key.exists()):
            _make(found, host)
    elif key is not None:
        found = Certificate(Path(chain), key)
    else:
        raise SpecError([("serve --tls", f"expected with --tls-key KEY, or {MADE}")])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*found)
    except (OSError, ssl.SSLError) as error:
        raise SpecError([(f"serve --tls {chain}", str(error))]) from None
    return found


def _make(target: Certificate, host: str) -> None:
    names = {"DNS:localhost", "IP:127.0.0.1", _name(host)}
    target.chain.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.key.touch(mode=0o600)
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", str(_DAYS), "-subj", "/CN=stowplan"),
        *("-addext", f"subjectAltName={','.join(sorted(names))}"),
        *("-keyout", str(target.key), "-out", str(target.chain)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        what = "the program openssl, which makes certificates, is not there"
        raise SpecError([(f"serve --tls {MADE}", what)]) from None
    if done.returncode != 0:
        raise SpecError([(f"serve --tls {MADE}", done.stderr.strip()[-200:])])


def _name(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"
