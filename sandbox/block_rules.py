"""The building stones of the Block Kit check: small rules that look at one value and report what is wrong.

A rule is a function of the report, the JSON pointer of the value, and the value. Rules are combined into
shapes (blocks.py), which are tables of field → rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing Slack would refuse: what, and where as a JSON pointer."""

    message: str
    pointer: str

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.pointer}]"

    def as_json(self) -> Json:
        """The error object of blocks.validate."""
        return {
            "pointer": self.pointer,
            "code": "failed_constraint",
            "message": self.message,
            "field": self.pointer.rsplit("/", 1)[-1],
        }


@dataclass
class Report:
    """What has been found so far in one message or view."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, at: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(message, at))


Rule = Callable[[Report, str, Any], None]


@dataclass(frozen=True)
class Shape:
    """The fields an object must have and may have, and rules for the object as a whole."""

    required: Mapping[str, Rule] = field(default_factory=dict)
    optional: Mapping[str, Rule] = field(default_factory=dict)
    whole: tuple[Rule, ...] = ()

    def __call__(self, report: Report, at: str, value: Any) -> None:
        if not isinstance(value, dict):
            report.add(at, "must provide an object")
            return
        for name in self.required:
            if value.get(name) is None:
                report.add(at, f"missing required field: {name}")
        for name, item in value.items():
            self._field(report, at, name, item)
        for rule in self.whole:
            rule(report, at, value)

    def _field(self, report: Report, at: str, name: str, item: Any) -> None:
        rule = self.required.get(name) or self.optional.get(name)
        if rule is None:
            if name != "type":
                report.add(at, f"invalid additional property: {name}")
        elif item is not None:
            rule(report, f"{at}/{name}", item)


def anything(report: Report, at: str, value: Any) -> None:
    """Accept every value: Slack's limits for it are not documented."""


def boolean(report: Report, at: str, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        report.add(at, "must provide a boolean")


def integer(minimum: int, maximum: int) -> Rule:
    """A whole number between two bounds, both included."""

    def rule(report: Report, at: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            report.add(at, "must provide an integer")
        elif not minimum <= value <= maximum:
            report.add(at, f"must be between {minimum} and {maximum}")

    return rule


def string(maximum: int, minimum: int = 0) -> Rule:
    """A string of at least `minimum` and at most `maximum` characters."""

    def rule(report: Report, at: str, value: Any) -> None:
        if not isinstance(value, str):
            report.add(at, "must provide a string")
        elif len(value) > maximum:
            report.add(at, f"must be less than {maximum + 1} characters")
        elif len(value) < minimum:
            report.add(at, f"must be more than {minimum - 1} characters")

    return rule


def choice(*values: str) -> Rule:
    """One of these strings."""

    def rule(report: Report, at: str, value: Any) -> None:
        if value not in values:
            report.add(at, "value must be one of: " + ", ".join(values))

    return rule


def array(item: Rule, minimum: int, maximum: int) -> Rule:
    """A list with bounds on its length and a rule for each item."""

    def rule(report: Report, at: str, value: Any) -> None:
        if not isinstance(value, list):
            report.add(at, "must provide an array")
            return
        if len(value) > maximum:
            report.add(at, f"no more than {maximum} items allowed [{len(value)} given]")
        if len(value) < minimum:
            report.add(at, f"no fewer than {minimum} items required")
        for index, element in enumerate(value):
            item(report, f"{at}/{index}", element)

    return rule


def one_of(shapes: Mapping[str, Shape], *types: str) -> Rule:
    """An object whose `type` is one of `types` (all, if none is named), checked against that type's shape."""
    allowed = types or tuple(shapes)

    def rule(report: Report, at: str, value: Any) -> None:
        if not isinstance(value, dict):
            report.add(at, "must provide an object")
        elif not isinstance(kind := value.get("type"), str):
            report.add(at, "missing required field: type")
        elif kind not in allowed:
            report.add(f"{at}/type", f"unsupported type: {kind}")
        else:
            shapes[kind](report, at, value)

    return rule


def text(maximum: int, *kinds: str) -> Rule:
    """A text object of 1 to `maximum` characters; `kinds` are plain_text and mrkdwn unless named."""
    characters = string(maximum, 1)
    shapes = {
        "plain_text": Shape({"text": characters}, {"emoji": boolean}),
        "mrkdwn": Shape({"text": characters}, {"verbatim": boolean}),
    }
    return one_of(shapes, *(kinds or ("plain_text", "mrkdwn")))


def plain(maximum: int) -> Rule:
    """A plain_text object of 1 to `maximum` characters."""
    return text(maximum, "plain_text")


def any_of(*names: str) -> Rule:
    """At least one of these fields is there."""

    def rule(report: Report, at: str, value: Any) -> None:
        if all(value.get(name) is None for name in names):
            report.add(at, "missing required field: " + " or ".join(names))

    return rule


def unique(key: str, children: Callable[[Json], list[Any]], what: str) -> Rule:
    """No two of an object's children share the value of `key`."""

    def rule(report: Report, at: str, value: Any) -> None:
        seen: set[str] = set()
        for child in children(value):
            identity = child.get(key) if isinstance(child, dict) else None
            if identity and identity in seen:
                report.add(at, f"`{key}` {identity!r} already exists for another {what}")
            seen.add(identity or "")

    return rule
