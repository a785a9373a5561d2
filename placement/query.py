"""The ECS cluster query language: text to a `Query`, a `Query` to a mask over the instances.

Rules and sources are in ecs-semantics 3.5. Where AWS's guide is silent we chose:
- `not` binds tighter than `and`, `and` tighter than `or`; every word is case-sensitive.
- Values are bare or in single or double quotes; nothing is an escape inside quotes.
- An instance that lacks the subject fails every comparison, also `!=`, `!in` and `!~`; only
  `!exists`, or a `not` around the comparison, selects it.
- Order on an attribute compares as numbers where both sides are numbers, and is false otherwise.
- A pattern must match the whole value; Python's `re` runs it, and what `re` cannot read is refused.
- Missing parts of a version are zero; one that is not dotted numbers differs from all, unordered.
- Dates are UTC unless they say otherwise, a date alone is its midnight, and `registeredAt` is
  compared in whole seconds, the finest that a date can name.
"""

from __future__ import annotations

import operator as op
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple, NoReturn, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.errors import QueryError

EXPRESSION_CHARS_MAX = 2000
NESTING_MAX = 32  # parentheses; ours, so that no expression exhausts the stack


class CodedColumn(NamedTuple):
    """A string per instance: `codes` (n,) index into `values`, -1 where the instance has none."""

    codes: NDArray[np.int32]
    values: Sequence[str]


class LastingColumns(Protocol):
    """What a query that is not volatile reads of a cluster; arrays are (n,), an entry per instance.

    `column` takes `attribute:NAME` (known or not), `ec2InstanceId` or `agentVersion`.
    """

    @property
    def size(self) -> int: ...
    def column(self, subject: str) -> CodedColumn: ...
    @property
    def registered_at_ms(self) -> NDArray[np.int64]: ...


class Columns(LastingColumns, Protocol):
    """What any query reads of a cluster; the arrays are only read.

    `group_count` gives the counted tasks of a group, zeros for an unknown group.
    """

    def group_count(self, group: str) -> NDArray[np.int32]: ...
    @property
    def running_tasks_count(self) -> NDArray[np.int32]: ...
    @property
    def agent_connected(self) -> NDArray[np.bool_]: ...


