"""Every reason for which Sayso says no to a person, reached by a real click or command, with the words they read.

The table is whole: a reason that the rules know and no act here reaches fails `test_every_refusal_is_reached`. Whoever
adds a refusal adds an act, and a row to docs/reference/refusals.md. Where no screen of Slack's leads to a refusal any
more, because the door shows no such button, the act goes `straight` to the service that refuses it all the same.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from approvals.delegations import MOST as MOST_SEATS
from approvals.request import Request
from approvals.review import MOST
from handlers.slack.blocks import APPROVE, DENY, REVIEW
from handlers.slack.reason import REASON
from handlers.slack.replies import NAME
from handlers.slack.review import CODE, WHY
from sandbox.views import View
from tests.docs.page import pattern
from tests.docs.test_reference import refusals
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, TEAM, World, a_world, policy_file, words

Act = Callable[[World], Awaitable[str]]
Refusal = tuple[str, str]

KNOWN = refusals("NotAllowed", "Refused")
ACTS: dict[Refusal, Act] = {}


def reaches(reason: str, sentence: str) -> Callable[[Act], Act]:
    """Enter an act into the table under the reason and the beginning of the sentence that it comes to."""
    (row,) = [one for one in KNOWN if one[0] == reason and one[1].startswith(sentence)]

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


@reaches("own_request", "This was asked by you, for you or by your agent, so your answer")
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


@reaches("unseen", "Part of this is secret")
async def _what_nobody_may_see_is_approved(world: World) -> str:
    kinds = policy_file()["kinds"]
    await world.adopt(kinds=kinds | {"deploy.run": kinds["deploy.run"] | {"secret": ["token"]}})
    await world.approvals.operators.deny_frozen()  # by which this bot hears of it
    request = await a_deployment(world, arguments={"token": "tiny"})

    def approved(body: dict[str, Any]) -> None:
        body["actions"][0]["action_id"] = APPROVE

    assert (await world.click("U0ALICE", request, DENY, alter=approved)).ok  # the card has no Approve
    return (await world.told("U0ALICE"))[-1]


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


# -- reviews ------------------------------------------------------------------------------------------------------

LONG = {"plan": "\n".join(f"line {number}" for number in range(300))}


async def demanding(world: World, **demands: Any) -> Request:
    """A deployment of which the rule demands this, and of which this bot has heard."""
    await world.adopt(rules=rules(**demands))
    await world.approvals.operators.deny_frozen()
    return await a_deployment(world)


async def opened(world: World, request: Request, user: str = "U0ALICE") -> View:
    """The review on somebody's screen."""
    assert (await world.click(user, request, REVIEW)).ok
    await world.door._tasks.drain()
    return world.sandbox.views(user)[-1]


async def submitted(world: World, view: View, values: dict[str, str], user: str = "U0ALICE", **options: Any) -> str:
    """What stands at the head of the modal after somebody submitted it."""
    assert (await world.sandbox.submit_view(user, view.id, values, **options)).ok
    return words(world.sandbox.views(user)[-1].blocks).split("\n")[0].removeprefix(":warning: ")


@reaches("looked_too_briefly", "Take your time")
async def _a_review_is_approved_at_once(world: World) -> str:
    return await submitted(world, await opened(world, await demanding(world, min_look="10s")), {})


@reaches("wrong_code", "That is not the code")
async def _a_wrong_code_is_typed(world: World) -> str:
    view = await opened(world, await demanding(world, confirm_code=True))
    return await submitted(world, view, {CODE: "0000-00"})


@reaches("review_over", "This review was used already")
async def _a_review_that_is_none_is_approved(world: World) -> str:
    view = await opened(world, await demanding(world, min_look="1s"))

    def made_up(body: dict[str, Any]) -> None:
        body["view"]["private_metadata"] = "0-" + "a" * 24 + "." + "A" * 22

    return await submitted(world, view, {}, alter=made_up)


@reaches("reason_needed", "This answer needs a reason")
async def _a_review_is_approved_without_the_reason_it_needs(world: World) -> str:
    view = await opened(world, await demanding(world, reason=["approve"], min_look="1s"))

    def wordless(body: dict[str, Any]) -> None:
        body["view"]["state"]["values"][WHY][WHY]["value"] = " "

    return await submitted(world, view, {WHY: "said, and taken out"}, alter=wordless)


