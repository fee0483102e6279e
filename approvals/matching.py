"""Whether a rule applies to a question: it does, it does not, or that cannot be told.

What cannot be told (an argument is missing or of another type than compared, a kind is not listed, a condition fails)
makes the rule count: a rule never goes away because of what an agent leaves out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals import conditions
from approvals.money import is_currency, millionths
from approvals.paths import value_at
from approvals.policy_file import DEFAULTS, EVERYTHING, Comparison, KindEntry, RuleEntry, matches
from approvals.question import Question
from approvals.terms import Terms
from approvals.windows import Scope, Share, Window, functions, windows_in


@dataclass(frozen=True)
class Facts:
    """A question, and what the policy itself says of those in it."""

    question: Question
    kind: KindEntry | None  #: None where the file does not list it
    owner: str
    principals: tuple[str, ...]  #: everybody of whom the agent could have said that it acts for them
    team: str | None = None  #: the principal's
    manager: str | None = None  #: the principal's
    unvouched: bool = False  #: whether an identity token could have said for whom, and none did

    def share(self, rule: str, window: Window) -> Share | None:
        """What the question takes of a rule's window; None where its amount, or whose it is, cannot be told."""
        amount, currency = self._taken(window)
        if amount is None or currency is None or self._could_be_anybodys(window):
            return None
        return Share(window=window.name(rule, self._whose(), currency), amount=amount, length=window.length)

    def came_to(self, rule: str, window: Window) -> int | None:
        """What a rule's window came to when the question was asked; None where that is not known."""
        share = self.share(rule, window)
        return None if share is None else self.question.sums.get(share.window)

    def _taken(self, window: Window) -> tuple[int | None, str | None]:
        """How much of a window, and in which currency ("": there is but one); None for what cannot be told."""
        money, arguments = self.kind.money if self.kind else None, self.question.action.arguments
        if window.path is None:
            return 1, ""
        if money is None or money.amount != window.path:
            return None, None
        currency = value_at(arguments, money.currency) if money.currency else ""
        sound = not money.currency or is_currency(currency)
        return millionths(value_at(arguments, window.path)), currency if sound else None

    def _could_be_anybodys(self, window: Window) -> bool:
        """Whether a token would say whose window it is, and none does: beside those of tokens it would be one more."""
        return self.unvouched and len(self.principals) > 1 and "principal" in window.per

    def _whose(self) -> Mapping[Scope, str]:
        """Whose windows they are; an agent that could name another principal has one for all of them."""
        question, (principal, *others) = self.question, self.principals
        return {
            "agent": question.agent,
            "principal": "" if others else principal,
            "kind": question.action.kind,
            "target": question.action.target,
        }

    def environment(self) -> str | None:
        """Where the action would take effect; None where that is not known."""
        if self.kind is None or self.kind.environment_from is None:
            return self.kind.environment if self.kind else None
        found = value_at(self.question.action.arguments, self.kind.environment_from)
        return found if isinstance(found, str) else None

    def variables(self) -> Mapping[str, Any]:
        """What a condition may look at; what is not known is not there (docs/how-to/write-a-policy.md)."""
        question, action = self.question, self.question.action
        kind = self.kind.model_dump(include={"effect", "risk", "reversible"}) if self.kind else {}
        return {
            "request": _known(
                kind=action.kind,
                target=action.target,
                agent=question.agent,
                principal=question.principal,
                audience=question.audience,
                started_by=question.started_by,
            ),
            "kind": {**kind, **_known(environment=self.environment())},
            "agent": {"name": question.agent, "owner": self.owner},
            "principal": _known(name=question.principal, team=self.team, manager=self.manager),
            "arguments": action.arguments,
            "preconditions": action.preconditions,
        }


@dataclass(frozen=True)
class Judgement:
    """Whether something matches (None: that cannot be told), and why; never with a value out of the request."""

    applies: bool | None
    why: str


_APPLIES: Final = Judgement(True, "all of it matches")


def judged(rule: RuleEntry, facts: Facts) -> Judgement:
    """Whether a rule applies. The first thing that does not match settles it."""
    unclear = []
    for judgement in _parts(rule, facts):
        if judgement.applies is False:
            return judgement
        if judgement.applies is None:
            unclear.append(judgement.why)
    return Judgement(None, "; ".join(unclear)) if unclear else _APPLIES


def shares(rules: Sequence[RuleEntry], facts: Facts) -> Iterator[Share]:
    """What a question takes of the windows of every rule whose `match` may cover it."""
    for rule in rules:
        windows = windows_in(rule.when) if rule.when is not None else ()
        if windows and all(judgement.applies is not False for judgement in _match(rule, facts)):
            found = (facts.share(rule.id, window) for window in windows)
            yield from (share for share in found if share is not None)


def _parts(rule: RuleEntry, facts: Facts) -> Iterator[Judgement]:
    yield from _match(rule, facts)
    if rule.when is not None:
        yield _condition(rule.id, rule.when, facts)


def _match(rule: RuleEntry, facts: Facts) -> Iterator[Judgement]:
    match, question = rule.match, facts.question
    yield _named("kind", match.kind, question.action.kind)
    yield _named("target", match.target, question.action.target)
    yield _named("agent", match.agent, question.agent)
    yield _for_whom(match.principal, facts)
    if match.effect is not None:
        yield _named("effect", match.effect, facts.kind.effect if facts.kind else None)
    if match.risk is not None:
        yield _named("risk", match.risk, facts.kind.risk if facts.kind else None)
    if match.environment != EVERYTHING:
        yield _named("environment", match.environment, facts.environment())
    for path, comparison in match.arguments.items():
        yield _compared(path, comparison, value_at(question.action.arguments, path))


