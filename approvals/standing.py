"""Which message is a request's card: the recorded one, one that is yet to be recorded, or a copy that a crash left.

Between a post and its record a courier can die. Where the platform cannot be searched, the next one posts again; then
two messages show the same, and only one of them is the card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from approvals.errors import NotFound
from approvals.ports import Post, Store, Stored

MARK = "mark"  #: in a reference: a name that we gave the message ourselves, before it was posted


@dataclass(frozen=True)
class Spot:
    """A message on somebody's screen: the destinations it can stand at, and which rendering it shows."""

    places: tuple[str, ...]
    reference: Mapping[str, str]
    shown: str


@dataclass(frozen=True)
class Standing:
    """A request with the card to which a message is only a copy; None: the message is the card."""

    stored: Stored
    original: Post | None


def post_at(stored: Stored, spot: Spot) -> Post | None:
    """The post a message is: the recorded one, or one that was intended there and never recorded."""
    for post in stored.posts.values():
        if post.state == "posted" and dict(post.reference) == dict(spot.reference):
            return post
    waiting = (stored.posts.get(place) for place in spot.places)
    return next((post for post in waiting if post is not None and post.state == "intended"), None)


def original_of(stored: Stored, spot: Spot) -> Post | None:
    """The recorded card at these destinations, where it is another message.

    What says so is the message's own mark alone: it is sealed, and of what a platform names a click may claim anything.
    """
    mark = spot.reference.get(MARK)
    if not mark or post_at(stored, spot) is not None:
        return None
    there = (stored.posts.get(place) for place in spot.places)
    posted = (post for post in there if post is not None and post.state == "posted")
    return next((post for post in posted if post.reference.get(MARK) != mark), None)


async def adopted(store: Store, stored: Stored, spot: Spot) -> Stored:
    """The request with this message recorded as its card, where a crash kept its courier from doing so.

    Whoever records first wins: what it then comes to stands in `posts`.
    """
    post = post_at(stored, spot)
    if post is None or post.state != "intended":
        return stored
    found = replace(post, state="posted", at=stored.now, reference=spot.reference, shown=spot.shown)
    other = await store.record_post(stored.request.id, found, unless_posted=True)
    return replace(stored, posts={**stored.posts, post.destination: other or found})


async def moved(store: Store, stored: Stored, original: Post, spot: Spot) -> Post:
    """Record another message as the card, because the one that was is gone."""
    found = replace(original, at=stored.now, reference=spot.reference, shown=spot.shown)
    await store.record_post(stored.request.id, found)
    return found


def shelf_name(destination: str, message: str) -> str:
    """Where it is kept which requests share a message: in a folder of the destination's home partition."""
    return f"{destination}/{message}"


async def beside(store: Store, post: Post) -> Sequence[Stored | None]:
    """The requests that share a message, in the order of their rows; None for those that are forgotten."""
    kept = await store.shelf.kept(shelf_name(post.destination, post.shared))
    return [] if kept is None else [await kept_of(store, request) for request in kept.document["rows"]]


async def kept_of(store: Store, request: str) -> Stored | None:
    """A request, if it is still kept."""
    try:
        return await store.get(request)
    except NotFound:
        return None