@reaches("review_first", "This can be approved only from its review")
async def _a_review_is_asked_for_while_somebody_writes_their_reason(world: World) -> str:
    request = await demanding(world, reason=["approve"])
    assert (await world.click("U0ALICE", request, APPROVE)).ok
    (form,) = world.sandbox.views("U0ALICE")
    await world.adopt(rules=rules(reason=["approve"], min_look="1s"))
    await world.approvals.operators.deny_frozen()
    return await submitted(world, form, {REASON: "a hotfix"})


@reaches("not_your_review", "This review was opened by somebody else")
async def _somebody_approves_from_anothers_review(world: World) -> str:
    """Bob sends the form of his own review with the token of alice's."""
    request = await demanding(world, min_look="1s")
    hers, his = await opened(world, request), await opened(world, request, "U0BOB")

    def exchanged(body: dict[str, Any]) -> None:
        body["view"]["private_metadata"] = hers.definition["private_metadata"]

    return await submitted(world, his, {}, "U0BOB", alter=exchanged)


@reaches("pages_unopened", "You have not opened every page")
async def _a_review_is_approved_before_it_was_read(world: World) -> str:
    return await submitted_in_its_place(world, await opened(world, await a_deployment(world, arguments=LONG)))


@reaches("too_long_to_review", "This is too long for anybody")
async def _what_nobody_can_read_is_approved(world: World) -> str:
    endless = await a_deployment(world, arguments={"plan": "x" * (MOST + 1)})
    return await submitted_in_its_place(world, await opened(world, endless))


async def submitted_in_its_place(world: World, unread: View) -> str:
    """What alice reads who sends the form of another review of hers as if it were that of one that has no Approve."""
    await world.sandbox.close_view("U0ALICE", unread.id)
    other = await opened(world, await demanding(world, min_look="1s"))

    def exchanged(body: dict[str, Any]) -> None:
        body["view"]["private_metadata"] = unread.definition["private_metadata"]

    return await submitted(world, other, {}, alter=exchanged)


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


@reaches("no_role", "The policy does not let you …")
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


# -- emergencies --------------------------------------------------------------------------------------------------


async def an_emergency(world: World, kind: str = "deploy.run", who: Sequence[str] = ("on-call", "sre")) -> Request:
    """A request that carol, who is on call, and U0MALLORY, whom the policy does not know, may let through alone."""
    world.sandbox.workspace.groups["S0SRE"].users.append("U0MALLORY")
    glass = {"who": [*who], "kinds": ["deploy.*"], "announce": [f"slack:{PAYMENTS}"]}
    groups = policy_file()["groups"] | {"on-call": {"people": ["carol", "dana"]}}
    roles = policy_file()["roles"] | {"review": ["leads", "on-call"]}
    await world.adopt(break_glass=glass, groups=groups, roles=roles)
    await world.approvals.operators.deny_frozen()  # by which this bot hears of it
    return await world.ask(kind=kind)


async def broken(world: World, user: str, request: Request, reason: str = " for the outage") -> str:
    """What somebody is told who sees the whole request and lets it through."""
    assert (await world.sandbox.command(user, PAYMENTS, NAME, f"break-glass {request.id}")).ok
    blocks = world.sandbox.ephemerals(user)[-1].blocks
    (button,) = [one for block in blocks if block["type"] == "actions" for one in block["elements"]]
    return await typed(world, user, json.loads(button["value"])["command"] + reason)


@reaches("own_request", "This was asked by you, for you or by your agent, so another")
async def _the_principal_reviews_an_emergency(world: World) -> str:
    request = await an_emergency(world)
    await broken(world, "U0CAROL", request)
    return await typed(world, "U0DANA", f"review {request.id} all well")


@reaches("own_emergency", "You let this through")
async def _somebody_reviews_their_own_emergency(world: World) -> str:
    request = await an_emergency(world)
    await broken(world, "U0CAROL", request)
    return await typed(world, "U0CAROL", f"review {request.id} all well")


@reaches("no_break_glass", "The policy lets nobody approve this alone")
async def _nobody_may_let_payments_through(world: World) -> str:
    return await broken(world, "U0CAROL", await an_emergency(world, "payments.release"))


@reaches("no_role", "The policy does not let you break the glass.")
async def _somebody_who_is_not_on_call_breaks_the_glass(world: World) -> str:
    return await broken(world, "U0ALICE", await an_emergency(world, who=["on-call"]))


