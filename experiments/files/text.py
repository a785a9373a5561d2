"""Text files as people have them: with a byte order mark or without, UTF-8 or Windows's UTF-16.

Editors and shells of Windows write marks: PowerShell's `> file` makes UTF-16, "save as CSV" of
Excel UTF-8 with a mark. Every file that a user gives is read through here.
"""

from __future__ import annotations

import codecs
import gzip
import io
from pathlib import Path
from typing import IO, BinaryIO, cast

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP = b"\x1f\x8b"
# What a file begins with that holds other files, or a table in another form; how to get at it.
_WRAPPED = {
    b"PK\x03\x04": ("a zip archive", "unpack it (unzip {name})"),
    b"\xfd7zXZ\x00": ("compressed by xz", "unpack it (xz -d {name})"),
    b"BZh": ("compressed by bzip2", "unpack it (bzip2 -d {name})"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it (zstd -d {name})"),
    b"PAR1": ("a Parquet file", "write it as CSV"),
}
_TAR_AT, _TAR = 257, b"ustar"


class WrappedError(ValueError):
    """A file is an archive, or compressed in a way that is not read; says how to unpack it."""


def encoding_of(head: bytes) -> str:
    """The encoding that the mark at the beginning of a file names; UTF-8 where there is none."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def decoded(content: bytes) -> str:
    """The text of a whole file. Raises UnicodeDecodeError where it is none."""
    return content.decode(encoding_of(content))


def read_text(path: Path) -> str:
    """The text of a file. Raises OSError, or UnicodeDecodeError where it is no text."""
    return decoded(path.read_bytes())


def opened(path: Path) -> IO[str]:
    """The text of a file that may be of any size, gzip or not by what it is, not by its name.

    Raises:
        WrappedError: it is an archive, or compressed otherwise.
        OSError: there is no such file, or it only says that it is gzip.
    """
    raw = path.open("rb")
    try:
        head = raw.read(8)
        raw.seek(0)
        for mark, (what, way) in _WRAPPED.items():
            if head.startswith(mark):
                raise WrappedError(f"is {what}; {way.format(name=path.name)}")
        packed = head.startswith(_GZIP) or path.suffix == ".gz"
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        head = stream.read(512)
        if head[_TAR_AT:].startswith(_TAR):
            how = f"tar x{'z' if packed else ''}f {path.name}"
            raise WrappedError(f"is a tar archive; unpack it ({how}) and name the file in it")
        encoding = encoding_of(head)
        # Python's reader of UTF-8 with a mark is slow; the mark alone is skipped.
        stream.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        encoding = encoding.removesuffix("-sig")
        return io.TextIOWrapper(stream, encoding=encoding, newline="")
    except BaseException:
        raw.close()
        raise
