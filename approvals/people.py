"""Who may answer, and who may do more: the one check of authority that every door uses.

Whoever clicks is looked up now. A person counts once, whatever accounts they have and whoever handed them a seat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from approvals.arrangements import NOTHING, Arranged, Delegation
from approvals.errors import DirectoryUnavailable
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Account, Directory
from approvals.request import Behalf, StandIn, Vote
from approvals.terms import Terms


@dataclass(frozen=True)
class Voter:
    """A person who may answer, the factors they count for, and the seats that were handed to them."""

    person: str
    account: Account
    factors: tuple[str, ...]
    behalf: tuple[Behalf, ...] = ()


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


_OWN = NotAllowed("own_request", "This was asked by you, for you or by your agent, so your answer cannot count.")
_BARRED = NotAllowed("excluded", "The policy lets nobody of your team or group answer this request.")
UNCHECKED: Final = NotAllowed(
    "lookup_failed", "I could not check who you are just now, so nothing was counted. Click again."
)


async def may_answer(
    account: Account,
    terms: Terms,
    policy: Policy,
    directory: Directory,
    answer: str = "approve",
    arranged: Arranged = NOTHING,
) -> Voter | NotAllowed:
    """Whether the person behind an account may give this answer under these terms, looked up now.

    Every look-up failure refuses. An account that no person is linked to stands for itself, and never counts where
    more than one person is needed.
    """
    person = arranged.person_of(account.id, policy)
    named = person or account.id
    if is_behind(person, account.id, terms, policy, arranged):
        return _OWN
    try:
        if refusal := _unfit(account, await directory.standing(account)):
            return refusal
        accounts = (account, *_others(account, person, policy))
        if await _is_barred(named, accounts, terms, directory):
            return _BARRED
        own = await _factors(named, accounts, terms, directory)
    except DirectoryUnavailable:
        return UNCHECKED
    handed = arranged.handed_to(named)
    able = tuple(one for one in handed if not is_behind(one.owner, one.account, terms, policy, arranged))
    behalf = await _behalf(able, own, terms, policy, directory) if able else ()
    if behalf is None and not own:
        return UNCHECKED
    if not own and not behalf:
        return NotAllowed("not_an_approver", f"You are not among those asked here: {_names(terms)}.")
    needed = sum(factor.need for factor in terms.factors) if answer == "approve" else terms.deny_quorum
    if person is None and needed > 1:
        return NotAllowed(
            "unlinked", "Your account is not linked to a person in the policy, and more than one person is needed here."
        )
    return Voter(named, account, own, behalf or ())


async def stand_ins(terms: Terms, policy: Policy, directory: Directory, arranged: Arranged) -> tuple[StandIn, ...]:
    """Who is to be called in whose place: whoever got a seat, where their answer would count for it right now.

    Where that cannot be looked up, the owner of the seat is called.
    """
    found = []
    for one in arranged.delegations:
        accounts = policy.accounts_of(one.to)
        if not accounts or is_behind(one.owner, one.account, terms, policy, arranged):
            continue
        if isinstance(await may_answer(account_of(accounts[0]), terms, policy, directory, arranged=arranged), Voter):
            seats = await _behalf((one,), (), terms, policy, directory) or ()
            found += [
                StandIn(owner=one.owner, person=one.to, accounts=accounts, factors=seat.factors) for seat in seats
            ]
    return tuple(found)


async def sources_of(
    account: Account, policy: Policy, directory: Directory, arranged: Arranged = NOTHING
) -> tuple[str, ...]:
    """The approver sources that a person belongs to, or may answer in place of, as far as they can be looked up."""
    person = arranged.person_of(account.id, policy)
    named = person or account.id
    seats = [(named, (account, *_others(account, person, policy)))]
    seats += [(one.owner, _accounts(one, policy)) for one in arranged.handed_to(named)]
    found = []
    for source in policy.sources:
        with suppress(DirectoryUnavailable):
            if any([await _belongs(owner, accounts, (source,), directory) for owner, accounts in seats]):
                found.append(source)
    return tuple(found)


async def may_operate(
    account: Account, role: Role, policy: Policy, directory: Directory, arranged: Arranged = NOTHING
) -> Operator | NotAllowed:
    """Whether the person behind an account holds a role, looked up now. A role nobody is named for is nobody's."""
    sources = policy.role(role)
    if not sources:
        return NotAllowed("no_such_role", f"The policy lets nobody {role}.")
    found = await _one_of(account, sources, policy, directory, arranged)
    return found or NotAllowed("no_role", f"The policy does not let you {role}.")


async def member(
    account: Account, policy: Policy, directory: Directory, arranged: Arranged = NOTHING
) -> Operator | NotAllowed:
    """The person behind an account, if they are a full member, looked up now."""
    try:
        if refusal := _unfit(account, await directory.standing(account)):
            return refusal
    except DirectoryUnavailable:
        return UNCHECKED
    return Operator(arranged.person_of(account.id, policy) or account.id, account)


def is_behind(person: str | None, account: str, terms: Terms, policy: Policy, arranged: Arranged) -> bool:
    """Whether a person who uses this account asked, is asked for, or owns the agent."""
    chain = {*terms.excluded, *(arranged.person_of(one, policy) for one in terms.excluded)} - {None}
    return not chain.isdisjoint((person, account))


