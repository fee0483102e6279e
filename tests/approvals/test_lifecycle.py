"""The table of a request's life."""

from __future__ import annotations

import ast
import inspect
from enum import StrEnum
from itertools import product

import pytest

from approvals.errors import IllegalTransition
from approvals.lifecycle import ENDED, TRANSITIONS, Event, Status, step

#: DESIGN §3, column "may become".
MAY_BECOME = {
    "pending": {"approved", "denied", "expired", "withdrawn"},
    "approved": {"spent", "lapsed", "revoked"},
    "spent": {"succeeded", "failed", "unknown"},
    "unknown": {"succeeded", "failed"},
}


def test_every_status_meets_every_event_as_the_table_says() -> None:
    for status, event in product(Status, Event):
        if (status, event) in TRANSITIONS:
            assert step(status, event) is TRANSITIONS[status, event]
        else:
            with pytest.raises(IllegalTransition, match=f"{status} cannot {event}"):
                step(status, event)


def test_the_table_allows_exactly_what_the_design_allows() -> None:
    allowed: dict[str, set[str]] = {}
    for (status, _), after in TRANSITIONS.items():
        allowed.setdefault(status.value, set()).add(after.value)
    assert allowed == MAY_BECOME


def test_nothing_follows_an_end() -> None:
    assert {status.value for status in ENDED} == {status.value for status in Status} - set(MAY_BECOME)


def test_only_an_approval_leads_to_a_spend() -> None:
    assert [status for status, event in TRANSITIONS if event is Event.SPEND] == [Status.APPROVED]
    into_approved = [(status, event) for (status, event), after in TRANSITIONS.items() if after is Status.APPROVED]
    assert into_approved == [(Status.PENDING, Event.APPROVE)]


@pytest.mark.parametrize("vocabulary", [Status, Event])
def test_every_word_has_a_sentence_beside_it(vocabulary: type[StrEnum]) -> None:
    lines = inspect.getsource(vocabulary).splitlines()
    tree = ast.parse("\n".join(lines)).body[0]
    assert isinstance(tree, ast.ClassDef)
    members = [node for node in tree.body if isinstance(node, ast.Assign)]
    assert len(members) == len(vocabulary)
    for node in members:
        _, _, sentence = lines[node.lineno - 1].partition("#: ")
        assert len(sentence) > 10, lines[node.lineno - 1]
