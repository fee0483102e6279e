"""What a person is told directly, beside the cards: asked in a way policy wants quiet, decided, ended.

A letter is a note at a person's own destination. It is given once, after a card stands somewhere, and links to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from approvals.attention import called
from approvals.card import UNNAMED, heading_of
from approvals.lifecycle import Status
from approvals.notes import Note
from approvals.request import Request

#: What whom the agent acts for is told: decisions and outcomes, not every step between them.
_NEWS = frozenset(
    {
        Status.APPROVED,
        Status.DENIED,
        Status.EXPIRED,
        Status.REVOKED,
        Status.SUCCEEDED,
        Status.FAILED,
        Status.UNKNOWN,
    }
)


@dataclass(frozen=True)
class Letter:
    """A note and the destination of the person whom it is for."""

    destination: str
    note: Note


@dataclass(frozen=True)
class Stand:
    """Where a card of the request stands: the destination and the platform's reference."""

    destination: str
    reference: Mapping[str, str]


def letters_of(request: Request, stand: Stand | None, accounts: Callable[[str], tuple[str, ...]]) -> tuple[Letter, ...]:
    """The letters that people should have by now; none where no card stands, and none about what rules decided.

    Of a decision and an outcome that came while nobody could be told, only the outcome is.
    """
    if stand is None:
        return ()
    if request.status is Status.PENDING:
        return _asked(request, stand, accounts)
    return _decided(request, stand)


def _asked(request: Request, stand: Stand, accounts: Callable[[str], tuple[str, ...]]) -> tuple[Letter, ...]:
    got = request.got()
    done = {vote.person for vote in request.votes} | {*request.terms.excluded}
    quiet = [one for one in request.asked.factors if one.notify == "dm" and got[one.name] < one.need]
    sources = dict.fromkeys(source for factor in quiet for source in called(request, factor))
    loud = (source for source in sources if source not in request.quiet)
    people = [source.removeprefix("person:") for source in loud if source.startswith("person:")]
    found = ((person, _of(accounts(person), stand)) for person in people if person not in done)
    note = _note(request, stand, "asked").model_copy(update={"expires_at": request.expires_at})
    return tuple(Letter(place, note) for _, place in found if place)


def _decided(request: Request, stand: Stand) -> tuple[Letter, ...]:
    place = _of(request.principal_accounts, stand)
    if not place or request.status not in _NEWS or request.decision is None or request.decision.rule is not None:
        return ()
    return (Letter(place, _note(request, stand, request.status.value)),)


def _note(request: Request, stand: Stand, key: str) -> Note:
    heading = heading_of(request)
    what: Literal["asked", "decided"] = "asked" if request.status is Status.PENDING else "decided"
    return Note(
        key=f"letter-{key}",
        what=what,
        code=request.code,
        title=heading if request.action.kind not in heading else UNNAMED,
        status=request.status.value,
        place=stand.destination,
        reference=dict(stand.reference),
    )


def _of(accounts: tuple[str, ...], stand: Stand) -> str:
    """The direct destination of a person on the platform where the card stands; empty where they have none there."""
    platform = stand.destination.split(":")[0]
    found = next((account for account in accounts if account.startswith(f"{platform}:")), "")
    return f"{platform}:{found.rsplit(':', 1)[-1]}" if found else ""