_Mask = Callable[[Columns], NDArray[np.bool_]]
_Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression; equal and hashed by its text. Made by `parse_query` only.

    `attributes` are the NAMEs used as `attribute:NAME`, `groups` the values of `task:group`,
    `subjects` all that it compares, first named first. A mask that is not `volatile` lasts until
    instances come, go, or change attributes or agent version.
    """

    expression: str
    attributes: frozenset[str] = field(compare=False)
    volatile: bool = field(compare=False)
    groups: frozenset[str] = field(compare=False)
    subjects: tuple[str, ...] = field(compare=False)
    _evaluate: _Mask = field(compare=False, repr=False)

    def mask(self, columns: Columns) -> NDArray[np.bool_]:
        """(n,) True where the instance satisfies the expression; a new array at each call."""
        mask = self._evaluate(columns)
        assert mask.shape == (columns.size,), (self.expression, mask.shape, columns.size)
        return mask

    def lasting_mask(self, columns: LastingColumns) -> NDArray[np.bool_]:
        """The same, of a query that is not `volatile`: it reads no more than these columns."""
        assert not self.volatile, self.expression
        return self.mask(cast(Columns, columns))

    def __reduce__(self) -> tuple[Callable[[str], Query], tuple[str]]:
        return parse_query, (self.expression,)  # by its text: closures cannot be pickled


@lru_cache(maxsize=4096)
def parse_query(expression: str) -> Query:
    """Compile an expression of the cluster query language.

    Raises:
        QueryError: it does not parse, or is longer than 2000 characters; says what was expected.
    """
    if len(expression) > EXPRESSION_CHARS_MAX:
        raise QueryError(expression, EXPRESSION_CHARS_MAX, "expected at most 2000 characters")
    parser = _Parser(expression)
    evaluate = parser.alternatives()
    if parser.token:
        parser.fail(f"{_CONTINUATION} or the end")
    attributes = frozenset(m[1] for m in map(_ATTRIBUTE.fullmatch, parser.named) if m)
    volatile = not {"task:group", "runningTasksCount", "agentConnected"}.isdisjoint(parser.named)
    groups = frozenset(parser.named.get("task:group", ()))
    return Query(expression, attributes, volatile, groups, tuple(parser.named), evaluate)


def conjuncts(query: Query) -> tuple[Query, ...]:
    """The parts of a query that must all be true; the query alone where it is not made of such."""
    return _parts(query, "and", "&&") or (query,)


def alternatives(query: Query) -> tuple[Query, ...]:
    """The parts of a query of which one must be true; the query alone where it has one."""
    return _parts(query, "or", "||") or (query,)


def _parts(query: Query, *joints: str) -> tuple[Query, ...]:
    """The operands of the outermost `joints`, parentheses around them taken off; () if there are
    none. "and" binds closer than "or", so that those of "or" are runs of "and"."""
    parser, begin, parts, mixed = _Parser(query.expression), 0, [], False
    while parser.token:
        parser.negation()
        end = parser.position
        if not parser.token or parser.take(*joints):
            parts.append(query.expression[begin:end].strip())
            begin = parser.position
        else:
            parser.index, mixed = parser.index + 1, True
    if mixed and "and" in joints:
        return ()  # an "or" is further out
    if len(parts) > 1:
        made = map(parse_query, parts)
        return tuple(each for part in made for each in _parts(part, *joints) or (part,))
    text = query.expression.strip()
    return _parts(parse_query(text[1:-1]), *joints) if text[:1] == "(" and not mixed else ()


# Operators by kind: the symbol, by which they go in here, and the word for it.
_EQUALITY = {"==": "equals", "!=": "not_equals"}
_ORDER = {">": "greater_than", ">=": "greater_than_equal"}
_ORDER |= {"<": "less_than", "<=": "less_than_equal"}
_LIST = {"in": "in", "!in": "not_in"}
_PATTERN = {"=~": "matches", "!~": "not_matches"}
_EXISTENCE = {"exists": "exists", "!exists": "not_exists"}
_ALL = _EQUALITY | _ORDER | _LIST | _PATTERN | _EXISTENCE
_SYMBOL = {word: symbol for symbol, word in _ALL.items()} | {symbol: symbol for symbol in _ALL}
_COMPARE = {"==": op.eq, "!=": op.ne, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le}

_OPERATORS = {
    **dict.fromkeys(("agentConnected", "ec2InstanceId"), _EQUALITY | _LIST | _PATTERN),
    **dict.fromkeys(("agentVersion", "registeredAt", "runningTasksCount"), _EQUALITY | _ORDER),
    "task:group": _EQUALITY | _LIST,
}
_ATTRIBUTE = re.compile(r"attribute:([\w./\\-]{1,128})", re.ASCII)  # takes every operator


def _version(text: str) -> tuple[int, ...]:
    # Without the ".0" at its end 1.14.0 is 1.14, and tuples order the rest.
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", text).split("."))


def _seconds(text: str) -> int:
    date = datetime.fromisoformat(text)
    return int(date.replace(tzinfo=date.tzinfo or UTC).timestamp())


# What a value must be where any string will not do: in words, its form, and its reading.
_Kind = tuple[str, str, Callable[[str], Any]]
_DATE = r"[-0-9]{10}(T[:0-9]{8}(Z|[+-][0-9]{2}:[0-9]{2})?)?"
_NUMBER: _Kind = ("a number", r"[+-]?[0-9]+(\.[0-9]+)?", Decimal)
_KINDS: dict[str, _Kind] = {
    "agentConnected": ("true or false", "true|false", str),
    "agentVersion": ("a version such as 1.14.5", r"[0-9]+(\.[0-9]+)*", _version),
    "registeredAt": ("a date such as 2018-06-18 or 2018-06-18T22:28:28+00:00", _DATE, _seconds),
    "runningTasksCount": ("a whole number", "[0-9]+", int),
}


def _read(kind: _Kind, text: str) -> Any:
    try:
        return kind[2](text) if re.fullmatch(kind[1], text) else None
    except ValueError:
        return None  # a date of the form, but no such day


def _pattern(text: str) -> re.Pattern[str]:
    """Raises ValueError, with the reason, where `text` is no pattern."""
    try:
        # Java's set operations, as in [a-z&&[^x]], are something else to re, which only warns.
        with warnings.catch_warnings(action="error", category=FutureWarning):
            return re.compile(text, re.ASCII)  # Java's \w, \d and \s are ASCII
    except (re.error, FutureWarning, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(error.msg if isinstance(error, re.error) else error) from None


def _accepting(subject: str, operator: str, arguments: list[str]) -> _Test:
    """Whether the value of an instance that has one passes the comparison."""
    negated = operator.startswith("!")
    if operator in _PATTERN:
        fullmatch = _pattern(arguments[0]).fullmatch
        return lambda value: (fullmatch(value) is None) == negated
    if operator in _ORDER or subject == "agentVersion":
        kind, compare = _KINDS.get(subject, _NUMBER), _COMPARE[operator]
        wanted = _read(kind, arguments[0])

        def accepts(value: str) -> bool:
            found = _read(kind, value)
            return negated if None in (found, wanted) else bool(compare(found, wanted))

        return accepts
    listed = frozenset(arguments)
    return (lambda value: value not in listed) if negated else listed.__contains__


def _selected(subject: str, accepts: _Test, missing: bool, columns: Columns) -> NDArray[np.bool_]:
    codes, values = columns.column(subject)
    table = np.fromiter(map(accepts, values), np.bool_, len(values))
    return np.append(table, missing)[codes]  # the last entry is the one that code -1 picks


def _compile(subject: str, operator: str, arguments: list[str]) -> _Mask:
    negated = operator.startswith("!")
    if operator in _EXISTENCE:
        return partial(_selected, subject, lambda value: not negated, negated)
    if subject == "task:group":
        return lambda c: reduce(op.or_, [c.group_count(g) > 0 for g in arguments]) != negated
    if subject == "runningTasksCount":
        return lambda c: _COMPARE[operator](c.running_tasks_count, int(arguments[0]))
    if subject == "registeredAt":
        return lambda c: _COMPARE[operator](c.registered_at_ms // 1000, _seconds(arguments[0]))
    accepts = _accepting(subject, operator, arguments)
    if subject == "agentConnected":
        return lambda c: np.where(c.agent_connected, accepts("true"), accepts("false"))
    return partial(_selected, subject, accepts, False)


# A bare word may hold |, for patterns, but not ||. The end of the text is a token too, "".
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>'[^']*'|"[^"]*")|(?P<bare>(?:[^\s'"()\[\],!=<>~&|]|\|(?!\|))+)"""
    r"""|(?P<other>[=!<>]=|=~|!~|!(?:in|exists)\b|&&|\|\||\S|$))"""
)
# A pattern without quotes may hold ( ) [ ] , and more, as people run it on ECS: it goes on to the
# next blank outside its own brackets. ECS's guide does not say where one ends.
_OPEN, _CLOSE = "([{", ")]}"
_CONTINUATION = """'and', 'or' (quote a value that holds a space or any of ()[],'"!=<>~&)"""


