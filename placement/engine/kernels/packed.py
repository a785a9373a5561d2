"""How kernels get their arrays: one number, the address of a table of addresses and lengths.

numba passes a tuple of arrays as some seven values an array, through every call. With sixty arrays
that made most of the machine code, and most of the time to compile it and to call it. Here a group
of arrays is one pointer, and reading a field loads what stands for it in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

import numpy as np
from llvmlite import ir
from numba import config
from numba.core import types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, models, register_model
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

WORDS = 4  # of an array in a table: its address, then its lengths
_Group = TypeVar("_Group")
_WORD = ir.IntType(64)


class Kept(NamedTuple):
    """What an array of a group is, in the annotation of its field."""

    dtype: str
    dimensions: int
    order: str = "C"


def fields_of(group: type) -> dict[str, Kept]:
    """The fields of a named tuple of arrays, in order."""
    hints = get_type_hints(group, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


class World:
    """Groups of arrays for one call after another; `address` is what kernels are given.

    Arrays may be replaced by others with `renew`. Whatever kernels write, they write in the arrays.
    """

    def __init__(self, *groups: Any) -> None:
        self.groups: dict[type, Any] = {}
        self._tables: dict[type, np.ndarray[Any, Any]] = {}
        self._top = np.zeros(len(ORDER), np.int64)
        self.address = int(self._top.ctypes.data)
        for group in groups:
            self.renew(group)
        if config.DISABLE_JIT:
            _python_worlds[self.address] = self.groups

    def renew(self, group: Any) -> None:
        """Have these arrays in the place of those that the world had for the group."""
        of = type(group)
        table = self._tables.get(of)
        if table is None:
            table = self._tables[of] = np.zeros(WORDS * len(group), np.int64)
            self._top[ORDER.index(of.__name__)] = table.ctypes.data
        before = self.groups.get(of, _NONE)
        for at, (array, check) in enumerate(zip(group, _checks(of), strict=True)):
            if before is not _NONE and array is before[at]:  # most are, and to look takes its time
                continue
            name, dtype, dimensions, whole = check
            fits = array.dtype == dtype and array.ndim == dimensions and array.flags[whole]
            assert fits, f"{of.__name__}.{name}: {array.dtype} {array.shape} {array.flags}"
            table[at * WORDS] = array.__array_interface__["data"][0]
            table[at * WORDS + 1 : at * WORDS + 1 + dimensions] = array.shape
        self.groups[of] = group  # as long as the world is there, the arrays are


ORDER = ("Kinds", "State", "Parts", "Blocks", "Why", "Fresh", "Freed", "Contest", "Gpus")
_python_worlds: dict[int, dict[type, Any]] = {}  # without machine code an address is just a key
_known: dict[type, dict[str, Kept]] = {}


_NONE: tuple[Any, ...] = ()


@cache
def _checks(group: type) -> list[tuple[Any, ...]]:
    """Of each field: its name, type, dimensions and the flag that it is whole."""
    return [
        (name, np.dtype(kept.dtype), kept.dimensions, f"{kept.order}_CONTIGUOUS")
        for name, kept in _fields(group).items()
    ]


def _fields(group: type) -> dict[str, Kept]:
    if group not in _known:
        _known[group] = fields_of(group)
    return _known[group]


class _Packed(types.Type):
    """A group of arrays, to numba."""

    def __init__(self, group: type) -> None:
        self.group = group
        super().__init__(f"Packed{group.__name__}")

    def field(self, name: str) -> Any:
        """The type of an array."""
        kept = _fields(self.group)[name]
        return types.Array(from_dtype(np.dtype(kept.dtype)), kept.dimensions, kept.order)


@register_model(_Packed)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, _WORD.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):
    key = _Packed

    def generic_resolve(self, of: Any, name: str) -> Any:
        return of.field(name) if name in _fields(of.group) else None


@lower_getattr_generic(_Packed)
def _read(context: Any, builder: Any, of: Any, value: Any, name: str) -> Any:
    """The array as numba has it, of an address and lengths that are loaded from the table."""
    kind, kept = of.field(name), _fields(of.group)[name]
    first = list(_fields(of.group)).index(name) * WORDS
    words = [_load(builder, value, first + i) for i in range(1 + kept.dimensions)]
    array = context.make_array(kind)(context, builder)
    element = context.get_data_type(kind.dtype)
    size = _WORD(context.get_abi_sizeof(element))
    shape, strides, step = words[1:], [], size
    for length in shape if kept.order == "F" else reversed(shape):
        strides.append(step)
        step = builder.mul(step, length)
    populate_array(
        array,
        data=builder.inttoptr(words[0], element.as_pointer()),
        shape=shape,
        strides=strides if kept.order == "F" else strides[::-1],
        itemsize=size,
        meminfo=None,
    )
    return array._getvalue()


def _load(builder: Any, table: Any, index: int) -> Any:
    """A word that does not change during a call, so that loops need not load it again."""
    word = builder.load(builder.gep(table, [_WORD(index)]))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


def reader(group: type[_Group]) -> Callable[[int], _Group]:
    """What gives a kernel a group of the world at an address."""
    position = ORDER.index(group.__name__)

    if config.DISABLE_JIT:

        def python(address: int) -> _Group:
            found: _Group = _python_worlds[address][group]
            return found

        return python

    @intrinsic
    def read(typing: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            top = builder.inttoptr(arguments[0], _WORD.as_pointer())
            return builder.inttoptr(_load(builder, top, position), _WORD.as_pointer())

        return _Packed(group)(types.int64), code

    return cast(Callable[[int], _Group], read)
