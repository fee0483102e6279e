"""What is still to be done so that everybody sees a request as it is: a pure function of what is stored.

A request stands at a destination as a card of its own or as a row of a shared message; notes stand under it.
"""

from __future__ import annotations

from collections.abc import Callable

from approvals.card import Card, card_of
from approvals.letters import Letter, Stand, letters_of
from approvals.lifecycle import Status
from approvals.notes import Note, notes_of, to_operators
from approvals.ports import Errand, Post, Stored
from approvals.rows import row_of

NOTE = "#"  #: between a destination and the key of a note there
FILE = "file"  #: the key of the file with the whole action, which stays what it was for as long as the request lives
MESSAGE = "message:"  #: before the name of a shared message, as the subject of an errand
NOT_NOW = "not now"  #: the problem of a post that was not refused, only not made
ALONE = "alone"  #: the problem of a post that is to be a card of its own, because a message it shared was refused

Accounts = Callable[[str], tuple[str, ...]]


def destinations(stored: Stored) -> tuple[str, ...]:
    """Where a request belongs, and where it already is."""
    there = (place for place in stored.posts if NOTE not in place)
    return tuple(dict.fromkeys((*route(stored), *there)))


def route(stored: Stored) -> tuple[str, ...]:
    """Where a request is asked; where a destination refuses it, also the next one that policy names for that case."""
    asked = stored.request.asked
    places = list(asked.destinations)
    if any(is_refused(stored.posts.get(place)) for place in places):
        for place in asked.fallback:
            places.append(place)
            if not is_refused(stored.posts.get(place)):
                break
    return tuple(dict.fromkeys(places))


def cards(stored: Stored) -> tuple[Post, ...]:
    """The posts that people see the request in; what was said beside them is none."""
    return tuple(post for post in stored.posts.values() if post.state == "posted" and NOTE not in post.destination)


def is_refused(post: Post | None) -> bool:
    """Whether a platform would not take a card."""
    return post is not None and post.state == "failed" and post.problem not in (NOT_NOW, ALONE)


def errands(
    stored: Stored, destination: str, accounts: Accounts, operators: str | None = None, *, files: bool = False
) -> tuple[Errand, ...]:
    """What is to be done for a request at a destination, the most urgent first; `files`: they can lie under a card."""
    found = list(_of_card(stored, destination, accounts, files)) if destination in destinations(stored) else []
    told = untold(stored, operators) if destination == operators else ()
    if told or letters(stored, destination, accounts):
        found.append(Errand.SAY)
    return tuple(errand for errand in Errand if errand in found)


def _of_card(stored: Stored, destination: str, accounts: Accounts, files: bool) -> tuple[Errand, ...]:
    post = stored.posts.get(destination)
    if post is None or post.state == "failed":
        # what nobody ever saw, and nobody can decide any more, is not shown, unless a rule wants it to be
        is_news = stored.request.is_news and not is_refused(post)
        return (Errand.POST,) if is_news or stored.request.is_due_at(destination) else ()
    if post.state == "intended":
        return (Errand.POST,)
    card = card_of(stored.request)
    found = [] if post.shown == digest_at(card, post) else [Errand.EDIT]
    found += [Errand.SAY] if unsaid(stored, destination, accounts) else []
    found += [Errand.FILE] if files and wants_file(stored, destination, card) else []
    return tuple(found)


def digest_at(card: Card, post: Post) -> str:
    """The digest of what should be on screen at a post: a card, or a row."""
    return row_of(card).digest() if post.shared else card.digest()


def wants_file(stored: Stored, destination: str, card: Card) -> bool:
    """Whether the whole of an action that no card can show is still to be put under the one at a destination.

    Whoever must answer reads it in the review; with the decision nobody needs to read it any more.
    """
    post = stored.posts.get(f"{destination}{NOTE}{FILE}")
    return card.status is Status.PENDING and not card.complete and (post is None or post.state == "failed")


def subject_of(request: str, post: Post | None, errand: Errand) -> str:
    """What an errand is about: of all rows of a message the message, so that their changes become one."""
    if post is None or not post.shared or post.state == "failed" or errand is Errand.SAY:
        return request
    return f"{MESSAGE}{post.shared}"


def place_of(destination: str, note: Note) -> str:
    """Under which name it is kept that a note was given."""
    return f"{destination}{NOTE}{note.key}"


def unsaid(stored: Stored, destination: str, accounts: Accounts) -> tuple[Note, ...]:
    """The notes that are to stand under a card and do not yet."""
    return _missing(stored, destination, notes_of(stored.request, accounts, destination))


def untold(stored: Stored, operators: str) -> tuple[Note, ...]:
    """What operators are to be told and have not been yet."""
    return _missing(stored, operators, to_operators(stored.request))


def letters(stored: Stored, destination: str, accounts: Accounts) -> tuple[Note, ...]:
    """What a person is to be told at their own destination and has not been yet."""
    notes = tuple(letter.note for letter in _letters(stored, accounts) if letter.destination == destination)
    return _missing(stored, destination, notes)


def addressed(stored: Stored, accounts: Accounts) -> tuple[str, ...]:
    """The destinations of the people for whom there are letters."""
    return tuple(dict.fromkeys(letter.destination for letter in _letters(stored, accounts)))


def _letters(stored: Stored, accounts: Accounts) -> tuple[Letter, ...]:
    stands = (Stand(post.destination, post.reference) for post in cards(stored) if post.reference)
    return letters_of(stored.request, next(stands, None), accounts)


def _missing(stored: Stored, destination: str, notes: tuple[Note, ...]) -> tuple[Note, ...]:
    posts = ((note, stored.posts.get(place_of(destination, note))) for note in notes)
    return tuple(note for note, post in posts if post is None or post.state == "failed")


def shared_out(waiting: int, turns: int, most: int) -> tuple[int, ...]:
    """How many requests each message takes, so that as few as possible share one and none waits that need not.

    `turns` messages may be posted now, `most` requests fit into one.
    """
    sizes: list[int] = []
    for left in range(turns, 0, -1):
        size = min(most, -(-waiting // left))
        if size > 0:
            sizes.append(size)
        waiting -= size
    return tuple(sizes)


_FIRST_RETRY, _LAST_RETRY = 60_000, 600_000  #: ms


def retry_after(tries: int) -> int:
    """The ms after which a refused card is tried again; somebody may invite the bot meanwhile."""
    return min(_FIRST_RETRY << min(tries, 10), _LAST_RETRY)
