"""Every reason for which Sayso says no to a person, reached by a real click or command, with the words they read.

The table is whole: a reason that the rules know and no act here reaches fails `test_every_refusal_is_reached`. Whoever
adds a refusal adds an act, and a row to docs/reference/refusals.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from approvals.request import Request
from handlers.slack.blocks import APPROVE
from handlers.slack.replies import NAME
from tests.docs.page import pattern
from tests.docs.test_reference import refusals, table
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, TEAM, World, a_world, policy_file, words

Act = Callable[[World], Awaitable[str]]
Refusal = tuple[str, str]

ACTS: dict[Refusal, Act] = {}


def reaches(reason: str, sentence: str) -> Callable[[Act], Act]:
    """Enter an act into the table under the reason and the beginning of the sentence that it comes to."""
    (row,) = [one for one in refusals("NotAllowed", "Refused") if one[0] == reason and one[1].startswith(sentence)]

    def enter(act: Act) -> Act:
        ACTS[row] = act
        return act

    return enter


async def clicked(world: World, user: str, request: Request, **options: Any) -> str:
    """What somebody is told who presses Approve."""
    before = len(world.sandbox.ephemerals(user))
    assert (await world.click(user, request, APPROVE, **options)).ok
    return (await world.told(user, before + 1))[-1]


async def typed(world: World, user: str, text: str) -> str:
    """What somebody is told who types a command, without its title."""
    assert (await world.sandbox.command(user, PAYMENTS, NAME, text)).ok
    return words(world.sandbox.ephemerals(user)[-1].blocks).split("\n", 1)[1]


async def a_deployment(world: World, **changes: Any) -> Request:
    """A request that one of the user group S0SRE may answer."""
    return await world.ask(kind="deploy.run", **changes)


def rules(**demands: Any) -> list[dict[str, Any]]:
    """The rules of the policy, with these demands in the one about deployments."""
    payments, deployments = policy_file()["rules"]
    return [payments, deployments | demands]


# -- clicks -------------------------------------------------------------------------------------------------------


@reaches("not_an_approver", "You are not among")
async def _a_stranger_clicks(world: World) -> str:
    return await clicked(world, "U0MALLORY", await world.ask())


@reaches("own_request", "This was asked by you")
async def _the_principal_clicks(world: World) -> str:
    return await clicked(world, "U0DANA", await world.ask())


@reaches("not_a_member", "Only full")
async def _a_guest_clicks(world: World) -> str:
    world.sandbox.workspace.join(DEPLOYS, "U0GUEST")
    return await clicked(world, "U0GUEST", await a_deployment(world))


@reaches("excluded", "The policy lets nobody of your team")
async def _somebody_of_an_excluded_group_clicks(world: World) -> str:
    request = await a_deployment(world)
    await world.adopt(rules=rules(exclude=["leads"]))
    return await clicked(world, "U0BOB", request)


@reaches("unlinked", "Your account is not linked to a person in the policy, and more than one")
async def _an_account_of_nobody_clicks_where_two_are_needed(world: World) -> str:
    world.sandbox.workspace.groups["S0SRE"].users.append("U0MALLORY")
    request = await a_deployment(world)
    await world.adopt(rules=rules(factors=[{"name": "sre", "from": ["sre"], "approvals": 2}]))
    return await clicked(world, "U0MALLORY", request)


@reaches("lookup_failed", "I could not check who you are")
async def _slack_does_not_say_who_clicks(world: World) -> str:
    request = await world.ask()
    world.sandbox.faults.add(method="users.info", status=500, times=9)
    return await clicked(world, "U0ALICE", request)


@reaches("lookup_failed", "I could not check the others")
async def _slack_does_not_say_who_clicked_before(world: World) -> str:
    request = await world.ask()
    await clicked(world, "U0ALICE", request)
    world.clock.advance(61)  # alice is looked up anew, bob is known by his other click
    await clicked(world, "U0BOB", await world.ask())
    world.sandbox.faults.add(method="users.info", status=500, times=9)
    return await clicked(world, "U0BOB", request)


@reaches("not_this_card", "This button does not belong")
async def _a_card_elsewhere_is_clicked(world: World) -> str:
    def moved(body: dict[str, Any]) -> None:
        body["container"]["message_ts"] = "1.000001"

    return await clicked(world, "U0ALICE", await world.ask(), alter=moved)


@reaches("policy_changed", "Policy no longer allows")
async def _the_agent_may_not_ask_this_any_more(world: World) -> str:
    request = await world.ask()
    entry = policy_file()["agents"]["payments-bot"] | {"kinds": ["deploy.*"]}
    await world.adopt(agents={"payments-bot": entry})
    return await clicked(world, "U0ALICE", request)


@reaches("policy_denies", "A rule of the policy now denies")
async def _a_rule_denies_it_now(world: World) -> str:
    request = await a_deployment(world)
    await world.adopt(rules=rules(effect="deny"))
    return await clicked(world, "U0ALICE", request)


@reaches("not_found", "I do not know this request any more")
async def _a_card_of_long_ago_is_clicked(world: World) -> str:
    request = await a_deployment(world)
    card = await world.card(request)
    await clicked(world, "U0ALICE", request)
    world.clock.advance(60 * 60)
    await world.approvals.after_time(request.id)  # it lapsed, and is forgotten a month later
    world.clock.advance(31 * 24 * 60 * 60)
    assert (await world.sandbox.click("U0BOB", *card, APPROVE)).ok
    return (await world.told("U0BOB"))[-1]


# -- commands -----------------------------------------------------------------------------------------------------


@reaches("not_found", "I do not know this request.")
async def _a_request_is_forgotten_while_it_is_extended(world: World) -> str:
    request = await world.ask()
    world.store.remembers = 1  # the command still finds it, the change does not
    return await typed(world, "U0CAROL", f"extend {request.id} 30m")


@reaches("no_such_role", "The policy lets nobody")
async def _nobody_may_freeze(world: World) -> str:
    await world.adopt(roles={})
    return await typed(world, "U0CAROL", "freeze agent payments-bot it lies")


@reaches("no_role", "The policy does not let you")
async def _somebody_without_the_role_revokes(world: World) -> str:
    request = await a_deployment(world)
    await clicked(world, "U0ALICE", request)
    return await typed(world, "U0ALICE", f"revoke {request.id} because")


@reaches("not_now", "That cannot be done")
async def _a_deadline_is_moved_too_far(world: World) -> str:
    return await typed(world, "U0CAROL", f"extend {(await world.ask()).id} 9d")


@reaches("no_such_agent", "No agent of that name")
async def _an_unknown_agent_is_frozen(world: World) -> str:
    return await typed(world, "U0CAROL", "freeze agent nobody it lies")


@reaches("not_frozen", "That is not frozen")
async def _what_is_not_frozen_is_unfrozen(world: World) -> str:
    return await typed(world, "U0CAROL", "unfreeze all")


@reaches("own_freeze", "You froze this")
async def _somebody_unfreezes_what_they_froze(world: World) -> str:
    await typed(world, "U0CAROL", "freeze agent payments-bot it lies")
    return await typed(world, "U0CAROL", "unfreeze agent payments-bot --sure")


@reaches("unlinked", "Your account is not linked to a person in the policy, and another")
async def _an_account_of_nobody_unfreezes(world: World) -> str:
    world.sandbox.workspace.groups["S0SRE"].users.append("U0MALLORY")
    await world.adopt(roles={"freeze": ["leads"], "unfreeze": ["sre"]})
    await typed(world, "U0CAROL", "freeze all --sure it lies")
    return await typed(world, "U0MALLORY", "unfreeze all --sure")


# -- the table ----------------------------------------------------------------------------------------------------


def test_every_refusal_is_reached() -> None:
    known = refusals("NotAllowed", "Refused")
    assert known - ACTS.keys() == set(), "write an act that reaches it"
    assert known == set(table("A click does not count"))


@pytest.mark.parametrize("refusal", ACTS, ids=lambda refusal: f"{refusal[0]}-{refusal[1][:30]}")
async def test_the_person_reads_the_sentence_that_is_listed(refusal: Refusal) -> None:
    async with a_world("http") as world:
        told = await ACTS[refusal](world)
        assert pattern(refusal[1]).fullmatch(told), told
        assert TEAM not in told
