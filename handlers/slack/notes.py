"""A note under a card as Slack blocks: who it is for, what is the matter, until when."""

from __future__ import annotations

from approvals.notes import Note
from handlers.slack.blocks import Drawing, escaped, groups_called, person
from handlers.slack.elements import Json, link, listed, section, text, when


def draw_letter(note: Note, url: str) -> Drawing:
    """What a person is told directly, with a link to the card."""
    line = [text(note.title, "bold"), text(f" · {note.words} · code "), text(note.code, "bold"), text(" · ")]
    line += [text("expires "), when(note.expires_at), text(" · ")] if note.expires_at is not None else []
    spoken = f"{escaped(note.title)[:300]}: {note.words} ({note.code})"
    return Drawing([section([*line, link(url, "open the card")])], spoken)


def draw_note(note: Note, *, team: str) -> Drawing:
    """The note for our workspace `team`; mentions notify, so only those it is for are mentioned."""
    people = [*(person(who, team) for who in note.asked), *groups_called(note.groups, team)]
    line: list[Json] = [*listed(people), text(": ")] if people else []
    line += [text(note.words)]
    if note.factors:
        line += [text(" · needs "), *listed([text(name, "bold") for name in note.factors])]
    if note.expires_at is not None:
        line += [text(" · expires "), when(note.expires_at)]
    if note.problem:
        line += [text(": "), text(note.place, "code"), text(" says "), text(note.problem, "code")]
    if note.remedy:
        line += [text(f"; {note.remedy}")]
    return Drawing([section([*line, text(" · code "), text(note.code, "bold")])], f"{note.words} ({note.code})")
