"""Where in a request a credential would show: everything an agent writes that is drawn, compared or told to anybody."""

from __future__ import annotations

from collections.abc import Iterator

from approvals.errors import EntryRefused
from approvals.intake import RequestDocument
from approvals.paths import Part, is_step, leaves, lies_in
from approvals.ports import SecretDetector


def must_hold_none(document: RequestDocument, exempt: tuple[str, ...], detector: SecretDetector) -> None:
    """Raise EntryRefused where a request holds a credential outside of the argument paths in `exempt`.

    It names the field, never the value: what is refused must not be told on.
    """
    texts = list(_texts(document, exempt))
    found = detector.first_in([(name, text) for _, name, text in texts])
    if found is None:
        return
    raise EntryRefused(
        "credential",
        "this looks like a credential, and people would see it",
        field=texts[found][0],
        remedy="send a reference to where it lies; or declare the argument in policy, under kinds.<kind>.secret "
        "(people see a mask) or kinds.<kind>.shown (it is no credential)",
    )


def _texts(document: RequestDocument, exempt: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Every text with the field it stands in and what it is called there. Names come before what they name."""
    action = document.action
    yield "call", "", document.call
    yield "action.target", "", action.target
    yield "because", "", document.because
    yield "principal", "", document.principal or ""
    yield "started_by", "", document.started_by or ""
    arguments = [(at, value) for at, value in leaves(action.arguments) if not lies_in(at, exempt)]
    yield from _texts_of("action.arguments", arguments)
    yield from _texts_of("action.preconditions", list(leaves(action.preconditions)))


def _texts_of(field: str, values: list[tuple[tuple[Part, ...], object]]) -> Iterator[tuple[str, str, str]]:
    names = dict.fromkeys(part for at, _ in values for part in at if isinstance(part, str))
    yield from ((field, "", name) for name in names)
    for at, value in values:
        if isinstance(value, str):
            name = next((part for part in reversed(at) if isinstance(part, str)), "")
            yield field + "".join(map(_shown, at)), name, value


def _shown(part: Part) -> str:
    """A step of a path as a field names it; one that is no plain name is left out."""
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if is_step(part) else ".…"