@reaches("reason_needed", "An emergency needs a reason")
async def _the_glass_is_broken_without_a_word(world: World) -> str:
    return await broken(world, "U0CAROL", await an_emergency(world), reason="")


@reaches("unlinked", "Your account is not linked to a person in the policy, and somebody else")
async def _an_account_of_nobody_breaks_the_glass(world: World) -> str:
    return await broken(world, "U0MALLORY", await an_emergency(world))


@reaches("words_needed", "Say in a few words")
async def _an_emergency_is_reviewed_without_a_word(world: World) -> str:
    request = await an_emergency(world)
    await broken(world, "U0CAROL", request)
    return await typed(world, "U0BOB", f"review {request.id}")


# -- seats and accounts -------------------------------------------------------------------------------------------


async def with_seats(world: World, **more: list[str]) -> None:
    """Finance may hand over seats and link accounts."""
    await world.adopt(roles={"delegate": ["finance"], "link": ["finance"]} | more)


@reaches("no_such_person", "The policy does not know")
async def _a_seat_is_handed_to_nobody(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", "delegate @mallory until friday")


@reaches("own_delegation", "You cannot hand")
async def _a_seat_is_handed_to_oneself(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", "delegate @alice until friday")


@reaches("no_such_zone", "I know no such time zone")
async def _quiet_hours_are_kept_somewhere_that_is_nowhere(world: World) -> str:
    return await typed(world, "U0ALICE", "quiet 22:00-07:30 Europe/Atlantis")


@reaches("bad_until", "Name an end")
async def _a_seat_is_handed_over_for_years(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", "delegate @bob until 52w")


@reaches("bad_kinds", "Name kinds")
async def _a_seat_is_handed_over_for_what_is_no_kind(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", "delegate @bob until friday for Überweisungen")


@reaches("too_many_delegations", "You have handed over")
async def _a_seat_is_handed_over_too_often(world: World) -> str:
    await with_seats(world)
    for _ in range(MOST_SEATS):
        await typed(world, "U0ALICE", "delegate @bob until friday")
    return await typed(world, "U0ALICE", "delegate @bob until friday")


@reaches("no_such_delegation", "I know no such")
async def _what_was_never_handed_over_is_taken_back(world: World) -> str:
    return await typed(world, "U0ALICE", "undelegate something")


@reaches("unlinked", "Your account is not linked to a person in the policy, so you have no seat")
async def _an_account_of_nobody_has_no_seat(world: World) -> str:
    world.sandbox.workspace.groups["S0SRE"].users.append("U0MALLORY")
    await with_seats(world, delegate=["sre"])
    return await typed(world, "U0MALLORY", "delegate @bob until friday")


@reaches("unlinked", "Begin with the account")
async def _an_account_of_nobody_begins_to_link(world: World) -> str:
    world.sandbox.workspace.groups["S0SRE"].users.append("U0MALLORY")
    await with_seats(world, link=["sre"])
    return await typed(world, "U0MALLORY", "link")


@reaches("bad_code", "That is not a code")
async def _somebody_types_a_code_that_they_made_up(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0MALLORY", "link ABCDE-FGHIJ")


@reaches("linked_already", "This account is linked")
async def _somebody_whom_the_file_knows_types_a_code(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", "link ABCDE-FGHIJ")


@reaches("nothing_claimed", "No account has typed")
async def _an_account_is_confirmed_that_typed_nothing(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", f"link confirm slack:{TEAM}:U0MALLORY")


@reaches("not_linked", "No such account")
async def _an_account_that_was_never_linked_is_unlinked(world: World) -> str:
    await with_seats(world)
    return await typed(world, "U0ALICE", f"unlink slack:{TEAM}:U0MALLORY")


# -- the table ----------------------------------------------------------------------------------------------------


def test_every_refusal_is_reached() -> None:
    assert KNOWN - ACTS.keys() == set(), "write an act that reaches it"


@pytest.mark.parametrize("refusal", ACTS, ids=lambda refusal: f"{refusal[0]}-{refusal[1][:30]}")
async def test_the_person_reads_the_sentence_that_is_listed(refusal: Refusal) -> None:
    async with a_world("http") as world:
        told = await ACTS[refusal](world)
        assert pattern(refusal[1]).fullmatch(told), told
        assert TEAM not in told
