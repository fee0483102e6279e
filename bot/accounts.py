"""Looks whether the accounts that a policy lists are members': the same question to every platform.

A wrong one lets nobody answer, or lets an owner answer for themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from approvals.policy import Policy
from bot.findings import Finding


@dataclass(frozen=True)
class Members:
    """A platform that is asked: how its accounts begin, our workspace or tenant there, and what people call them.

    `standing` looks an account up, as Directory does; it fails with `problem`.
    """

    via: str
    platform: str
    tenant: str
    elsewhere: str  #: what an account of another tenant is, in words
    user: str  #: where the last part of an account is found, in words
    standing: Callable[[str], Awaitable[str | None]]
    problem: type[Exception]


async def examine_accounts(policy: Policy, members: Members) -> list[Finding]:
    """What is wrong with the accounts of one platform, or that nothing is."""
    accounts = [(person, account) for person in policy.people for account in policy.accounts_of(person)]
    ours = [(person, account) for person, account in accounts if account.startswith(f"{members.via}:")]
    looked = [await _account(members, person, account) for person, account in ours]
    troubles = [one for one in looked if one is not None]
    return troubles or [Finding("ok", f"people: {len(ours)} accounts of {members.platform}, all of members")]


async def _account(members: Members, person: str, account: str) -> Finding | None:
    _, tenant, user = account.split(":")
    remedy = f"correct it under people.{person}: {members.via}:{members.tenant}:<{members.user}>"
    if tenant != members.tenant:
        return Finding("problem", f"{person}: {account} is {members.elsewhere}", remedy)
    try:
        standing = await members.standing(user)
    except members.problem as exc:
        return Finding("problem", f"{person}: {account}: {exc}", remedy)
    return None if standing is None else Finding("warning", f"{person}: {account} is {standing}", remedy)
