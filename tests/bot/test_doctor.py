"""The doctor looks at Slack, Redis, the key and the policy, and has a remedy for each thing it finds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.doctor import examine
from bot.findings import Finding
from bot.settings import Settings, load
from bot.signing import create_key
from bot.slack_doctor import send_test_card
from handlers.slack.manifest import SCOPES
from sandbox import Sandbox
from tests.build import policy_mapping
from tests.servers import Server, running

pytestmark = pytest.mark.redis

CHANNEL = "C0PAYMENTS"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as made:
        yield made


def settings(sandbox: Sandbox, redis: Server, folder: Path, **given: Any) -> Settings:
    """A deployment in which everything is well."""
    defaults = {"factors": [{"from": ["finance"]}], "destinations": [f"slack:{CHANNEL}", "slack:U0ALICE"]}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy_mapping(defaults=defaults)))
    slack = {"slack_bot_token": sandbox.bot_token, "slack_app_token": sandbox.app_token}
    made = load(**{"redis_url": redis.url, "slack_api_url": sandbox.api_url, **slack, **given})
    if not made.signing_key.exists():
        create_key(made.signing_key)
    return made


def troubles(findings: list[Finding]) -> list[Finding]:
    """What is not well; everything of it has a remedy."""
    found = [finding for finding in findings if finding.level != "ok"]
    assert all(finding.remedy for finding in found)
    return found


async def test_where_everything_is_well_it_says_so(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    findings = await examine(settings(sandbox, redis, folder))
    assert troubles(findings) == []
    said = "\n".join(finding.what for finding in findings)
    parts = ("export-bot, payments-bot may ask", "Redis answers", "A0SAYSO in workspace T0SAYSO", "joined")
    for part in (*parts, "scopes: all", "a connection can be opened"):
        assert part in said


async def test_a_channel_the_app_has_not_joined_is_named(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    sandbox.workspace.remove_bot(CHANNEL)
    (found,) = troubles(await examine(settings(sandbox, redis, folder)))
    assert (found.level, found.what) == ("problem", f"slack:{CHANNEL}: the app is not in this channel")
    assert "/invite" in found.remedy


async def test_a_channel_that_does_not_exist_is_named(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    del sandbox.workspace.channels[CHANNEL]
    (found,) = troubles(await examine(settings(sandbox, redis, folder)))
    assert found.level == "problem"
    assert "channel_not_found" in found.what


async def test_an_archived_channel_is_named(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    sandbox.workspace.archive(CHANNEL)
    (found,) = troubles(await examine(settings(sandbox, redis, folder)))
    assert (found.level, found.what) == ("problem", f"slack:{CHANNEL}: the channel is archived")


async def test_a_channel_shared_with_others_takes_no_cards_unless_the_policy_says_so(
    sandbox: Sandbox, redis: Server, folder: Path
) -> None:
    sandbox.workspace.channels[CHANNEL].is_ext_shared = True
    made = settings(sandbox, redis, folder)
    (found,) = troubles(await examine(made))
    assert (found.level, "so nothing is posted there" in found.what) == ("problem", True)
    assert "external_channels" in found.remedy
    policy = yaml.safe_load((folder / "policy.yaml").read_text()) | {"external_channels": [f"slack:{CHANNEL}"]}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    (found,) = troubles(await examine(made))
    assert (found.level, found.what) == ("warning", f"slack:{CHANNEL}: shared with another workspace")


async def test_accounts_that_cannot_be_right_are_named(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    made = settings(sandbox, redis, folder)
    wrong = {"alice": "slack:T0OTHER:U0ALICE", "bob": "slack:T0SAYSO:U0NOBODY", "dana": "slack:T0SAYSO:U0LEFT"}
    people = {name: {"accounts": [account]} for name, account in wrong.items()}
    policy = yaml.safe_load((folder / "policy.yaml").read_text()) | {"people": people}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    assert [(found.level, found.what) for found in troubles(await examine(made))] == [
        ("problem", "alice: slack:T0OTHER:U0ALICE is not in this workspace"),
        ("problem", "bob: slack:T0SAYSO:U0NOBODY: user_not_found"),
        ("warning", "dana: slack:T0SAYSO:U0LEFT is deactivated"),
    ]


async def test_user_groups_are_looked_up(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    made = settings(sandbox, redis, folder)
    sandbox.workspace.add_group("S0EMPTY", "empty", [])
    ids = {"sre": "S0SRE", "empty": "S0EMPTY", "none": "S0NONE"}
    groups = {name: {"slack_usergroup": group} for name, group in ids.items()}
    policy = yaml.safe_load((folder / "policy.yaml").read_text())
    policy["groups"] |= groups
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    findings = await examine(made)
    assert Finding("ok", "user group S0SRE: 2 people") in findings
    assert sorted(found.what for found in troubles(findings)) == [
        "user group S0EMPTY: nobody is in it",
        "user group S0NONE: no_such_subteam",
    ]


async def test_a_bad_token_is_named_and_not_shown(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    (found,) = troubles(await examine(settings(sandbox, redis, folder, slack_bot_token="xoxb-very-secret")))
    assert (found.level, found.what) == ("problem", "Slack refuses the bot token (invalid_auth)")
    assert "very-secret" not in repr(found)


@pytest.mark.parametrize("scope", ["groups:read", "commands"])
async def test_a_missing_scope_is_named_with_what_it_is_for(
    sandbox: Sandbox, redis: Server, folder: Path, scope: str
) -> None:
    sandbox.workspace.app.scopes.discard(scope)
    (found,) = troubles(await examine(settings(sandbox, redis, folder)))
    assert (found.level, found.what) == ("problem", f"scopes: {scope} is missing ({SCOPES[scope]})")
    assert "install the app again" in found.remedy


async def test_a_bad_app_token_is_named_and_not_shown(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    (found,) = troubles(await examine(settings(sandbox, redis, folder, slack_app_token="xapp-very-secret")))
    assert (found.level, found.what) == ("problem", "Slack refuses the app-level token (invalid_auth)")
    assert "very-secret" not in repr(found)


async def test_a_clock_that_is_wrong_is_told_against_redis_and_slack(
    sandbox: Sandbox, redis: Server, folder: Path
) -> None:
    findings = await examine(settings(sandbox, redis, folder), wall=lambda: time.time() + 400)
    behind, slack = troubles(findings)
    assert behind.level == "warning"
    assert "Redis' clock" in behind.what
    assert (slack.level, slack.what[:25]) == ("problem", "this machine's clock is 4")


async def test_over_http_there_is_no_socket_to_open(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    http = {"slack_app_token": None, "slack_signing_secret": sandbox.signing_secret}
    findings = await examine(settings(sandbox, redis, folder, **http))
    assert troubles(findings) == []
    assert not any("Socket Mode" in finding.what for finding in findings)


async def test_the_channel_of_the_operators_is_looked_at_too(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    (found,) = troubles(await examine(settings(sandbox, redis, folder, operators_channel="slack:C0NONE")))
    assert found.what.startswith("slack:C0NONE: channel_not_found")


@pytest.mark.parametrize("destination", [f"slack:{CHANNEL}", "slack:U0ALICE"])
async def test_a_test_card_has_no_buttons_and_says_that_nothing_is_asked(
    sandbox: Sandbox, redis: Server, folder: Path, destination: str
) -> None:
    found = await send_test_card(settings(sandbox, redis, folder), destination)
    assert (found.level, found.what) == ("ok", f"{destination}: a test card was sent; look at it there")
    direct = sandbox.workspace.direct_channel("U0ALICE", sandbox.workspace.app.bot_user).id
    (message,) = sandbox.messages(CHANNEL if destination.endswith(CHANNEL) else direct)
    assert "Test card: nothing is asked" in str(message.blocks)
    assert not [block for block in message.blocks if block["type"] == "actions"]


@pytest.mark.parametrize(
    ("trouble", "what"),
    [
        ({"error": "is_archived"}, "is_archived"),
        ({"error": "restricted_action"}, "restricted_action"),
        ({"status": 503}, "no test card was sent"),
    ],
)
async def test_a_test_card_that_cannot_be_sent_says_why(
    sandbox: Sandbox, redis: Server, folder: Path, trouble: dict[str, Any], what: str
) -> None:
    sandbox.faults.add(method="chat.postMessage", **trouble)
    found = await send_test_card(settings(sandbox, redis, folder), f"slack:{CHANNEL}")
    assert found.level == "problem"
    assert what in found.what
    assert found.remedy


async def test_a_slack_that_does_not_answer_is_named(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    url = "http://127.0.0.1:1/api/"
    (found,) = troubles(await examine(settings(sandbox, redis, folder, slack_api_url=url)))
    assert found.what.startswith("Slack does not answer")


async def test_a_redis_that_does_not_answer_is_named_without_its_password(
    sandbox: Sandbox, redis: Server, folder: Path
) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    (found,) = troubles(await examine(settings(sandbox, redis, folder, redis_url=url)))
    assert found.what.startswith("Redis: ")
    assert found.what.endswith(", at 127.0.0.1:1")
    assert "hunter2" not in repr(found)


async def test_a_redis_that_forgets_is_a_warning(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    with running() as forgetful:
        (found,) = troubles(await examine(settings(sandbox, forgetful, folder)))
    assert found.level == "warning"
    assert "nothing is written to disk" in found.what


async def test_a_missing_key_is_a_warning_and_none_is_made(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    made = settings(sandbox, redis, folder)
    made.signing_key.unlink()
    (found,) = troubles(await examine(made))
    assert found.level == "warning"
    assert not made.signing_key.exists()


async def test_the_doctor_leaves_nothing_in_redis(sandbox: Sandbox, redis: Server, folder: Path) -> None:
    await examine(settings(sandbox, redis, folder))
    assert redis.command("DBSIZE") == ":0\r\n"


async def test_a_broken_policy_lists_every_problem_and_the_rest_is_still_looked_at(
    sandbox: Sandbox, redis: Server, folder: Path
) -> None:
    made = settings(sandbox, redis, folder)
    (folder / "policy.yaml").write_text("version: 2\ncolour: blue\n")
    findings = await examine(made)
    assert len(troubles(findings)) >= 2
    assert any("A0SAYSO" in finding.what for finding in findings)