def _named(what: str, patterns: tuple[str, ...], value: str | None) -> Judgement:
    if patterns == EVERYTHING:
        return _APPLIES
    if value is None:
        return Judgement(None, f"its {what} is not known")
    if matches(patterns, value):
        return _APPLIES
    return Judgement(False, f"its {what} is not {' or '.join(patterns)}")


def _for_whom(patterns: tuple[str, ...], facts: Facts) -> Judgement:
    """An agent that could name another principal does not choose its rules by whom it names."""
    found = {matches(patterns, one) for one in facts.principals}
    if found == {True}:
        return _APPLIES
    if found == {False}:
        return Judgement(False, f"its principal is not {' or '.join(patterns)}")
    return Judgement(None, "the agent acts for several principals, and not all of them match")


def _condition(rule: str, text: str, facts: Facts) -> Judgement:
    known = functions(lambda window: facts.came_to(rule, window))
    found = conditions.holds(text, facts.variables(), known)
    if found is None:
        return Judgement(None, "its condition could not be evaluated")
    return _APPLIES if found else Judgement(False, "its condition is false")


@dataclass(frozen=True)
class Heard:
    """What one rule had to say: whether it counts, for certain or because that cannot be told, and why (not)."""

    rule: str
    counts: bool
    why: str
    certain: bool = True
    exempted_by: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Every rule of the policy, the defaults last, and the terms that those that count come to."""

    rules: tuple[Heard, ...]
    terms: Terms


def heard(rules: Sequence[RuleEntry], facts: Facts) -> tuple[Heard, ...]:
    """Every rule, in the file's order, and the defaults.

    Only a rule that applies for certain, and is not exempted from, exempts; and nothing exempts a kind that nobody has
    described from the defaults.
    """
    found = {rule.id: judged(rule, facts) for rule in rules} | {DEFAULTS: _always(facts)}
    exempting = [rule for rule in rules if rule.exempts and found[rule.id].applies]

    def exempted_by(name: str) -> str | None:
        if name == DEFAULTS and facts.kind is None:
            return None
        by = (rule.id for rule in exempting if name in rule.exempts)
        return next((one for one in by if exempted_by(one) is None), None)

    return tuple(_heard(name, said, exempted_by(name) if exempting else None) for name, said in found.items())


def _always(facts: Facts) -> Judgement:
    """Why the defaults count."""
    if facts.kind is None:
        return Judgement(True, "its kind is not listed, so nothing exempts from them")
    return Judgement(True, "no rule exempts from them")


def _heard(name: str, judgement: Judgement, by: str | None) -> Heard:
    if judgement.applies is False:
        return Heard(name, False, judgement.why)
    if by is not None:
        return Heard(name, False, f"the rule {by} exempts from it", exempted_by=by)
    if judgement.applies is None:
        return Heard(name, True, f"{judgement.why}, so it counts", certain=False)
    return Heard(name, True, judgement.why)


_ORDERS: Final[Mapping[str, tuple[str, Callable[[int, int], bool]]]] = {
    "more": (">", operator.gt),
    "least": (">=", operator.ge),
    "less": ("<", operator.lt),
    "most": ("<=", operator.le),
}


def _compared(path: str, comparison: Comparison, value: Any) -> Judgement:
    """An argument against everything it is compared with; amounts exactly, everything else as it is written."""
    unclear = None
    for name in sorted(comparison.model_fields_set):
        judgement = _compared_once(path, name, getattr(comparison, name), value)
        if judgement.applies is False:
            return judgement
        unclear = judgement if judgement.applies is None else unclear
    return unclear or _APPLIES


def _compared_once(path: str, name: str, wanted: Any, value: Any) -> Judgement:
    if name in _ORDERS:
        return _ordered(path, *_ORDERS[name], wanted, value)
    if name == "like":
        return _fits(path, isinstance(value, str), matches(wanted, str(value)), f"like {', '.join(wanted)}")
    one_of = wanted if isinstance(wanted, tuple) else (wanted,)
    alike = any(type(value) is type(one) for one in one_of)
    said = f"{'not ' if name in {'differs', 'outside'} else ''}{' or '.join(map(str, one_of))}"
    among = any(type(value) is type(one) and value == one for one in one_of)
    return _fits(path, alike, among is (name in {"equals", "among"}), said)


def _ordered(path: str, sign: str, compare: Callable[[int, int], bool], wanted: str, value: Any) -> Judgement:
    limit, amount = millionths(wanted), millionths(value)
    known = limit is not None and amount is not None
    return _fits(path, known, known and compare(amount or 0, limit or 0), f"{sign} {wanted}")


def _fits(path: str, comparable: bool, holds: bool, said: str) -> Judgement:
    if not comparable:
        return Judgement(None, f"{path} is missing, or cannot be compared: {said}")
    return _APPLIES if holds else Judgement(False, f"{path} is not {said}")


def _known(**members: str | None) -> dict[str, str]:
    return {name: value for name, value in members.items() if value is not None}
