"""Looks at reviews, kept on the shelf: opened, turned over page by page, and found again at the vote (review.py)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from approvals.commits import home, record_of
from approvals.ports import Kept, Store, Stored
from approvals.request import Request
from approvals.review import LASTS_MS, OVER, Look, Review, review_of
from approvals.terms import Terms
from approvals.verdicts import Refused

_ID = re.compile(r"([0-9]{1,4}-[a-z2-7]{24})\.[A-Za-z0-9_-]{22}")


@dataclass(frozen=True)
class Opened:
    """A review in front of somebody; `page` is the one to show, `terms` what an approval of it takes."""

    look: Look
    review: Review
    terms: Terms
    page: int = 0


class Looks:
    """The looks of people. An id is `<request>.<token>`: it says nothing, and is of no use to anybody else."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(
        self, stored: Stored, account: str, places: tuple[str, ...], reference: Mapping[str, str], only_reads: str = ""
    ) -> tuple[Look, Review]:
        """Open a review for somebody; it stands in the journal before they see anything."""
        request, review = stored.request, review_of(stored.request)
        look = Look(
            id=f"{request.id}.{secrets.token_urlsafe(16)}",
            account=account,
            shown=review.shown(),
            pages=len(review.pages),
            at=stored.now,
            places=places,
            reference=dict(reference),
            only_reads=only_reads,
        )
        await self._store.keep_rendering(look.shown, review.model_dump_json().encode())
        await self._store.note(_opened(request, look), partition=home(request.id))
        await self._store.shelf.keep(_name(look.id), _document(look), version=0, ttl=LASTS_MS)
        return look, review

    async def find(self, view: str) -> Look | None:
        """A look by its id, while it lasts."""
        kept = await self._kept(view)
        return None if kept is None else _read(kept)

    async def turned(self, view: str, account: str, page: int) -> Look | Refused:
        """Note that a page is on the screen of the person whose look this is."""
        while (kept := await self._kept(view)) is not None:
            look = _read(kept)
            if look.account != account or not 0 <= page < look.pages:
                return OVER
            after = look.with_opened(page)
            left = max(1, look.at + LASTS_MS - await self._store.now())
            name, version = _name(view), kept.version
            if await self._store.shelf.keep(name, _document(after), version=version, ttl=left) is not None:
                return after
        return OVER

    async def _kept(self, view: str) -> Kept | None:
        return await self._store.shelf.kept(_name(view)) if _ID.fullmatch(view) else None


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


def _opened(request: Request, look: Look) -> Mapping[str, Any]:
    record = record_of(request, request, "review_opened")
    return {**record, "account": look.account, "shown": look.shown, "pages": look.pages}
