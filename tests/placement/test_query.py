"""The cluster query language, against AWS's examples and against a naive evaluator of our own."""

from __future__ import annotations

import copy
import pickle
import re
import time
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.errors import QueryError
from stowplan.placement.query import EXPRESSION_CHARS_MAX, NESTING_MAX, CodedColumn, parse_query


@dataclass
class Instance:
    attributes: dict[str, str] = field(default_factory=dict)
    id: str | None = "i-0"
    version: str | None = "1.14.5"
    connected: bool = True
    tasks: int = 0
    registered: str = "2018-06-18T22:28:28.500+00:00"
    groups: dict[str, int] = field(default_factory=dict)

    def text(self, subject: str) -> str | None:
        if subject.startswith("attribute:"):
            return self.attributes.get(subject.removeprefix("attribute:"))
        return {"ec2InstanceId": self.id, "agentVersion": self.version}[subject]


class FakeColumns:
    def __init__(self, instances: Sequence[Instance]):
        self.instances, self.size = instances, len(instances)
        self.running_tasks_count = np.array([i.tasks for i in instances], np.int32)
        self.agent_connected = np.array([i.connected for i in instances], np.bool_)
        moments = [datetime.fromisoformat(i.registered) for i in instances]
        self.registered_at_ms = np.array([round(m.timestamp() * 1000) for m in moments], np.int64)

    def column(self, subject: str) -> CodedColumn:
        strings = [instance.text(subject) for instance in self.instances]
        values = ["of nobody now", *sorted({s for s in strings if s is not None})]
        codes = [-1 if s is None else values.index(s) for s in strings]
        return CodedColumn(np.array(codes, np.int32), values)

    def group_count(self, group: str) -> np.ndarray:
        return np.array([i.groups.get(group, 0) for i in self.instances], np.int32)


ZONE, TYPE, WEB = "ecs.availability-zone", "ecs.instance-type", "service:production"
FLEET = {
    "web": Instance({"stack": "prod", TYPE: "t2.small", ZONE: "us-east-1a"}, "i-abcd1234"),
    "gpu": Instance({"stack": "dev", TYPE: "g2.xlarge", ZONE: "us-east-1b"}, "i-wxyx7890", "1.9.0"),
    "bare": Instance({"rank": "10", ZONE: "us-east-1d", TYPE: "g2.large"}, None, None, False),
    "old": Instance({"rank": "9.50", "stack": ""}, "i-3", "1.14", registered="2018-02-12T23:59Z"),
}
FLEET["web"].attributes |= {"accent": "é", "big": "9007199254740993"}
FLEET["web"].groups, FLEET["web"].tasks = {WEB: 1}, 1
FLEET["gpu"].groups, FLEET["gpu"].tasks = {WEB: 1, "database": 2}, 3

# AWS's own examples first, then what its guide leaves open; the property below tries the rest.
SELECTIONS = """
attribute:ecs.instance-type == t2.small -> web
attribute:ecs.availability-zone in [us-east-1a, us-east-1b] -> web gpu
attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d -> gpu
task:group == service:production -> web gpu
not(task:group == database) -> web bare old
runningTasksCount == 1 -> web
agentVersion < 1.14.5 -> gpu old
agentConnected == false -> bare
registeredAt < 2018-02-13 -> old
ec2InstanceId in ['i-abcd1234', 'i-wxyx7890'] -> web gpu
attribute:stack exists -> web gpu old
attribute:stack != prod -> gpu old
attribute:stack == Prod or attribute:stack =~ pro ->
attribute:stack =~ dev|prod -> web gpu
attribute:ecs.instance-type =~ (p[3,4]|g[2,5]).* -> gpu bare
not (attribute:stack =~ (dev|prod)) and attribute:stack exists -> old
attribute:ecs.instance-type =~ [^(]2\\.(x?large|nano)&&agentConnected == true -> gpu
attribute:stack !~ (pr|x)o{1,2}d or attribute:rank == 10 -> gpu bare old
attribute:stack not_matches "[a-p]rod" -> gpu old
attribute:nowhere == x or attribute:nowhere !~ x or attribute:nowhere exists ->
attribute:rank greater_than_equal 9.5 -> bare old
attribute:stack > 0 or attribute:rank >= z or attribute:rank == 9.5 ->
attribute:big > 9007199254740992 -> web
attribute:accent =~ .+ and attribute:accent !~ \\w+ -> web
agentVersion == 1.14.0 -> old
ec2InstanceId =~ i-a.*4 || ec2InstanceId !~ '.{4,}' -> web old
registeredAt == 2018-06-18T22:28:28 -> web gpu bare
registeredAt > 2018-06-18T22:28:28Z ->
registeredAt <= 2018-02-13T01:59:00+02:00 -> old
runningTasksCount <= 99999999999999999999 -> web gpu bare old
task:group not_in [nobody, service:production] -> bare old
agentConnected == false or agentConnected == true and runningTasksCount == 3 -> gpu bare
(agentConnected==false||agentConnected==true)&&runningTasksCount==3 -> gpu
not agentConnected == true or attribute:stack == dev -> gpu bare
! not !attribute:stack exists -> bare
((attribute:stack exists))and(not(attribute:stack=='')) -> web gpu
attribute:stack != 'it"s' and attribute:stack != 'and' -> web gpu old
attribute:stack in[prod,"dev"] or attribute:stack == in -> web gpu
"""


