"""Secrets in requests: declared ones are masked, others refused, and what is not seen is not approved by chance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.card import card_of
from approvals.desk import Desk
from approvals.errors import EntryRefused
from tests.approvals.house import House, a_house
from tests.approvals.make import a_policy_file, a_rule, account, an_action
from tests.approvals.test_desk import BODY, entry

KIND: dict[str, Any] = a_policy_file()["kinds"]["payments.release"]
TOKEN = "ghp_" + "a1B2c3D4" * 4 + "e5F6"


async def with_secrets(secret: tuple[str, ...] = ("login",), shown: tuple[str, ...] = (), **rule: Any) -> House:
    """A house in which these arguments are secret, or are no credentials."""
    kinds = {"payments.release": KIND | {"secret": secret, "shown": shown}}
    return await a_house(kinds=kinds, rules=[a_rule(**rule)])


def an_action_with(**arguments: Any) -> Any:
    """An action with these arguments."""
    return an_action(arguments=arguments)


async def test_what_is_secret_is_approved_where_a_rule_says_unseen() -> None:
    house = await with_secrets(unseen=True)
    request = await house.asked(action=an_action_with(login={"password": "hunter2"}))
    await house.click(request, "alice")
    assert await house.status(request) == "approved"


async def test_what_is_secret_is_not_approved_otherwise_and_the_person_is_told_why() -> None:
    house = await with_secrets()
    request = await house.asked(action=an_action_with(login={"password": "hunter2"}))
    verdict = await house.click(request, "alice")
    assert getattr(verdict, "reason", "") == "unseen"
    assert "secret" in getattr(verdict, "sentence", "")
    await house.click(request, "alice", "deny")
    assert await house.status(request) == "denied"


async def test_a_rule_beside_it_that_does_not_say_unseen_is_stricter() -> None:
    kinds = {"payments.release": KIND | {"secret": ["login"]}}
    rules = [a_rule("one", unseen=True), a_rule("other")]
    house = await a_house(kinds=kinds, rules=rules)
    assert not (await house.asked(action=an_action_with(login="hunter2"))).terms.unseen


async def test_not_even_in_an_emergency_is_approved_what_no_rule_lets_be_approved_unseen() -> None:
    kinds = {"payments.release": KIND | {"secret": ["login"]}}
    emergency = {"who": ["finance"], "kinds": ["payments.*"], "announce": ["slack:C0SEC"]}
    house = await a_house(kinds=kinds, rules=[a_rule()], break_glass=emergency, roles={"review": ["ops"]})
    request = await house.asked(action=an_action_with(login="hunter2"))
    told = await house.approvals.operators.break_glass(request.id, account("carol"), "the site is down")
    assert getattr(told, "reason", "") == "unseen"
    assert await house.status(request) == "pending"


async def test_a_yes_to_what_was_unseen_is_not_used_once_policy_wants_it_seen() -> None:
    house = await with_secrets(unseen=True)
    request = await house.approved(action=an_action_with(login="hunter2"))
    await house.adopt(kinds={"payments.release": KIND | {"secret": ["login"]}}, rules=[a_rule()])
    assert getattr(await house.spend(request), "reason", "") == "policy"


async def test_a_request_without_the_secret_is_approved_as_ever() -> None:
    house = await with_secrets()
    request = await house.asked(action=an_action_with(amount="1"))
    await house.click(request, "alice")
    assert await house.status(request) == "approved"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": an_action_with(note={"text": f"use {TOKEN}"})}, "action.arguments.note.text"),
        ({"action": an_action_with(keys=["x", TOKEN])}, "action.arguments.keys[1]"),
        ({"action": an_action_with(password="hunter2")}, "action.arguments.password"),
        ({"action": an_action_with(**{TOKEN: "x"})}, "action.arguments"),
        ({"action": an_action_with(**{"odd name": TOKEN})}, "action.arguments.…"),
        ({"action": an_action(target=f"https://x:{TOKEN}@git.example")}, "action.target"),
        ({"action": an_action(preconditions={"etag": TOKEN})}, "action.preconditions.etag"),
        ({"because": f"the token is {TOKEN}"}, "because"),
        ({"principal": TOKEN}, "principal"),
        ({"started_by": TOKEN}, "started_by"),
        ({"call": f"run/{TOKEN}"}, "call"),
    ],
)
async def test_a_credential_elsewhere_is_refused_by_its_field_and_never_repeated(
    changes: dict[str, Any], field: str
) -> None:
    agents = {name: one | {"principals": ["dana", TOKEN]} for name, one in a_policy_file()["agents"].items()}
    house = await a_house(agents=agents)
    with pytest.raises(EntryRefused) as refused:
        await house.asked(**({"principal": "dana"} | changes))
    said = refused.value
    assert (said.reason, said.field) == ("credential", field)
    assert TOKEN not in f"{said.message} {said.field} {said.remedy} {await house.journal()}"


async def test_what_policy_says_is_no_credential_is_shown_as_it_is() -> None:
    house = await with_secrets(shown=("image", "ids[].token"))
    request = await house.asked(action=an_action_with(image=TOKEN, ids=[{"token": TOKEN}]))
    assert request.shown.arguments == {"image": TOKEN, "ids": [{"token": TOKEN}]}


async def test_a_declared_secret_may_be_a_credential() -> None:
    house = await with_secrets()
    request = await house.asked(action=an_action_with(login={"token": TOKEN}))
    assert TOKEN not in json.dumps(request.shown.arguments)
    assert request.action.arguments["login"] == {"token": TOKEN}, "the ledger has it: the digest is recomputed from it"


@pytest.mark.parametrize("changes", [{"because": TOKEN}, {"action": {**BODY["action"], "arguments": {TOKEN: 1}}}])
async def test_of_a_refused_credential_nothing_is_kept_aside(changes: dict[str, Any]) -> None:
    handled = await Desk((await a_house()).approvals).handle(entry("request", BODY | changes))
    assert handled.dead_letter == "credential"
    assert TOKEN.encode() not in handled.outline


async def test_of_any_other_refusal_no_value_is_kept_aside() -> None:
    body = BODY | {"audience": "stranger", "action": {**BODY["action"], "arguments": {"login": "hunter2!"}}}
    handled = await Desk((await a_house()).approvals).handle(entry("request", body))
    assert handled.dead_letter == "audience_not_allowed"
    assert b"payments.release" in handled.outline
    assert b"hunter2" not in handled.outline


async def test_what_was_masked_stays_masked_where_a_request_of_another_kind_answers_it() -> None:
    kinds = {"payments.release": KIND | {"secret": ["login"]}, "payments.refund": KIND}
    house = await a_house(kinds=kinds, rules=[a_rule(unseen=True)])
    old = await house.asked(action=an_action_with(login="hunter2", amount="1"))
    await house.click(old, "alice", "deny")
    other = an_action(kind="payments.refund", arguments={"amount": "1"})
    card = card_of(await house.asked("other", action=other, supersedes=old.id))
    assert "hunter2" not in card.model_dump_json()
    assert any(one.name == "login" and one.was[0].startswith("masked: 7 characters") for one in card.changed)
