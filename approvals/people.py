"""Who may answer: the one check of authority that every door uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from approvals.errors import DirectoryUnavailable
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Account, Directory
from approvals.request import Vote
from approvals.terms import Terms


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


@dataclass(frozen=True)
class Operator:
    """A person who holds the role that was asked for."""

    person: str
    account: Account


_UNCHECKED = NotAllowed("lookup_failed", "I could not check who you are just now, so nothing was counted. Click again.")


async def may_answer(
    account: Account, terms: Terms, policy: Policy, directory: Directory, answer: str = "approve"
) -> Voter | NotAllowed:
    """Whether the person behind an account may give this answer under these terms, looked up now.

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
        if await _belongs(named, account, terms.barred, directory):
            return NotAllowed("excluded", "The policy lets nobody of your team or group answer this request.")
        factors = [factor for factor in terms.factors if await _belongs(named, account, factor.sources, directory)]
    except DirectoryUnavailable:
        return _UNCHECKED
    if not factors:
        return NotAllowed("not_an_approver", f"You are not among those asked here: {_names(terms)}.")
    needed = sum(factor.need for factor in terms.factors) if answer == "approve" else terms.deny_quorum
    if person is None and needed > 1:
        return NotAllowed(
            "unlinked", "Your account is not linked to a person in the policy, and more than one person is needed here."
        )
    return Voter(named, account, tuple(factor.name for factor in factors))


async def sources_of(account: Account, policy: Policy, directory: Directory) -> tuple[str, ...]:
    """The approver sources that a person belongs to, as far as they can be looked up."""
    person = policy.person_of(account.id) or account.id
    found = []
    for source in policy.sources:
        with suppress(DirectoryUnavailable):
            if await _belongs(person, account, (source,), directory):
                found.append(source)
    return tuple(found)


async def may_operate(account: Account, role: Role, policy: Policy, directory: Directory) -> Operator | NotAllowed:
    """Whether the person behind an account holds a role, looked up now. A role nobody is named for is nobody's."""
    person = policy.person_of(account.id) or account.id
    sources = policy.role(role)
    if not sources:
        return NotAllowed("no_such_role", f"The policy lets nobody {role}.")
    try:
        if refusal := _unfit(account, await directory.standing(account)):
            return refusal
        if await _belongs(person, account, sources, directory):
            return Operator(person, account)
    except DirectoryUnavailable:
        return _UNCHECKED
    return NotAllowed("no_role", f"The policy does not let you {role}.")


async def standing_votes(
    votes: Sequence[Vote], terms: Terms, policy: Policy, directory: Directory
) -> Mapping[str, tuple[str, ...]]:
    """Who has voted and still may, and for which factors each counts now. Raises DirectoryUnavailable.

    Somebody who left, joined the principal chain or became somebody else in policy loses their vote.
    """
    standing = {}
    for vote in votes:
        account = Account(vote.via, vote.tenant, vote.account.rsplit(":", 1)[-1])
        voter = await may_answer(account, terms, policy, directory, vote.answer)
        if voter is _UNCHECKED:
            raise DirectoryUnavailable(f"{vote.account} could not be looked up")
        if isinstance(voter, Voter) and voter.person == vote.person:
            standing[vote.person] = voter.factors
    return standing


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


async def _belongs(person: str, account: Account, sources: tuple[str, ...], directory: Directory) -> bool:
    """Whether any source holds the person by name, or the account by a directory's word."""
    if f"person:{person}" in sources:
        return True
    asked = (source for source in sources if not source.startswith("person:"))
    return any([await directory.is_member(account, source) for source in asked])


def _names(terms: Terms) -> str:
    return " and ".join(factor.name for factor in terms.factors) or "nobody"
