"""Which past requests would go otherwise under another policy, each after those before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from approvals.errors import EntryRefused
from approvals.policy import Policy
from approvals.terms import Terms
from bot.earlier import Sums
from bot.policy_words import demanded
from bot.questions import Found, Past

_KINDS = ("stricter", "looser", "different")


def report(old: Policy, new: Policy, past: Found) -> Iterator[str]:
    """A line for every request that would go otherwise, with what changes under it; the totals last."""
    totals, was, would_be = Counter[str](), Sums(old), Sums(new)
    for request in sorted(past.requests, key=lambda one: one.at):
        before, after = _outcome(old, was, request), _outcome(new, would_be, request)
        said = _compared(before, after)
        totals[said] += 1
        if said != "same":
            yield f"{request.name}  {request.agent}: {said}"
            yield from (f"    {line}" for line in _changes(before, after))
    changed = ", ".join(f"{totals[kind]} {kind}" for kind in _KINDS)
    yield f"{len(past.requests)} requests: {changed}, {totals['same']} as before"
    if past.gone:
        yield f"{len(past.gone)} more are kept no longer and could not be judged; sums over time are without them"


def _outcome(policy: Policy, sums: Sums, request: Past) -> Terms | EntryRefused:
    """What a policy makes of a request after those before it; what it takes or denies itself then counts, or not."""
    try:
        question = sums.told(request.question(policy), request.at)
    except EntryRefused as refusal:
        return refusal
    terms = policy.terms(question)
    if terms.verdict != "deny":
        sums.count(question, request.used_at, request.over_at)
    return terms


def _compared(before: Terms | EntryRefused, after: Terms | EntryRefused) -> str:
    if isinstance(before, EntryRefused) or isinstance(after, EntryRefused):
        both = isinstance(before, EntryRefused) and isinstance(after, EntryRefused)
        return "same" if both else "stricter" if isinstance(after, EntryRefused) else "looser"
    tighter, wider = _as_strict(after, before), _as_strict(before, after)
    if tighter and wider:
        return "same" if not list(_changes(before, after)) else "different"
    return "stricter" if tighter else "looser" if wider else "different"


def _as_strict(one: Terms, other: Terms) -> bool:
    """Whether terms demand all that others demand: those then tighten nothing."""
    return _demands(one) == _demands(one.tightened_by(other)) and one.within <= other.within


def _demands(terms: Terms) -> dict[str, Any]:
    """What `tightened_by` tightens, without the names and the order that change nothing."""
    kept = {"verdict", "excluded", "barred", "deny_quorum", "reasons", "min_look", "confirm_code", "unseen"}
    times = {"use_within", "receipt_ttl", "longest"}
    factors = {frozenset(factor.sources): factor.need for factor in terms.factors}
    return {**terms.model_dump(include=kept | times), "factors": factors, "escalation": {*terms.escalation}}


def _changes(before: Terms | EntryRefused, after: Terms | EntryRefused) -> list[str]:
    was, will = _lines(before), _lines(after)
    return [f"- {line}" for line in was if line not in will] + [f"+ {line}" for line in will if line not in was]


def _lines(outcome: Terms | EntryRefused) -> list[str]:
    if isinstance(outcome, EntryRefused):
        return [f"not accepted: {outcome.reason}"]
    return [f"by {'+'.join(outcome.rules)}: {outcome.verdict}", *(f"{name} {text}" for name, text in demanded(outcome))]
