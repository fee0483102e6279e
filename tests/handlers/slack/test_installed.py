"""Once the app is gone from the workspace, nothing is decided here any more, and the process says so."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.slack.blocks import APPROVE
from tests.handlers.slack.test_command import answered
from tests.handlers.slack.world import PAYMENTS, World


async def event(world: World, **members: Any) -> None:
    """Slack sends an event, which is taken."""
    assert (await world.sandbox.send_event(members)).ok


@pytest.mark.parametrize(
    "gone", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0SAYSO"]}}]
)
async def test_after_the_app_is_gone_nothing_counts_and_we_are_not_ready(world: World, gone: dict[str, Any]) -> None:
    request = await world.ask(kind="deploy.run")
    await event(world, **gone)
    await world.sandbox.wait_for(lambda: world.door._installed.gone or None)
    assert not await world.door.is_connected()
    assert not (await world.click("U0ALICE", request, APPROVE)).ok
    assert await world.status(request) == "pending"


@pytest.mark.parametrize("tokens", [{"oauth": ["U0ALICE"]}, {"bot": ["U0OTHER"]}, {"bot": "U0SAYSO"}, None])
async def test_a_token_of_somebody_else_changes_nothing(http_world: World, tokens: object) -> None:
    await event(http_world, type="tokens_revoked", tokens=tokens)
    assert await http_world.door.is_connected()
    assert "/sayso pending" in await answered(http_world, "U0ALICE", PAYMENTS, "help")


@pytest.mark.parametrize("member", ["team_id", "api_app_id"])
async def test_the_end_of_another_teams_or_apps_installation_is_not_ours(http_world: World, member: str) -> None:
    body = {"type": "event_callback", "event": {"type": "app_uninstalled"}, "team_id": "T0SAYSO"}
    body |= {"api_app_id": "A0SAYSO", member: "X0OTHER"}
    delivery = await http_world.sandbox.deliver("events_api", body)
    assert delivery.status == 403
    assert await http_world.door.is_connected()


async def test_slack_may_ask_whether_the_address_is_ours(http_world: World) -> None:
    assert await http_world.sandbox.verify_url()
