"""Who may answer: the one check of authority that every door uses."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.errors import DirectoryUnavailable
from approvals.policy import Policy
from approvals.ports import Account, Directory
from approvals.terms import Factor, Terms


@dataclass(frozen=True)
class Voter:
    """A person who may answer, and the factors they count for."""

    person: str
    account: Account
    factors: tuple[str, ...]


@dataclass(frozen=True)
class NotAllowed:
    """Why this person may not answer, in a sentence they can be shown; `reason` is its name in docs and metrics."""

    reason: str
    sentence: str


async def may_answer(account: Account, terms: Terms, policy: Policy, directory: Directory) -> Voter | NotAllowed:
    """Whether the person behind an account may answer under these terms, looked up now.

    Every look-up failure refuses. An account that no person is linked to stands for itself, and never counts where
    more than one person is needed.
    """
    person = policy.person_of(account.id)
    if refusal := _excluded(person or account.id, account.id, terms):
        return refusal
    try:
        if refusal := _unfit(account, await directory.standing(account)):
            return refusal
        named = person or account.id
        factors = [factor for factor in terms.factors if await _counts_for(named, account, factor, directory)]
    except DirectoryUnavailable:
        return NotAllowed(
            "lookup_failed", "I could not check who you are just now, so nothing was counted. Click again."
        )
    if not factors:
        return NotAllowed("not_an_approver", f"You are not among those asked here: {_names(terms)}.")
    if person is None and sum(factor.need for factor in terms.factors) > 1:
        return NotAllowed(
            "unlinked", "Your account is not linked to a person in the policy, and more than one person is needed here."
        )
    return Voter(named, account, tuple(factor.name for factor in factors))


def _excluded(person: str, account: str, terms: Terms) -> NotAllowed | None:
    if person in terms.excluded or account in terms.excluded:
        return NotAllowed(
            "own_request", "This was asked by you, for you or by your agent, so your answer cannot count."
        )
    return None


def _unfit(account: Account, standing: str | None) -> NotAllowed | None:
    """Refuse everybody who is not a full, active, human member of our own workspace."""
    if standing is None:
        return None
    return NotAllowed(
        "not_a_member", f"Only full, active members of this workspace can answer; your account is {standing}."
    )


async def _counts_for(person: str, account: Account, factor: Factor, directory: Directory) -> bool:
    for source in factor.sources:
        if source == f"person:{person}":
            return True
        if not source.startswith("person:") and await directory.is_member(account, source):
            return True
    return False


def _names(terms: Terms) -> str:
    return " and ".join(factor.name for factor in terms.factors) or "nobody"
