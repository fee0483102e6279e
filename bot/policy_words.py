"""What a policy makes of a request, as lines for a terminal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from approvals.errors import ApprovalsError, EntryRefused
from approvals.matching import Explanation, Heard
from approvals.people import Voter, may_answer
from approvals.policy import Policy
from approvals.ports import Account, Directory
from approvals.question import Question
from approvals.terms import Escalation, Factor, Terms
from approvals.text import one_line
from bot.settings import Settings
from handlers.slack.api import new_client
from handlers.slack.directory import SlackDirectory
from handlers.slack.errors import ApiProblem, SlackProblem
from handlers.slack.identity import identify

_VERDICTS: Final = {"require": "people are asked", "allow": "a rule allows it", "deny": "a rule denies it"}
_TOLD: Final = {"mention": "", "dm": ", told by a message of their own", "none": ", not told"}


def refused(refusal: EntryRefused) -> str:
    """Why a request would not be taken."""
    return f"not accepted ({refusal.reason}): {one_line(refusal.message)}\n  {one_line(refusal.remedy)}"


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


async def people_now(terms: Terms, policy: Policy, settings: Settings | None) -> str:
    """Who could answer right now: everybody the policy knows, by the check that a click goes through.

    Without settings, or where Slack cannot be asked, it is whom the file names, and says so.
    """
    if settings is None or settings.resolved_slack_mode() == "off" or settings.slack_bot_token is None:
        why = "Slack was not asked" if settings is None else "Slack is off"
        return _right_now(_by_file(terms, why))
    try:
        async with _slack(settings.slack_bot_token.get_secret_value(), settings.slack_api_url) as directory:
            return _right_now([row async for row in _asking(terms, policy, directory)])
    except (ApprovalsError, SlackProblem, ApiProblem, aiohttp.ClientError) as exc:
        return _right_now(_by_file(terms, f"Slack could not be asked: {type(exc).__name__}"))


def _right_now(rows: Iterable[str]) -> str:
    return "\n".join(["right now", *rows])


@asynccontextmanager
async def _slack(token: str, url: str) -> AsyncIterator[Directory]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        client = new_client(token, session, base_url=url)
        directory = SlackDirectory(client, await identify(client), now=time.monotonic)
        try:
            yield directory
        finally:
            await directory.close()


async def _asking(terms: Terms, policy: Policy, directory: Directory) -> AsyncIterator[str]:
    for person in policy.people:
        for account in (Account(*name.split(":", 2)) for name in policy.accounts_of(person)):
            said = await _could(account, terms, policy, directory) if account.via == "slack" else "was not asked"
            yield f"  {person:<14}{said} ({account.id})"


async def _could(account: Account, terms: Terms, policy: Policy, directory: Directory) -> str:
    found = await may_answer(account, terms, policy, directory)
    return f"may answer for {', '.join(found.factors)}" if isinstance(found, Voter) else f"may not: {found.sentence}"


def _by_file(terms: Terms, why: str) -> Iterator[str]:
    """Who is named in the file; who is in a group of a chat platform is not known."""
    for factor in terms.factors:
        named = [source.removeprefix("person:") for source in factor.sources if source.startswith("person:")]
        able = [name for name in named if name not in terms.excluded and f"person:{name}" not in terms.barred]
        others = [source for source in factor.sources if not source.startswith("person:")]
        said = [*able, *(f"whoever is in {source} ({why})" for source in others)]
        yield f"  {factor.name:<14}{', '.join(said) or 'nobody'}"