def select(expression: str) -> set[str]:
    mask = parse_query(expression).mask(FakeColumns(list(FLEET.values())))
    assert mask.dtype == np.bool_
    return {name for name, chosen in zip(FLEET, mask, strict=True) if chosen}


@pytest.mark.parametrize("line", SELECTIONS.strip().splitlines())
def test_an_expression_selects(line: str) -> None:
    expression, _, chosen = line.partition("->")
    assert select(expression) == set(chosen.split())


SUBJECT, END = "'(' or a subject (agentConnected, ", "any of ()[],'\"!=<>~&) or the end, found"
# Where the error is, what was expected there, the expression.
ERRORS = f"""
0 | {SUBJECT} |
23 | {SUBJECT} | attribute:a exists and and
0 | {SUBJECT} | instanceType == t2.micro
0 | {SUBJECT} | AgentConnected == true
0 | {SUBJECT} | attribute: == x
0 | {SUBJECT} | attribute:{"n" * 129} exists
1 | {SUBJECT} | ()
11 | an operator of attribute:a (== != > >= < <= in !in =~ !~ exists !exists) | attribute:a
12 | an operator of attribute:a (== != > >= < <= in !in =~ !~ | attribute:a IN [x]
11 | an operator of task:group (== != in !in), found '=~' | task:group =~ a.*
11 | an operator of task:group (== != in !in), found 'exists' | task:group exists
15 | an operator of agentConnected (== != in !in =~ !~) | agentConnected < true
14 | an operator of ec2InstanceId (== != in !in =~ !~) | ec2InstanceId exists
13 | an operator of agentVersion (== != > >= < <=) | agentVersion in [1.2]
13 | an operator of registeredAt (== != > >= < <=) | registeredAt =~ 2018.*
18 | an operator of runningTasksCount (== != > >= < <=) | runningTasksCount matches 1
14 | a value after '==', found the end | attribute:a ==
15 | a value after '==', found 'and' | attribute:a == and attribute:b == c
15 | a closing quote, found ''' | attribute:a == 'x
15 | a list such as [a, b] after 'in', found 'x' | attribute:a in x
19 | a value after '!in', found ']' | attribute:a !in [x,]
18 | ',' or ']', found 'y' | attribute:a in [x y]
17 | ',' or ']', found the end | attribute:a in [x
18 | true or false, found 'yes' | agentConnected == yes
25 | true or false, found ''TRUE'' | agentConnected in [true, 'TRUE']
15 | a version such as 1.14.5, found 'latest' | agentVersion > latest
20 | a whole number, found '-1' | runningTasksCount > -1
15 | a date such as 2018-06-18 or | registeredAt < yesterday
15 | a date such as 2018-06-18 or | registeredAt < 2018-02-30
15 | a date such as 2018-06-18 or | registeredAt < 2018-02-13T12:00
15 | a regular expression (missing ), unterminated subpattern) | attribute:a =~ '(x'
15 | a regular expression (nothing to repeat), found '*' | attribute:a !~ *
15 | a regular expression (Possible set intersection | attribute:a =~ '[a-z&&[^x]]'
19 | {END} ')' | attribute:a =~ t2.a)
15 | quote a pattern whose brackets do not pair), found '(' | attribute:a =~ (t2.a
18 | {END} 'prod' | attribute:a == my prod
18 | {END} ')' | attribute:a exists)
19 | or ')', found the end | (attribute:a exists
{NESTING_MAX} | parentheses at most {NESTING_MAX} deep | {"(" * (NESTING_MAX + 1)}
{EXPRESSION_CHARS_MAX} | {SUBJECT} | {"!" * EXPRESSION_CHARS_MAX}
{EXPRESSION_CHARS_MAX} | at most {EXPRESSION_CHARS_MAX} characters | {"!" * 2001}
"""


@pytest.mark.parametrize("line", ERRORS.strip().splitlines())
def test_an_error_says_what_was_expected_and_where(line: str) -> None:
    position, what, expression = (part.strip() for part in line.split("|", 2))
    with pytest.raises(QueryError) as caught:
        parse_query(expression)
    error = caught.value
    assert (error.expression, error.position) == (expression, int(position)), error
    assert error.what.startswith("expected ")
    assert what in error.what