async def may_break_glass(
    account: Account, terms: Terms, policy: Policy, directory: Directory, arranged: Arranged = NOTHING
) -> Operator | NotAllowed:
    """Whether the person behind an account may let this through alone, looked up now; never their own request."""
    person = arranged.person_of(account.id, policy)
    if is_behind(person, account.id, terms, policy, arranged):
        return _OWN
    if terms.break_glass is None:
        return NotAllowed("no_break_glass", "The policy lets nobody approve this alone, not even in an emergency.")
    if person is None:
        return NotAllowed(
            "unlinked", "Your account is not linked to a person in the policy, and somebody else has to review this."
        )
    try:
        if await _is_barred(person, (account, *_others(account, person, policy)), terms, directory):
            return _BARRED
    except DirectoryUnavailable:
        return UNCHECKED
    for sources in terms.break_glass.who:
        found = await _one_of(account, sources, policy, directory, arranged)
        if not isinstance(found, Operator):
            return found or NotAllowed("no_role", "The policy does not let you break the glass.")
    return Operator(person, account)


async def _one_of(
    account: Account, sources: tuple[str, ...], policy: Policy, directory: Directory, arranged: Arranged
) -> Operator | NotAllowed | None:
    """The person, if they are a full member and one of these; None: they are not one of these."""
    person = arranged.person_of(account.id, policy)
    named = person or account.id
    try:
        if refusal := _unfit(account, await directory.standing(account)):
            return refusal
        if await _belongs(named, (account, *_others(account, person, policy)), sources, directory):
            return Operator(named, account)
    except DirectoryUnavailable:
        return UNCHECKED
    return None


async def standing_votes(
    votes: Sequence[Vote], terms: Terms, policy: Policy, directory: Directory, arranged: Arranged = NOTHING
) -> Mapping[str, Vote]:
    """Who has voted and still may, each vote as it counts now. Raises DirectoryUnavailable.

    Somebody who left, joined the principal chain or became somebody else in policy loses their vote.
    """
    standing = {}
    for vote in votes:
        voter = await may_answer(account_of(vote.account), terms, policy, directory, vote.answer, arranged)
        if voter is UNCHECKED:
            raise DirectoryUnavailable(f"{vote.account} could not be looked up")
        if isinstance(voter, Voter) and voter.person == vote.person:
            standing[vote.person] = vote.model_copy(update={"factors": voter.factors, "behalf": voter.behalf})
    return standing


def account_of(name: str) -> Account:
    """The account of a spelling such as slack:T0SAYSO:U0DANA."""
    via, tenant, user = name.split(":", 2)
    return Account(via, tenant, user)


def _others(account: Account, person: str | None, policy: Policy) -> tuple[Account, ...]:
    """The other accounts of a person, as the file links them."""
    named = policy.accounts_of(person) if person else ()
    return tuple(account_of(name) for name in named if name != account.id)


def _accounts(delegation: Delegation, policy: Policy) -> tuple[Account, ...]:
    """The accounts of whoever handed a seat over; the one with which they did it first."""
    account = account_of(delegation.account)
    return (account, *_others(account, delegation.owner, policy))


async def _behalf(
    handed: tuple[Delegation, ...],
    own: tuple[str, ...],
    terms: Terms,
    policy: Policy,
    directory: Directory,
) -> tuple[Behalf, ...] | None:
    """The seats that somebody may take for others, beside their own; None where that cannot be looked up.

    A seat counts while its owner could take it: in the group, a full member, still allowed to hand it over.
    """
    found = []
    for one in handed:
        try:
            accounts = _accounts(one, policy)
            able = await directory.standing(accounts[0]) is None
            able = able and await _belongs(one.owner, accounts, policy.role("delegate"), directory)
            able = able and not await _is_barred(one.owner, accounts, terms, directory)
            names = await _factors(one.owner, accounts, terms, directory) if able else ()
        except DirectoryUnavailable:
            return None
        if more := tuple(name for name in names if name not in own):
            found.append(Behalf(person=one.owner, factors=more))
    return tuple(found)


async def _factors(person: str, accounts: tuple[Account, ...], terms: Terms, directory: Directory) -> tuple[str, ...]:
    """The factors of these terms that a person counts for."""
    return tuple(
        [factor.name for factor in terms.factors if await _belongs(person, accounts, factor.sources, directory)]
    )


def _unfit(account: Account, standing: str | None) -> NotAllowed | None:
    """Refuse everybody who is not a full, active, human member of our own workspace."""
    if standing is None:
        return None
    return NotAllowed(
        "not_a_member", f"Only full, active members of this workspace can answer; your account is {standing}."
    )


async def _is_barred(person: str, accounts: tuple[Account, ...], terms: Terms, directory: Directory) -> bool:
    """Whether policy excludes a person by any of their accounts, whatever the standing of that one is."""
    return any([await _belongs(person, (account,), terms.barred, directory) for account in accounts])


async def _belongs(person: str, accounts: tuple[Account, ...], sources: tuple[str, ...], directory: Directory) -> bool:
    """Whether any source holds the person by name, or one of their accounts by a directory's word.

    The first account is the one that clicked, and was looked up already; another counts only in good standing.
    """
    if f"person:{person}" in sources:
        return True
    asked = [source for source in sources if not source.startswith("person:")]
    for account in accounts:
        member = any([await directory.is_member(account, source) for source in asked])
        if member and (account is accounts[0] or await directory.standing(account) is None):
            return True
    return False


def _names(terms: Terms) -> str:
    return " and ".join(factor.name for factor in terms.factors) or "nobody"
