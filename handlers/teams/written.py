"""Reading what somebody wrote: without the mention of us, and with other people as the policy names them."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from handlers.teams.shapes import items, mapping, text

LONGEST = 2_000  #: characters of a message that are read
MOST = 5  #: people of a message who are looked up; no command takes more than one
_MENTION = re.compile(r"<at[^>]*>(.*?)</at>", re.DOTALL)
_UNSEEN = re.compile("[\u200b\u2060\ufeff]")  # what copying from a page brings along, and nobody typed

#: Who a member of the roster is (by `29:…`), as the policy writes an account; empty where nobody can say.
Named = Callable[[str], Awaitable[str]]


async def written_in(activity: Mapping[str, Any], named: Named) -> str:
    """What somebody wrote, on one line; each mention of another person is replaced by their account.

    Teams writes a mention as `<at>` with a name, which anybody can have, and says beside the text who was meant:
    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations
    """
    us = text(mapping(activity.get("recipient")).get("id"))
    meant = _meant(activity)
    said, at = "", 0
    whole = text(activity.get("text"))[:LONGEST]
    for number, found in enumerate(_MENTION.finditer(whole)):
        who = meant.get(found[0], [])
        one = who.pop(0) if who else us
        said += whole[at : found.start()] + " "
        said += f"{await named(one) or _unknown(found[1])} " if one != us and number <= MOST else ""
        at = found.end()
    return " ".join(_UNSEEN.sub("", html.unescape(said + whole[at:])).split())


def _meant(activity: Mapping[str, Any]) -> dict[str, list[str]]:
    """Who was meant by each text of a mention, in the order in which they were mentioned."""
    found: dict[str, list[str]] = {}
    for entity in map(mapping, items(activity.get("entities"))):
        who = text(mapping(entity.get("mentioned")).get("id"))
        if entity.get("type") == "mention" and who:
            found.setdefault(text(entity.get("text")), []).append(who)
    return found


def _unknown(name: str) -> str:
    """A mentioned name in one word, so that what follows it keeps its place."""
    return "@" + "-".join(html.unescape(name).split())
