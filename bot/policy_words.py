"""What a policy makes of a request, as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from approvals.errors import EntryRefused
from approvals.matching import Explanation, Heard
from approvals.policy import Policy
from approvals.question import Question
from approvals.terms import Escalation, Factor, Terms
from approvals.text import one_line

_VERDICTS: Final = {"require": "people are asked", "allow": "a rule allows it", "deny": "a rule denies it"}
_TOLD: Final = {"mention": "", "dm": ", told by a message of their own", "none": ", not told"}


def refused(refusal: EntryRefused) -> str:
    """Why a request would not be taken."""
    return f"not accepted ({refusal.reason}): {one_line(refusal.message)}\n  {one_line(refusal.remedy)}"


def example(policy: Policy) -> str:
    """A request that this policy could be asked about, with all that one must have, as JSON on one line."""
    kind = next(iter(policy.kinds), "payments.release")
    action = {"kind": kind, "target": "bank:acme", "arguments": {"amount": "12400.00"}}
    action |= {"nonce": "tE8x0aXq1mJmJv0b3zq2Vg"}
    agent = next(iter(policy.agents), "payments-bot")
    return json.dumps({"agent": agent, "v": 1, "call": "run-118/release", "action": action})


def explained(question: Question, explanation: Explanation) -> str:
    """Every rule, and what they come to."""
    terms = explanation.terms
    asks = f"{question.agent} asks for {question.action.kind} on {one_line(question.action.target)}"
    rows = [("rule", _rule(rule)) for rule in explanation.rules] + list(demanded(terms))
    lines = [f"{asks}, for {question.principal}: {_VERDICTS[terms.verdict]}", *(f"  {n:<14}{t}" for n, t in rows)]
    return "\n".join(lines)


def _rule(rule: Heard) -> str:
    counts = "counts" if rule.counts and rule.certain else "counts (unclear)" if rule.counts else "does not count"
    return f"{rule.rule}: {counts}: {one_line(rule.why)}"


def demanded(terms: Terms) -> Iterator[tuple[str, str]]:
    """What terms demand, each demand with its name."""
    if terms.verdict == "require":
        yield from (("asks", _factor(factor)) for factor in terms.factors)
        yield "never counts", ", ".join((*terms.excluded, *(f"who is in {source}" for source in terms.barred)))
        yield "a no takes", f"{terms.deny_quorum} of them"
        yield "shown in", ", ".join(terms.destinations)
        yield "open for", span(terms.within)
        yield from (("escalates", f"after {span(step.after)}: {_step(step)}") for step in terms.escalation)
        yield from _care(terms)
    if terms.verdict == "allow" and terms.announced:
        yield "announced in", ", ".join(terms.destinations)
    if terms.verdict != "deny":
        yield "usable for", f"{span(terms.use_within)}, each receipt for {span(terms.receipt_ttl)}"


def _factor(factor: Factor) -> str:
    return f"{factor.need} of {', '.join(factor.sources)} ({factor.name}{_TOLD[factor.notify]})"


def _step(step: Escalation) -> str:
    return ", ".join((*step.sources, *step.destinations))


def _care(terms: Terms) -> Iterator[tuple[str, str]]:
    if terms.reasons:
        yield "needs a reason", f"to {' and to '.join(terms.reasons)}"
    if terms.min_look:
        yield "takes a look", f"of {span(terms.min_look)} at least"
    if terms.confirm_code:
        yield "takes the code", "that stands on the review"


def span(milliseconds: int) -> str:
    """A duration as policy writes it."""
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds // 1000}s"
