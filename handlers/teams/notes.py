"""A note under a card as an Adaptive Card: who it is for, what is the matter, until when."""

from __future__ import annotations

import re
from collections.abc import Sequence

from approvals.card import Who
from approvals.notes import Note
from handlers.teams.cards import Drawing
from handlers.teams.elements import Json, card, fixed, line, literal, local_time, ours

_NOT_IN_A_MENTION = re.compile(r"[^A-Za-z0-9 .-]")


def draw_note(note: Note, *, tenant: str) -> Drawing:
    """The note for our tenant; mentions notify, so only those it is for are mentioned."""
    mentions = [_mention(who, user) for who in note.asked if (user := _account(who, tenant))]
    words = note.words
    body = [_named(mentions)] if mentions else []
    body.append(line(_said(note, words, [who for who in note.asked if not _account(who, tenant)])))
    if note.expires_at is not None:
        body.append(fixed(f"Expires {local_time(note.expires_at)}", size="Small", isSubtle=True, spacing="None"))
    spoken = f"{words} ({note.code})"
    return Drawing(card(body, spoken=spoken, teams={"entities": mentions} if mentions else None), spoken)


def _said(note: Note, words: str, others: Sequence[Who]) -> list[Json]:
    runs: list[Json] = []
    for who in others:
        runs += [*literal(who.person), ours(" ")]
    runs += [*literal(note.title), ours(" · ")] if note.title else []
    runs += [ours(words)]
    if note.factors:
        runs += [ours(" · needs "), *literal(" and ".join(note.factors))]
    if note.problem:
        runs += [ours(": "), *literal(note.place), ours(" says "), *literal(note.problem)]
    if note.remedy:
        runs += [ours(f"; {note.remedy}")]
    return [*runs, ours(f" · code {note.code}", weight="Bolder")]


def _named(mentions: Sequence[Json]) -> Json:
    """The mentions in a block that reads them."""
    return fixed(" ".join(mention["text"] for mention in mentions))


def _mention(who: Who, user: str) -> Json:
    """https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format#mention-support"""
    name = _NOT_IN_A_MENTION.sub("-", who.person)
    return {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": user, "name": name}}


def _account(who: Who, tenant: str) -> str:
    """The object id of a person of our tenant."""
    for account in who.accounts:
        via, _, rest = account.partition(":")
        found, _, user = rest.partition(":")
        if (via, found) == ("teams", tenant):
            return user
    return ""
