"""Showing that two accounts are one person's, by using both: for people whom the file does not name everywhere.

A person whom the file knows asks for a code in one place, types it in the other, and confirms the account that they
then see. Whoever holds only one of both accounts can do none of it alone. The file always wins.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.arrangements import LINKS, Arranged, Link, read
from approvals.arranging import Arranging
from approvals.people import Operator
from approvals.policy import Policy
from approvals.ports import Account
from approvals.verdicts import Refused

CODE_LIVES: Final = 600_000  #: ms in which a code is typed in, and again in which it is confirmed
_CODES: Final = "link-codes"  #: folder: who asked for a code, by the code's digest
_CLAIMS: Final = "link-claims"  #: folder: which account typed a person's code


@dataclass(frozen=True)
class Code:
    """To be shown to this one person only, and typed in the other place."""

    code: str


@dataclass(frozen=True)
class Linked:
    """`account` is `person`'s; before it is confirmed, only perhaps."""

    account: str
    person: str
    confirmed: bool


class Links(Arranging):
    """The steps of linking. The role is `link`; without it only the file says whose an account is."""

    async def begin(self, account: Account) -> Code | Refused:
        """A code for somebody whom the file knows by this account; it holds once, for ten minutes."""
        policy = await self._policies.look()
        by = await self._known(account, policy)
        if isinstance(by, Refused):
            return by
        code = _code(self._new_key())
        asked = {"person": by.person, "account": account.id}
        await self._store.shelf.keep(_code_name(code), asked, version=0, ttl=CODE_LIVES)
        return Code(code)

    async def claim(self, account: Account, code: str) -> Linked | Refused:
        """Type the code with the other account; it is theirs once the first one confirms."""
        policy = await self._policies.look()
        by = await self._member(account, policy)
        if isinstance(by, Refused):
            return by
        if by.person != account.id:
            return Refused("linked_already", "This account is linked to a person already.")
        asked = await self._used_up(_code_name(code))
        if asked is None:
            await self._note("link_refused", account, "bad_code")
            return Refused("bad_code", "That is not a code of mine, or its time is over. Ask for a new one.")
        person, at = asked["person"], await self._store.now()
        claim = Link(account=account.id, person=person, by=asked["account"], at=at)
        await self._store.shelf.keep(f"{_CLAIMS}/{person}", claim.model_dump(mode="json"), ttl=CODE_LIVES)
        return Linked(account.id, person, confirmed=False)

    async def claimed(self, account: Account) -> Linked | Refused:
        """The account that typed this person's code and waits to be confirmed."""
        policy = await self._policies.look()
        kept = await self._store.shelf.kept(f"{_CLAIMS}/{policy.person_of(account.id)}")
        if kept is None:
            return Refused("nothing_claimed", "No account has typed a code of yours.")
        claim = read(Link, kept)
        return Linked(claim.account, claim.person, confirmed=False)

    async def confirm(self, account: Account, other: str) -> Linked | Refused:
        """Say that `other`, which typed the code, is one's own account: with the account that asked for the code."""
        policy = await self._policies.look()
        by = await self._known(account, policy)
        if isinstance(by, Refused):
            return by
        kept = await self._store.shelf.kept(f"{_CLAIMS}/{by.person}")
        claim = read(Link, kept) if kept else None
        if kept is None or claim is None or (claim.account, claim.by) != (other, account.id):
            return Refused("nothing_claimed", "No account has typed a code of yours.")
        if policy.person_of(other) is not None:
            return Refused("linked_already", "This account is linked to a person already.")
        await self._store.shelf.drop(kept.name)
        record = _record("linked", claim, by)
        put = await self._store.shelf.keep(f"{LINKS}/{other}", claim.model_dump(mode="json"), version=0, record=record)
        if put is None:
            return Refused("linked_already", "This account is linked to a person already.")
        return Linked(other, by.person, confirmed=True)

    async def unlink(self, account: Account, other: str) -> Linked | Refused:
        """Say that an account is not, or no longer, this person's; with that account or with any other of theirs."""
        policy = await self._policies.look()
        by = await self._member(account, policy, other)
        if isinstance(by, Refused):
            return by
        kept = await self._store.shelf.kept(f"{LINKS}/{other}")
        link = read(Link, kept) if kept else None
        if kept is None or link is None or link.person != by.person:
            return Refused("not_linked", "No such account was linked to you by a code.")
        await self._store.shelf.drop(kept.name, record=_record("unlinked", link, by))
        return Linked(other, by.person, confirmed=False)

    async def links_of(self, account: Account) -> Sequence[Link]:
        """The accounts that were linked to this person by a code."""
        policy = await self._policies.look()
        arranged: Arranged = await self._arrangements.now(policy, (account.id,), await self._store.now())
        person = arranged.person_of(account.id, policy)
        found = (read(Link, kept) for kept in await self._store.shelf.folder(LINKS))
        return [link for link in found if link.person == person]

    async def _used_up(self, name: str) -> Mapping[str, Any] | None:
        """Who asked for a code, the first time somebody types it; None: there is no such code, or not any more."""
        kept = await self._store.shelf.kept(name)
        if kept is None or "used" in kept.document:
            return None
        used = await self._store.shelf.keep(name, {"used": True}, version=kept.version, ttl=CODE_LIVES)
        return None if used is None else kept.document

    async def _known(self, account: Account, policy: Policy) -> Operator | Refused:
        """The person, if the file itself knows the account, and they hold the role."""
        found = await self._holder(account, "link", policy)
        if isinstance(found, Operator) and policy.person_of(account.id) is None:
            return Refused("unlinked", "Begin with the account that the policy names; this one it does not know.")
        return found


def _code(key: str) -> str:
    """Ten letters and digits in two groups: 50 bit."""
    letters = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:10]
    return f"{letters[:5]}-{letters[5:]}"


def _code_name(code: str) -> str:
    """Where a code lies: by its digest, so that whoever reads the memory cannot type it."""
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return f"{_CODES}/{hashlib.sha256(json.dumps(plain).encode()).hexdigest()}"


def _record(event: str, link: Link, by: Operator) -> Mapping[str, Any]:
    return {"v": 1, "event": event, "by": by.person, "account": by.account.id, "other": link.account}
