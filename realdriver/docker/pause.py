"""The smallest image that can hold a task's network: one program that waits to be killed.

ECS's agent runs such a container for every awsvpc task. Ours is assembled here, a Linux program of
less than 200 bytes, so that there is nothing to pull and nothing to build.
"""

from __future__ import annotations

import io
import struct
import tarfile

from stowplan.placement.driver import DriverError

# ELF machine number and code: the system call that waits for a signal, again and again.
_CODE = {
    # mov eax, 34 (pause); syscall; jmp back
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    # mov x0..x3, #0; mov x8, #73 (ppoll); svc #0; b back
    "aarch64": (
        183,
        struct.pack(
            "<7I",
            *(0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003),
            *(0xD2800928, 0xD4000001, 0x17FFFFFA),
        ),
    ),
}
_CODE |= {"amd64": _CODE["x86_64"], "arm64": _CODE["aarch64"]}  # as Podman says it
_BASE, _HEADERS = 0x400000, 64 + 56


def program(machine: str) -> bytes:
    """The program for a machine as `docker info` names it.

    Raises:
        DriverError: an architecture for which there is none.
    """
    if machine not in _CODE:
        raise DriverError(f"no pause program for {machine}; awsvpc tasks cannot run there")
    number, code = _CODE[machine]
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little-endian
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + code


def image(machine: str) -> bytes:
    """A root file system with nothing but the program, as a tar."""
    content = program(machine)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
