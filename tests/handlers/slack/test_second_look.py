"""A second renderer of Slack's blocks draws everything that we send, and every word of it stands where we put it."""

from __future__ import annotations

import re
from typing import Any

from handlers.slack.blocks import draw
from tests.handlers.slack.cards import a_card
from tests.handlers.slack.emitted import TEAM, VALUE
from tests.handlers.slack.second_look import drawn, missing, to_read, visible
from tests.handlers.slack.test_emitted import all_messages, all_views
from tests.node import needs

pytestmark = needs("slack-blocks-to-jsx")

PEOPLE, GROUPS = {"U0ALICE": "alice", "U0DANA": "dana"}, {"S0SRE": "sre"}
#: Where alone our links lead: to cards; and where the letter does that the tests write.
OURS = ("https://acme.slack.com/", "https://x")


def unread(*messages: list[dict[str, Any]]) -> list[str]:
    """What of these messages cannot be read, or not in its place."""
    pages = drawn(messages, people=PEOPLE, groups=GROUPS)
    both = zip(messages, pages, strict=True)
    return [word for blocks, html in both for word in missing([*to_read(blocks)], visible(html))]


def test_it_draws_every_message_and_every_view_with_each_word_in_its_place() -> None:
    everything = [*all_messages(), *(view["blocks"] for view in all_views())]
    assert len(everything) > 300
    assert sum(len([*to_read(blocks)]) for blocks in everything) > 3_000
    assert unread(*everything) == []


def test_no_text_of_an_agents_becomes_a_link() -> None:
    pages = drawn(all_messages(), people=PEOPLE, groups=GROUPS)
    links = [link for html in pages for link in re.findall(r'<a[^>]* href="([^"]*)"', html)]
    assert links
    assert [link for link in links if not link.startswith(OURS)] == []


def test_people_and_groups_are_drawn_by_their_names() -> None:
    (html,) = drawn([draw(a_card(), team=TEAM, value=VALUE).blocks], people=PEOPLE, groups=GROUPS)
    assert "payments-botasksfor@dana" in visible(html)


def test_a_word_that_is_lost_or_moved_is_noticed() -> None:
    blocks = draw(a_card(), team=TEAM, value=VALUE).blocks
    words = [*to_read(blocks)]
    (short, turned) = (visible(html) for html in drawn([blocks[:-1], blocks[::-1]], people=PEOPLE, groups=GROUPS))
    assert missing(words, short) == ["Approve", "Deny", "Askforchanges", "Details"]
    assert missing(words, turned) != []