def test_the_longest_and_deepest_expressions_are_evaluated() -> None:
    deepest = "!(" * NESTING_MAX + "attribute:stack exists" + ")" * NESTING_MAX
    assert select(deepest) == select("!" * 1978 + "attribute:stack exists") == {"web", "gpu", "old"}
    assert select(" or ".join(["(agentVersion == 1.9)"] * 80)) == {"gpu"}


def test_a_version_that_is_not_dotted_numbers_differs_from_all_and_has_no_order() -> None:
    columns = FakeColumns([Instance(version="1.14.5-dev")])
    chosen = [o for o in ORDER if parse_query(f"agentVersion {o} 1.14.5").mask(columns)[0]]
    assert chosen == ["!="]


def test_a_date_without_a_zone_is_utc_wherever_we_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        assert select("registeredAt == 2018-06-18T22:28:28") == {"web", "gpu", "bare"}
    time.tzset()


READS = """
attribute:a == x or !(attribute:b/c exists and attribute:a < 2) | a b/c | | False
ec2InstanceId == i and agentVersion > 1 and registeredAt > 2018-01-01 | | | False
attribute:a exists and task:group in [g, 'h'] | a | g h | True
runningTasksCount == 0 | | | True
not agentConnected == true | | | True
"""


@pytest.mark.parametrize("line", READS.strip().splitlines())
def test_a_query_tells_what_it_reads(line: str) -> None:
    expression, attributes, groups, volatile = line.split("|")
    query = parse_query(expression)
    assert (query.attributes, query.groups) == (set(attributes.split()), set(groups.split()))
    assert str(query.volatile) == volatile.strip()


def test_a_query_is_a_value_equal_by_its_expression() -> None:
    query = parse_query("attribute:a exists")
    parse_query.cache_clear()
    again = parse_query("attribute:a exists")
    assert again is not query
    assert {query: 1}[again] == 1
    assert query != parse_query("attribute:b exists")
    assert pickle.loads(pickle.dumps(query)) == copy.deepcopy(query) == query
    with pytest.raises(AttributeError):
        query.expression = "x"  # type: ignore[misc]


def test_a_mask_over_10_000_instances_takes_well_under_5_ms() -> None:
    columns = FakeColumns([Instance()] * 10_000)
    kinds = CodedColumn(np.arange(10_000, dtype=np.int32) % 3, ["t2.small", "g2.large", "m5.large"])
    ids = CodedColumn(np.arange(10_000, dtype=np.int32), [f"i-{row:017x}" for row in range(10_000)])
    columns.column = lambda subject: ids if subject == "ec2InstanceId" else kinds  # type: ignore[method-assign]
    columns.group_count = lambda group: kinds.codes  # type: ignore[method-assign]

    def best_ms(expression: str) -> float:
        query = parse_query(expression)
        return 1000 * min(timeit.repeat(lambda: query.mask(columns), number=1, repeat=20))

    assert best_ms("attribute:t =~ '[gt]2.*' and task:group == g and agentConnected == true") < 5
    assert best_ms("ec2InstanceId =~ i-.*f") < 50  # 10,000 distinct values, each looked at


# --- any expression, against an evaluator that looks at one instance at a time -----------------

ORDER, TEXT = ("==", "!=", "<", "<=", ">", ">="), ("==", "!=", "in", "!in", "=~", "!~")
ANY = (*TEXT, *ORDER, "exists", "!exists")
WORDS = dict(zip(ORDER[:4], ("equals", "not_equals", "less_than", "less_than_equal"), strict=True))
WORDS |= {">": "greater_than", ">=": "greater_than_equal", "!in": "not_in", "=~": "matches"}
WORDS |= {"!~": "not_matches", "!exists": "not_exists"}
AFFIRMED = {"!=": "==", "!in": "in", "!~": "=~", "!exists": "exists"}
STRINGS = ["prod", "dev", "10", "9.5", "-3", "", "a b", "us-east-1a", "and", "x(y)"]
PATTERNS = ["prod", ".*", "[0-9.]+", "pro", "(a b|dev)", r"-?\d", ""]
DATES = ["2018-06-18T22:28:28+00:00", "2018-06-18T22:28:28", "2018-06-18", "2018-06-18T00:00:00Z"]
VERSIONS = ["1.14.5", "1.14", "1.9", "1.9.0", "2", "0.0", "10.1"]
SUBJECTS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "attribute:a": (ANY, STRINGS),
    "attribute:b": (ANY, STRINGS),
    "ec2InstanceId": (TEXT, ["i-0", "i-1"]),
    "agentConnected": (TEXT, ["true", "false"]),
    "agentVersion": (ORDER, VERSIONS),
    "registeredAt": (ORDER, DATES),
    "runningTasksCount": (ORDER, ["0", "1", "2"]),
    "task:group": (TEXT[:4], ["service:a", "b"]),
}


