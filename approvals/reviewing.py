"""Looks at reviews, kept on the shelf: opened, turned over page by page, and found again at the vote (review.py)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from approvals.card import is_whole
from approvals.click import Click, refused_click
from approvals.commits import binding, home, record_of, under_policy
from approvals.errors import NotFound
from approvals.people import Voter
from approvals.policy import Policy
from approvals.ports import Account, Kept, Policies, Store, Stored
from approvals.request import Request
from approvals.review import FIRST, LASTS_MS, OVER, Look, Review, is_needed, review_of, why_not
from approvals.terms import Terms
from approvals.verdicts import UNKNOWN, Late, Refused

Checked = Voter | Refused | Late

_READERS = frozenset({"not_an_approver", "own_request", "unlinked"})  #: who may not answer, but sees the card as well
_ID = re.compile(r"([0-9]{1,4}-[a-z2-7]{24})\.[A-Za-z0-9_-]{22}")


@dataclass(frozen=True)
class Opened:
    """A review in front of somebody; `page` is the one to show, `terms` what an approval of it takes."""

    look: Look
    review: Review
    terms: Terms
    page: int = 0


class Reviews:
    """Opening, turning over and answering reviews. `check` says who may answer a click, now (service.py).

    `new_key` makes 128 random bits as 22 characters.

    The id of a look is `<request>.<token>`: it tells nothing, and is of no use to anybody else.
    """

    def __init__(
        self,
        *,
        store: Store,
        policies: Policies,
        check: Callable[[Stored, Click, Policy], Awaitable[Checked]],
        new_key: Callable[[], str],
    ) -> None:
        self._store = store
        self._policies = policies
        self._check = check
        self._new_key = new_key

    async def open(self, request: str, click: Click) -> Opened | Refused | Late:
        """Put the whole action in front of somebody; who may not answer may still read.

        It stands in the journal, and what it shows is kept, before anybody sees it.
        """

        async def begin(policy: Policy) -> Opened | Refused | Late:
            try:
                stored = await self._store.get(request)
            except NotFound:
                return UNKNOWN
            only_reads = await self._only_reads(stored, click, policy)
            if not isinstance(only_reads, str):
                return only_reads
            opened = _opened(f"{request}.{self._new_key()}", stored, click, policy, only_reads)
            look, review = opened.look, opened.review
            await self._store.keep_rendering(look.shown, review.model_dump_json().encode())
            await self._store.note(_record(stored.request, look), partition=home(request))
            await self._store.shelf.keep(_name(look.id), _document(look), version=0, ttl=LASTS_MS)
            return opened

        return await under_policy(self._policies, begin)

    async def page(self, view: str, account: Account, page: int) -> Opened | Refused | Late:
        """A page of somebody's review, to be put on their screen; `turned` is told once it is there."""
        click, look, request = await self.click(view, account), await self._find(view), request_of(view)
        if click is None or look is None or request is None or look.account != account.id or not 0 <= page < look.pages:
            return OVER

        async def turn(policy: Policy) -> Opened | Refused | Late:
            stored = await self._store.get(request)
            refusal = await self._only_reads(stored, click, policy)
            review = review_of(stored.request)
            if not isinstance(refusal, str):
                return refusal
            if review.shown() != look.shown:
                return OVER
            return Opened(look, review, binding(stored.request, policy, stored.now), page)

        return await under_policy(self._policies, turn)

    async def last_page(self, view: str, account: Account) -> Opened | Refused | Late:
        """The page on which a review is answered."""
        look = await self._find(view)
        return OVER if look is None else await self.page(view, account, look.pages - 1)

    async def turned(self, view: str, account: Account, page: int) -> Look | Refused:
        """Note that a page is on the screen of the person whose look this is."""
        while (kept := await self._kept(view)) is not None:
            look = _read(kept)
            if look.account != account.id or not 0 <= page < look.pages:
                return OVER
            after = look.with_opened(page)
            left = max(1, look.at + LASTS_MS - await self._store.now())
            shelf, version = self._store.shelf, kept.version
            if await shelf.keep(_name(view), _document(after), version=version, ttl=left) is not None:
                return after
        return OVER

    async def click(self, view: str, account: Account, *, reason: str = "", confirm: str = "") -> Click | None:
        """Somebody's approval from a review, as the service takes it (and asks whose it is); None: there is no such."""
        look = await self._find(view)
        if look is None:
            return None
        return Click(account, "approve", look.shown, look.places, look.reference, reason, view, confirm)

    async def careful(self, stored: Stored, voter: Voter, click: Click, policy: Policy) -> Click | Refused:
        """The click as it counts, if it comes with the reason, the look and the code that the terms ask for.

        What was on screen is what the server knows of the look, whatever the door says.
        """
        request, terms = stored.request, binding(stored.request, policy, stored.now)
        if click.answer in terms.reasons and not click.reason.strip():
            return Refused("reason_needed", "This answer needs a reason, so nothing was counted yet.")
        if click.answer != "approve" or not (click.view or is_needed(terms, whole=is_whole(request))):
            return click
        look = await self._find(click.view)
        if look is None:
            return OVER if click.view else FIRST
        review, account = review_of(request), click.account.id
        refusal = why_not(look, review, terms, account=account, code=click.confirm, now=stored.now)
        if refusal is None and click.view in request.looks and not _stands(request, voter, look):
            refusal = OVER
        if refusal is None:
            return replace(click, shown=look.shown)
        await self._store.note(refused_click(request, click, refusal), partition=home(request.id))
        return refusal

    async def _only_reads(self, stored: Stored, click: Click, policy: Policy) -> str | Refused | Late:
        """Why somebody who may see this may not answer it, empty if they may; or why they may not even see it."""
        checked = await self._check(stored, click, policy)
        if isinstance(checked, Voter):
            return ""
        if isinstance(checked, Refused) and checked.reason in _READERS:
            return checked.sentence
        return checked

    async def _find(self, view: str) -> Look | None:
        kept = await self._kept(view)
        return None if kept is None else _read(kept)

    async def _kept(self, view: str) -> Kept | None:
        return await self._store.shelf.kept(_name(view)) if _ID.fullmatch(view) else None


def _opened(view: str, stored: Stored, click: Click, policy: Policy, only_reads: str) -> Opened:
    review = review_of(stored.request)
    look = Look(
        id=view,
        account=click.account.id,
        shown=review.shown(),
        pages=len(review.pages),
        at=stored.now,
        places=click.places,
        reference=dict(click.reference),
        only_reads=only_reads,
    )
    return Opened(look, review, binding(stored.request, policy, stored.now))


def request_of(view: str) -> str | None:
    """The request a look is at, as its id says; None for what is no id of ours."""
    found = _ID.fullmatch(view)
    return found[1] if found else None


def _name(view: str) -> str:
    request, _, token = view.partition(".")
    return f"looks-{request}/{token}"


def _document(look: Look) -> Mapping[str, Any]:
    return look.model_dump(mode="json")


def _read(kept: Kept) -> Look:
    return Look.model_validate(kept.document, strict=False)


def _record(request: Request, look: Look) -> Mapping[str, Any]:
    record = record_of(request, request, "review_opened")
    return {**record, "account": look.account, "shown": look.shown, "pages": look.pages}


def _stands(request: Request, voter: Voter, look: Look) -> bool:
    """Whether the very vote that this look carried stands: a form that is sent twice counts once."""
    vote = request.vote_of(voter.person)
    return vote is not None and (vote.answer, vote.shown) == ("approve", look.shown)
