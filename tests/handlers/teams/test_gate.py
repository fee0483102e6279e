"""The gate: what Teams itself signed for us is let in, and every row of facts/teams.md §1.1 is turned away."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from handlers.teams.gate import origin_of
from tests.fakes.entra import APP, OTHER_TENANT, TENANT, a_key, a_token, person_id, public
from tests.handlers.teams.world import World, a_world, an_activity


def unsigned(service: str) -> str:
    parts = (
        {"alg": "none", "kid": "key-1"},
        {"iss": "https://api.botframework.com", "aud": APP, "serviceurl": service},
    )
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def with_our_public_key_as_secret(service: str) -> str:
    """The old trick: HS256, with the public key as the shared secret."""
    claims = {"iss": "https://api.botframework.com", "aud": APP, "serviceurl": service, "exp": time.time() + 600}
    secret = OctKey.import_key(a_key().as_pem(private=False).hex()[:128])
    return jws.serialize_compact({"alg": "HS256", "kid": "key-1"}, json.dumps(claims).encode(), secret)


async def test_what_teams_signed_for_us_is_let_in(world: World) -> None:
    assert (await world.send(an_activity(service=world.connector.service)))[0] == 200
    assert world.watch.away == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": f"https://sts.windows.net/{TENANT}/"}, "other_issuer"),  # another app of our own tenant
        ({"iss": f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0", "tid": OTHER_TENANT}, "other_issuer"),
        ({"iss": ["https://api.botframework.com"]}, "other_issuer"),
        ({"iss": None}, "other_issuer"),
        ({"aud": OTHER_TENANT}, "other_audience"),
        ({"aud": [APP]}, "other_audience"),
        ({"aud": None}, "other_audience"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "no_expiry"),
        ({"exp": "tomorrow"}, "no_expiry"),
        ({"nbf": 10**11}, "expired"),
    ],
)
async def test_a_token_with_another_claim_is_turned_away(world: World, claims: Any, reason: str) -> None:
    token = a_token(world.connector.service, **claims)

    assert await world.send(an_activity(service=world.connector.service), token=token) == (401, {})
    assert world.watch.away == [reason]


async def test_what_microsoft_did_not_sign_is_turned_away(world: World) -> None:
    service, activity = world.connector.service, an_activity(service=world.connector.service)
    good = a_token(service)
    forged = [
        "",
        "nonsense",
        unsigned(service),
        with_our_public_key_as_secret(service),
        a_token(service, key=a_key("key-2")),
        a_token(service, key=a_key("key-2"), header={"kid": "key-1"}),
        good[:-8] + "AAAAAAAA",
    ]

    assert [(await world.send(activity, token=token))[0] for token in forged] == [401] * len(forged)
    async with world.session.post(f"{world.url}/teams/messages", json=activity) as answer:
        assert answer.status == 401
    assert set(world.watch.away) == {"no_token", "unknown_key", "bad_signature"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"serviceUrl": "https://evil.example/"}, "other_service"),
        ({"serviceUrl": None}, "other_service"),
        ({"channelId": "directline"}, "other_channel"),
        ({"channelId": None}, "other_channel"),
        ({"channelData": {"tenant": {"id": OTHER_TENANT}}, "conversation": {"id": "19:x"}}, "other_tenant"),
        ({"channelData": {"tenant": {"id": OTHER_TENANT}}}, "other_tenant"),  # the conversation says another
        ({"channelData": {}, "conversation": {"id": "19:x"}}, "other_tenant"),
    ],
)
async def test_a_body_that_the_token_does_not_vouch_for_is_turned_away(world: World, changes: Any, reason: str) -> None:
    assert await world.send(an_activity(service=world.connector.service, **changes)) == (403, {})
    assert world.watch.away == [reason]


@pytest.mark.parametrize("service", ["https://evil.example/", "http://smba.trafficmanager.net/emea/", "nowhere"])
async def test_a_service_address_that_is_not_on_the_list_is_turned_away(world: World, service: str) -> None:
    assert (await world.send(an_activity(service=service), token=a_token(service)))[0] == 403
    assert world.watch.away == ["service_not_allowed"]


async def test_a_token_without_a_service_address_is_turned_away(world: World) -> None:
    token = a_token(world.connector.service, serviceurl=None)

    assert (await world.send(an_activity(service=world.connector.service), token=token))[0] == 403


async def test_a_key_that_may_not_speak_for_teams_is_turned_away(world: World) -> None:
    world.entra.keys = [public(a_key(), endorsements=("directline",))]

    assert (await world.send(an_activity(service=world.connector.service)))[0] == 403
    assert world.watch.away == ["other_channel"]


async def test_an_unknown_key_is_looked_for_once_a_minute_and_found_after_a_rotation(world: World) -> None:
    service = world.connector.service
    activity, rotated = an_activity(service=service), a_token(service, key=a_key("key-2"))
    for _ in range(3):
        assert (await world.send(activity, token=rotated))[0] == 401
    assert world.entra.asked.count("/keys") == 1

    world.entra.keys.append(public(a_key("key-2")))
    world.clock.at += 61

    assert (await world.send(activity, token=rotated))[0] == 200
    assert world.entra.asked.count("/keys") == 2


async def test_known_keys_hold_while_microsoft_cannot_be_asked(world: World) -> None:
    activity = an_activity(service=world.connector.service)
    assert (await world.send(activity))[0] == 200
    world.entra.failing = lambda path: web.Response(status=503)
    world.clock.at += 90_000

    assert (await world.send(activity))[0] == 200


async def test_without_any_key_nothing_is_let_in(world: World) -> None:
    world.entra.failing = lambda path: web.Response(status=503)

    assert (await world.send(an_activity(service=world.connector.service)))[0] == 401
    assert not await world.door.is_connected()
    assert world.entra.asked == ["/openid"]

    world.entra.failing = lambda path: None
    world.clock.at += 6
    assert (await world.send(an_activity(service=world.connector.service)))[0] == 200


def test_an_origin_has_one_spelling_and_no_password() -> None:
    assert origin_of("https://smba.trafficmanager.net/emea/") == "https://smba.trafficmanager.net:443"
    assert origin_of("https://SMBA.trafficmanager.net:443") == "https://smba.trafficmanager.net:443"
    assert origin_of("https://smba.trafficmanager.net@evil.example/") == ""
    assert origin_of("https://[evil") == ""
    assert origin_of("/emea") == ""


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
_MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(
            st.sampled_from(["message", "invoke", "event", "conversationUpdate", "installationUpdate", "typing"]), _JSON
        ),
        "name": st.one_of(st.sampled_from(["adaptiveCard/action", "task/fetch", "signin/verifyState"]), _JSON),
        "action": st.one_of(st.sampled_from(["add", "remove", "add-upgrade"]), _JSON),
        "from": st.one_of(st.just({"aadObjectId": person_id("alice")}), _JSON),
        "recipient": _JSON,
        "membersAdded": _JSON,
        "membersRemoved": _JSON,
        "replyToId": _JSON,
        "text": _JSON,
        "entities": _JSON,
        "timestamp": _JSON,
        "value": st.one_of(
            _JSON,
            st.fixed_dictionaries(
                {"action": st.one_of(_JSON, st.fixed_dictionaries({"verb": st.just("approve"), "data": _JSON}))},
                optional={"trigger": st.one_of(st.sampled_from(["manual", "automatic"]), _JSON)},
            ),
        ),
    },
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_MEMBERS, min_size=1, max_size=5))
def test_teams_is_never_answered_an_error_whatever_shape_it_sends(shapes: list[dict[str, Any]]) -> None:
    async def statuses() -> set[int]:
        async with a_world() as world:
            service = world.connector.service
            sound = {"conversation": {"id": "19:x", "tenantId": TENANT}}
            return {(await world.send(an_activity(service=service) | shape | sound))[0] for shape in shapes}

    assert asyncio.run(statuses()) == {200}


async def test_a_body_that_is_no_activity_or_too_large_is_refused_and_nothing_fails(world: World) -> None:
    headers = {"Authorization": f"Bearer {a_token(world.connector.service)}"}
    for body, status in ((b"[1]", 403), (b"{", 403), (b"[" * 100_000, 403), (b"x" * 300_000, 413)):
        async with world.session.post(f"{world.url}/teams/messages", data=body, headers=headers) as answer:
            assert answer.status == status