def holds(tree: Any, instance: Instance) -> bool:
    kind, *rest = tree
    if kind == "compare":
        return compared(*rest, instance)
    parts = [holds(part, instance) for part in rest]
    return {"not": not parts[0], "and": all(parts), "or": any(parts)}[kind]


def compared(subject: str, operator: str, wanted: list[str], instance: Instance) -> bool:
    if subject == "task:group":
        return any(instance.groups.get(g, 0) for g in wanted) == (operator in ("==", "in"))
    own = {"agentConnected": str(instance.connected).lower(), "registeredAt": instance.registered}
    own["runningTasksCount"] = str(instance.tasks)
    value = own[subject] if subject in own else instance.text(subject)
    if value is None or operator.endswith("exists"):
        return operator == ("!exists" if value is None else "exists")
    if operator in AFFIRMED:
        return not compared(subject, AFFIRMED[operator], wanted, instance)
    if operator == "=~":
        return re.fullmatch(wanted[0], value) is not None
    if operator == "in" or (operator == "==" and SUBJECTS[subject][0] is not ORDER):
        return value in wanted
    try:
        left, right = magnitude(subject, value), magnitude(subject, wanted[0])
    except ValueError:
        return False
    sign = (left > right) - (left < right)
    return sign in {"==": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (1, 0)}[operator]


def magnitude(subject: str, text: str) -> Any:
    if subject == "agentVersion":
        return [*map(int, text.split(".")), 0, 0][:3]
    if subject == "registeredAt":
        moment = datetime.fromisoformat(text).replace(microsecond=0)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(text)


@st.composite
def comparisons(draw: st.DrawFn) -> Any:
    subject = draw(st.sampled_from(sorted(SUBJECTS)))
    operator = draw(st.sampled_from(SUBJECTS[subject][0]))
    pool = st.sampled_from(PATTERNS if operator.endswith("~") else SUBJECTS[subject][1])
    count = 0 if operator.endswith("exists") else 1
    most = 3 if operator.endswith("in") else count
    return ("compare", subject, operator, draw(st.lists(pool, min_size=count, max_size=most)))


def joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    join = st.sampled_from(["and", "or"])
    several = st.tuples(join, parts, parts) | st.tuples(join, parts, parts, parts)
    return several | st.tuples(st.just("not"), parts)


def rendered(draw: st.DrawFn, tree: Any, binding: int = 0) -> str:
    """The tree as text in any spelling, in parentheses where `binding` needs them or by chance."""
    kind, *rest = tree
    own = ["or", "and", "not", "compare"].index(kind)
    if kind == "compare":
        subject, operator, wanted = rest
        values = [literal(draw, value) for value in wanted]
        tail = f"[{', '.join(values)}]" if operator.endswith("in") else " ".join(values)
        text = (
            f"{subject} {draw(st.sampled_from([operator, WORDS.get(operator, operator)]))} {tail}"
        )
    elif kind == "not":
        text = draw(st.sampled_from(["!", "not "])) + rendered(draw, rest[0], own)
    else:
        sign = draw(st.sampled_from([f" {kind} ", {"or": "||", "and": "&&"}[kind]]))
        text = sign.join(rendered(draw, part, own + 1) for part in rest)
    return f"({text})" if own < binding or draw(st.integers(0, 5)) == 0 else text


def literal(draw: st.DrawFn, text: str) -> str:
    bare = re.fullmatch(r"[\w.:+*/-]+", text) and text != "and"
    return draw(st.sampled_from([f"'{text}'", f'"{text}"', *([text] if bare else [])]))


INSTANCES = st.builds(
    Instance,
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(STRINGS)),
    st.sampled_from(["i-0", "i-1", None]),
    st.sampled_from([*VERSIONS, "dev", None]),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["2018-06-18T22:28:28.999+00:00", "2018-06-18T02:00:00+02:00"]),
    st.dictionaries(st.sampled_from(["service:a", "b"]), st.integers(0, 2)),
)
TREES = st.recursive(comparisons(), joined, max_leaves=8)


@settings(max_examples=150)
@given(st.data(), TREES, st.lists(INSTANCES, max_size=6))
def test_any_expression_selects_what_the_naive_evaluator_does(
    data: st.DataObject, tree: Any, instances: list[Instance]
) -> None:
    expression = rendered(data.draw, tree)
    mask = parse_query(expression).mask(FakeColumns(instances))
    assert mask.tolist() == [holds(tree, instance) for instance in instances], expression