class _Parser:
    """Recursive descent; `index` is of the token to read next, where every failure is reported."""

    def __init__(self, text: str):
        self.text, self.index, self.depth = text, 0, 0
        self.tokens = list(_TOKEN.finditer(text))
        self.named: dict[str, set[str]] = {}  # subject: all that it is compared with

    @property
    def token(self) -> str:
        return self.tokens[self.index][self.tokens[self.index].lastgroup or ""]

    @property
    def position(self) -> int:
        """Where the token to read next begins."""
        return self.tokens[self.index].end() - len(self.token)

    def take(self, *wanted: str) -> bool:
        self.index += (taken := self.token in wanted)
        return taken

    def fail(self, expected: str) -> NoReturn:
        found = f"'{self.token[:40]}'" if self.token else "the end"
        raise QueryError(self.text, self.position, f"expected {expected}, found {found}")

    def alternatives(self) -> _Mask:
        conjunction = partial(self.chain, self.negation, op.and_, "and", "&&")
        return self.chain(conjunction, op.or_, "or", "||")

    def chain(self, part: Callable[[], _Mask], join: Any, *joints: str) -> _Mask:
        parts = [part()]
        while self.take(*joints):
            parts.append(part())
        return lambda columns: reduce(join, [mask(columns) for mask in parts])

    def negation(self) -> _Mask:
        inverted = False
        while self.take("not", "!"):
            inverted = not inverted
        if self.token != "(":
            mask = self.comparison()
        elif self.depth == NESTING_MAX:
            self.fail(f"parentheses at most {NESTING_MAX} deep")
        else:
            self.index, self.depth = self.index + 1, self.depth + 1
            mask = self.alternatives()
            if not self.take(")"):
                self.fail(f"{_CONTINUATION} or ')'")
            self.depth -= 1
        return (lambda columns: ~mask(columns)) if inverted else mask

    def comparison(self) -> _Mask:
        subject = self.token
        if subject not in _OPERATORS and not _ATTRIBUTE.fullmatch(subject):
            self.fail(f"'(' or a subject ({', '.join(_OPERATORS)}, attribute:NAME)")
        self.index += 1
        operator, allowed = _SYMBOL.get(self.token, ""), _OPERATORS.get(subject, _ALL)
        if operator not in allowed:
            self.fail(f"an operator of {subject} ({' '.join(allowed)})")
        self.index += 1
        arguments = [] if operator in _EXISTENCE else self.arguments(subject, operator)
        self.named.setdefault(subject, set()).update(arguments)
        return _compile(subject, operator, arguments)

    def arguments(self, subject: str, operator: str) -> list[str]:
        several = operator in _LIST
        if several and not self.take("["):
            self.fail(f"a list such as [a, b] after '{operator}'")
        arguments = [self.argument(subject, operator)]
        while several and self.take(","):
            arguments.append(self.argument(subject, operator))
        if several and not self.take("]"):
            self.fail("',' or ']'")
        return arguments

    def bare_pattern(self) -> tuple[str, str] | None:
        """The pattern at the token to read next, which becomes its last one; None: no pattern."""
        start = self.position
        end, depth, in_class = start, 0, False
        while end < len(self.text):
            here = self.text[end]
            if in_class and here not in "]\\":
                end += 1  # brackets in [...] are characters
                continue
            if depth == 0 and (here.isspace() or self.text[end : end + 2] in ("&&", "||")):
                break
            if here in "'\"" or (here in _CLOSE and depth == 0):
                break  # of parentheses around the comparison
            in_class = here == "[" or (in_class and here != "]")
            depth += (here in _OPEN) - (here in _CLOSE)
            end += 2 if here == "\\" else 1
        if depth or end <= start or end > len(self.text):
            return None
        while self.tokens[self.index + 1].end() <= end and self.tokens[self.index + 1][0]:
            self.index += 1
        return "bare", self.text[start:end]

    def argument(self, subject: str, operator: str) -> str:
        sort, text = self.tokens[self.index].lastgroup, self.token
        if operator in _PATTERN and sort != "quoted" and text not in ("and", "or", "not"):
            sort, text = self.bare_pattern() or (sort, text)
        if sort == "other" or text in ("and", "or", "not"):
            hint = (
                " (quote a pattern whose brackets do not pair)" if text in ("(", "[", "{") else ""
            )
            value = f"a value after '{operator}'{hint if operator in _PATTERN else ''}"
            self.fail("a closing quote" if text in ("'", '"') else value)
        text = text[1:-1] if sort == "quoted" else text
        if operator in _PATTERN:
            try:
                _pattern(text)
            except ValueError as error:
                self.fail(f"a regular expression ({error})")
        elif subject in _KINDS and _read(_KINDS[subject], text) is None:
            self.fail(_KINDS[subject][0])
        self.index += 1
        return text
