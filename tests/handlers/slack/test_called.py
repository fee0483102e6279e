"""Who is called in Slack: the first post mentions those on call now by name, or writes to each member of a group."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.card import card_of
from approvals.reaching import Reaching
from approvals.request import Request
from bot.courier import Courier
from bot.doors import Directories
from bot.policies import AdoptedPolicy
from handlers.oncall.pagerduty import PagerDuty
from tests.bot.test_courier import until_quiet
from tests.fakes import pagerduty
from tests.handlers.oncall.test_oncall import SHIFT, Time, asking, fake, session
from tests.handlers.slack.world import DEPLOYS, TEAM, World, policy_file, words

__all__ = ["fake", "session"]  # fixtures


def demands(notify: str, source: dict[str, Any]) -> dict[str, Any]:
    """A policy in which deployments wait for the people of a source."""
    file = policy_file()
    people = file["people"] | {"alice": {"accounts": [f"slack:{TEAM}:U0ALICE", "pagerduty:acme:PALICE"]}}
    rule = {"id": "prod-change", "match": {"kind": ["deploy.*"]}, "exempts": ["defaults"]}
    asks = {"factors": [{"name": "duty", "from": ["duty"], "notify": notify}], "destinations": [f"slack:{DEPLOYS}"]}
    return {"people": people, "groups": file["groups"] | {"duty": source}, "rules": [rule | asks]}


async def shown(world: World, duty: PagerDuty | None = None) -> Request:
    """A deployment whose cards and letters are where they belong."""
    request = await world.ask(kind="deploy.run", arguments={"to": "prod"}, show=False)
    known: Any = {"slack": world.door.directory} | ({"pagerduty": duty} if duty else {})
    policies: AdoptedPolicy = world.approvals._policies  # type: ignore[assignment]
    book = world.approvals.pings.book
    reach = Reaching(store=world.store, policies=policies, rosters=Directories(known), book=book)
    await until_quiet(Courier(world.store, {"slack": world.door.platform}, reach=reach))
    return (await world.store.get(request.id)).request


def mentioned(blocks: Any) -> list[str]:
    """Everybody who is notified by a message: people and groups, not whom the agent acts for."""
    if isinstance(blocks, list):
        return [one for block in blocks for one in mentioned(block)]
    if not isinstance(blocks, dict):
        return []
    if blocks.get("type") in ("user", "usergroup"):
        return [blocks.get("user_id") or blocks["usergroup_id"]]
    return [one for value in blocks.values() for one in mentioned(value)]


async def test_the_first_post_mentions_who_is_on_call_by_name(
    http_world: World, fake: pagerduty.PagerDuty, session: Any
) -> None:
    await http_world.adopt(**demands("mention", {"oncall": ["pagerduty:PRIMARY"]}))
    request = await shown(http_world, asking(fake, session, Time(SHIFT + timedelta(hours=1))))
    (message,) = http_world.sandbox.messages(DEPLOYS)
    assert mentioned(message.blocks) == ["U0ALICE"]
    assert "needs duty 0 of 1 (@U0ALICE)" in words(message.blocks)
    assert (await http_world.store.get(request.id)).posts[f"slack:{DEPLOYS}"].shown == card_of(request).digest()


async def test_where_pagerduty_is_down_the_card_is_posted_and_says_so(
    http_world: World, fake: pagerduty.PagerDuty, session: Any
) -> None:
    await http_world.adopt(**demands("mention", {"oncall": ["pagerduty:PRIMARY"]}))
    await shown(http_world, asking(fake, session, Time(SHIFT), token="wrong"))
    (message,) = http_world.sandbox.messages(DEPLOYS)
    assert mentioned(message.blocks) == []
    assert "needs duty 0 of 1 (who is on call could not be looked up)" in words(message.blocks)


@pytest.mark.parametrize(("notify", "groups", "letters"), [("mention", ["S0SRE"], 0), ("dm", [], 1), ("none", [], 0)])
async def test_a_group_is_mentioned_or_each_member_is_written_to_or_neither(
    http_world: World, notify: str, groups: list[str], letters: int
) -> None:
    await http_world.adopt(**demands(notify, {"slack_usergroup": "S0SRE"}))
    request = await shown(http_world)
    (message,) = http_world.sandbox.messages(DEPLOYS)
    assert mentioned(message.blocks) == groups
    for user in http_world.sandbox.workspace.groups["S0SRE"].users:
        direct = http_world.sandbox.workspace.direct_channel(user, http_world.sandbox.workspace.app.bot_user)
        found = http_world.sandbox.messages(direct.id)
        assert len(found) == letters
        assert all(request.code in words(one.blocks) and "this waits for you" in words(one.blocks) for one in found)


async def test_a_burst_mentions_who_is_on_call_once(http_world: World, fake: pagerduty.PagerDuty, session: Any) -> None:
    await http_world.adopt(**demands("mention", {"oncall": ["pagerduty:PRIMARY"]}))
    for _ in range(6):
        await http_world.ask(kind="deploy.run", arguments={"to": "prod"}, show=False)
    await shown(http_world, asking(fake, session, Time(SHIFT)))
    *_, shared = http_world.sandbox.messages(DEPLOYS)
    assert mentioned(shared.blocks[:1]) == ["U0ALICE"]
    assert fake.asked == ["PRIMARY"]
