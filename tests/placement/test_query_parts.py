"""The parts of a query: what must all be true, and of which one must be."""

import pytest

from stowplan.placement.query import alternatives, conjuncts, parse_query


@pytest.mark.parametrize(
    ("expression", "all_of", "one_of"),
    [
        ("attribute:a == b", 1, 1),
        (
            "(attribute:a == b and (attribute:c exists)) and not (attribute:d == e)",
            [
                "attribute:a == b",
                "(attribute:c exists)",
                "not (attribute:d == e)",
            ],
            1,
        ),
        (
            "attribute:a == b or attribute:c == d and attribute:e exists",
            1,
            ["attribute:a == b", "attribute:c == d and attribute:e exists"],
        ),
        (
            "((attribute:a == b or attribute:c exists))",
            1,
            ["attribute:a == b", "attribute:c exists"],
        ),
        (
            "attribute:a =~ m5.(large|xlarge) and task:group in [x, y]",
            ["attribute:a =~ m5.(large|xlarge)", "task:group in [x, y]"],
            1,
        ),
    ],
)
def test_a_query_falls_into_what_all_or_one_must_be_true(expression, all_of, one_of):
    query = parse_query(expression)
    for parts, expected in ((conjuncts(query), all_of), (alternatives(query), one_of)):
        found = [part.expression for part in parts]
        assert found == ([expression] if expected == 1 else expected)
