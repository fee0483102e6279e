"""The gate: what Teams itself signed for us is let in, and every row of facts/teams.md §1.1 is turned away."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import json
import time
import zlib
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.teams import clicks
from handlers.teams.gate import Gate, TurnedAway, Vouched, origin_of
from handlers.teams.http import teams_routes
from handlers.teams.watch import TeamsWatch
from tests.fakes.entra import APP, OTHER_TENANT, TENANT, a_key, a_token, person_id, public
from tests.handlers.teams.world import CHANNEL, TEAM, Json, World, a_world, an_activity
from tests.loopback import served

LAST_TENANT = "ffffffff-2222-4333-8444-555555555555"


def unsigned(service: str) -> str:
    claims = {"iss": "https://api.botframework.com", "aud": APP, "serviceurl": service, "exp": time.time() + 600}
    return f"{coded({'alg': 'none', 'kid': 'key-1'})}.{coded(claims)}."


def with_our_public_key_as_secret(service: str, form: str) -> str:
    """The old trick: HS256, with the public key as the shared secret."""
    key = a_key().as_pem(private=False) if form == "PEM" else a_key().as_der(private=False)
    claims = {"iss": "https://api.botframework.com", "aud": APP, "serviceurl": service, "exp": time.time() + 600}
    signed = f"{coded({'alg': 'HS256', 'kid': 'key-1'})}.{coded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), 'sha256'))}"


def with_header(good: str, header: bytes) -> str:
    """A token of Microsoft's with another header."""
    return f"{encoded(header)}.{good.partition('.')[2]}"


def coded(part: Json) -> str:
    return encoded(json.dumps(part).encode())


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


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
        ({"nbf": "now"}, "no_expiry"),
        ({"exp": True}, "no_expiry"),
    ],
)
async def test_a_token_with_another_claim_is_turned_away(world: World, claims: Any, reason: str) -> None:
    token = a_token(world.connector.service, **claims)

    assert await world.send(an_activity(service=world.connector.service), token=token) == (401, {})
    assert world.watch.away == [reason]


@pytest.mark.parametrize(("member", "seconds", "status"), [("exp", -290, 200), ("exp", -310, 401), ("nbf", 310, 401)])
async def test_clocks_may_differ_by_five_minutes_and_not_by_more(
    world: World, member: str, seconds: int, status: int
) -> None:
    claims: dict[str, Any] = {member: time.time() + seconds}
    token = a_token(world.connector.service, **claims)

    assert (await world.send(an_activity(service=world.connector.service), token=token))[0] == status


async def test_what_microsoft_did_not_sign_is_turned_away(world: World) -> None:
    service, activity = world.connector.service, an_activity(service=world.connector.service)
    good = a_token(service)
    forged = [
        "",
        "nonsense",
        unsigned(service),
        with_our_public_key_as_secret(service, "PEM"),
        with_our_public_key_as_secret(service, "DER"),
        with_header(good, b'{"alg":"RS512","kid":"key-1"}'),
        a_token(service, header={"alg": "RS512"}),
        a_token(service, header={"alg": "PS256"}),
        a_token(service, key=a_key("key-2")),
        a_token(service, key=a_key("key-2"), header={"kid": "key-1"}),
        good[:-8] + "AAAAAAAA",
    ]

    assert [(await world.send(activity, token=token))[0] for token in forged] == [401] * len(forged)
    async with world.session.post(f"{world.url}/teams/messages", json=activity) as answer:
        assert answer.status == 401
    for scheme in ("Basic", "Token", good):
        headers = {"Authorization": f"{scheme} {good}"}
        async with world.session.post(f"{world.url}/teams/messages", json=activity, headers=headers) as answer:
            assert answer.status == 401
    assert set(world.watch.away) == {"no_token", "unknown_key", "bad_signature"}


_ODD_HEADERS = (
    b'{"alg":"RS256","kid":"key-1","crit":1}',
    b'{"alg":"RS256","kid":"key-1","crit":[{}]}',
    b'{"alg":"RS256","kid":"key-1","crit":["b64"],"b64":false}',
    b'{"alg":"RS256","kid":"key-1","typ":1}',
    b'{"alg":"RS256","kid":"key-1","jwk":1,"x5c":{}}',
    b'{"alg":["RS256"],"kid":"key-1"}',
    b'{"alg":"RS256","kid":["key-1"]}',
    b'{"alg":"RS256","kid":"\\ud800"}',
    b'{"alg":"RS256","kid":"key-1","x":NaN}',
    b'"RS256"',
    b"[1]",
    b"null",
    b"",
    b"\xff\xfe",
    b"[" * 5_000,
    b'{"x":' * 1_100,
)


@pytest.mark.parametrize("header", _ODD_HEADERS, ids=lambda header: header[:30].decode("latin-1"))
async def test_whatever_a_stranger_puts_into_a_header_is_turned_away(world: World, header: bytes) -> None:
    """The ids of Microsoft's keys are public, so that anybody reaches the check of the signature."""
    token = with_header(a_token(world.connector.service), header)

    assert (await world.send(an_activity(service=world.connector.service), token=token)) == (401, {})


@pytest.mark.parametrize("token", [".", "..", "a.b", "a.b.c.d", "....", "=.=.=", "é.é.é", "a" * 6_000, "{}.{}.{}"])
async def test_what_is_no_token_at_all_is_turned_away(world: World, token: str) -> None:
    assert (await world.send(an_activity(service=world.connector.service), token=token)) == (401, {})


_HEADERS = st.dictionaries(
    st.sampled_from(["crit", "b64", "typ", "cty", "jwk", "jku", "x5c", "x5t", "x5u", "zip", "enc", "a"]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=3),
    max_size=4,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_HEADERS, min_size=1, max_size=5))
def test_a_forged_header_is_never_a_fault_of_ours(headers: list[dict[str, Any]]) -> None:
    async def statuses() -> set[int]:
        async with a_world() as world:
            service = world.connector.service
            forged = [{"alg": "RS256", "kid": "key-1"} | header for header in headers]
            tokens = [with_header(a_token(service), json.dumps(header).encode()) for header in forged]
            return {(await world.send(an_activity(service=service), token=token))[0] for token in tokens}

    assert asyncio.run(statuses()) <= {401}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"serviceUrl": "https://evil.example/"}, "other_service"),
        ({"serviceUrl": None}, "other_service"),
        ({"serviceUrl": ""}, "other_service"),
        ({"serviceUrl": "/"}, "other_service"),
        ({"serviceUrl": ["https://evil.example/"]}, "other_service"),
        ({"channelId": "directline"}, "other_channel"),
        ({"channelId": None}, "other_channel"),
        ({"channelData": {"tenant": {"id": OTHER_TENANT}}, "conversation": {"id": "19:x"}}, "other_tenant"),
        ({"channelData": {"tenant": {"id": OTHER_TENANT}}}, "other_tenant"),  # the conversation says another
        ({"channelData": {"tenant": {"id": LAST_TENANT}}}, "other_tenant"),
        ({"conversation": {"id": "19:x", "tenantId": LAST_TENANT}}, "other_tenant"),
        ({"channelData": {}, "conversation": {"id": "19:x"}}, "other_tenant"),
        ({"channelData": {}, "conversation": {"id": "19:x", "tenantId": [TENANT]}}, "other_tenant"),
        ({"channelData": {"tenant": {"id": TENANT + " "}}, "conversation": {"id": "19:x"}}, "other_tenant"),
    ],
)
async def test_a_body_that_the_token_does_not_vouch_for_is_turned_away(world: World, changes: Any, reason: str) -> None:
    assert await world.send(an_activity(service=world.connector.service, **changes)) == (403, {})
    assert world.watch.away == [reason]


async def test_a_slash_at_the_end_and_nothing_else_may_differ_from_the_address_in_the_token(world: World) -> None:
    service = world.connector.service
    for written in (service.rstrip("/"), service, f"{service}/"):
        assert (await world.send(an_activity(service=written)))[0] == 200
        assert (await world.send(an_activity(service=service), token=a_token(written)))[0] == 200
    for written in (service.upper(), f"{service}x", f"{service}?x", f"{service}../emea/", f" {service}"):
        assert (await world.send(an_activity(service=written)))[0] == 403
    assert set(world.watch.away) == {"other_service"}


@pytest.mark.parametrize(
    ("service", "allowed"),
    [
        ("https://smba.trafficmanager.net/emea/", True),
        ("https://smba.trafficmanager.net", True),
        ("https://SMBA.TrafficManager.net:443/emea/", True),
        ("https://smba.infra.gcc.teams.microsoft.com/teams/", True),
        ("http://smba.trafficmanager.net/emea/", False),
        ("http://smba.trafficmanager.net:443/emea/", False),
        ("https://smba.trafficmanager.net:8443/emea/", False),
        ("https://smba.trafficmanager.net.evil.example/emea/", False),
        ("https://smba.trafficmanager.net@evil.example/emea/", False),
        ("https://user:x@smba.trafficmanager.net/emea/", False),
        ("https://evil.example/smba.trafficmanager.net/", False),
        ("https://evilsmba.trafficmanager.net/", False),
        ("//smba.trafficmanager.net/emea/", False),
    ],
)
async def test_in_production_the_bot_connector_over_https_is_on_the_list_and_nothing_else(
    world: World, service: str, allowed: bool
) -> None:
    gate = Gate(world.door.keys, app=APP, tenant=TENANT, now=time.time)
    refused = gate.admitted(Vouched(service, frozenset({"msteams"})), an_activity(service=service))

    assert refused == (None if allowed else TurnedAway("service_not_allowed"))


@pytest.mark.parametrize("service", ["https://evil.example/", "http://smba.trafficmanager.net/emea/", "nowhere"])
async def test_a_service_address_that_is_not_on_the_list_is_turned_away(world: World, service: str) -> None:
    assert (await world.send(an_activity(service=service), token=a_token(service)))[0] == 403
    assert world.watch.away == ["service_not_allowed"]


async def test_a_token_without_a_service_address_is_turned_away(world: World) -> None:
    service = world.connector.service
    for claim in (None, "", 1, [service]):
        for said in (service, "", None):
            token = a_token(service, serviceurl=claim)
            assert (await world.send(an_activity(service=service) | {"serviceUrl": said}, token=token))[0] == 403

    assert set(world.watch.away) == {"other_service"}


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


@pytest.mark.parametrize("answer", [{"status": 503}, {"text": "{}"}, {"text": "<html>"}])
async def test_known_keys_hold_while_microsoft_cannot_be_asked(world: World, answer: dict[str, Any]) -> None:
    activity = an_activity(service=world.connector.service)
    assert (await world.send(activity))[0] == 200
    world.entra.failing = lambda path: web.Response(**answer)
    for later in (90_000, 90_000):  # after a day they are looked up, after two before they are believed
        world.clock.at += later
        assert (await world.send(activity))[0] == 200
        await world.door.idle()

    assert world.entra.asked.count("/openid") == 3


async def test_nobody_waits_while_keys_of_yesterday_are_looked_up_again(world: World) -> None:
    activity = an_activity(service=world.connector.service)
    assert (await world.send(activity))[0] == 200
    world.entra.holding = held = asyncio.Event()
    world.entra.keys = [public(a_key("key-2"))]
    world.clock.at += 86_400

    for _ in range(3):
        assert (await world.send(activity))[0] == 200
        assert await world.door.is_connected()
    held.set()
    await world.door.idle()

    assert world.entra.asked.count("/openid") == 2
    assert (await world.send(activity))[0] == 401  # Microsoft has taken this one back


async def test_a_key_of_the_day_before_yesterday_is_looked_up_before_it_is_believed(world: World) -> None:
    activity = an_activity(service=world.connector.service)
    assert (await world.send(activity))[0] == 200
    world.entra.keys = [public(a_key("key-2"))]
    world.clock.at += 2 * 86_400

    assert (await world.send(activity))[0] == 401


async def test_a_list_of_keys_that_moved_or_holds_none_for_signatures_is_not_believed(world: World) -> None:
    moved = iter([web.Response(status=302, headers={"Location": f"{world.entra.url}/keys"})])
    for failing in (
        lambda path: next(moved, None) if path == "/keys" else None,
        lambda path: web.json_response({"keys": [public(a_key()) | {"use": "enc"}]}) if path == "/keys" else None,
        lambda path: web.json_response({"keys": []}) if path == "/keys" else None,
        lambda path: web.json_response({"jwks_uri": 1}) if path == "/openid" else None,
        lambda path: web.Response(text="<html>") if path == "/keys" else None,
    ):
        world.entra.failing = failing
        assert (await world.send(an_activity(service=world.connector.service)))[0] == 401
        world.clock.at += 61


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


_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)  # lone surrogates and NUL as well
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=6,
)


def one(*known: Any) -> st.SearchStrategy[Any]:
    """What Teams sends there, or anything."""
    return st.one_of(st.sampled_from(known), _JSON)


def object_with(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these members, or anything."""
    return st.one_of(st.fixed_dictionaries({}, optional=members), _JSON)


_ENTITY = object_with(type=one("mention"), text=one("<at>Bob</at>"), mentioned=object_with(id=one("29:bob")))
_DATA = object_with(
    sayso=one("1.0-" + "a" * 24 + "." + "0" * 64 + "." + "A" * 43),
    command=one("pending", "show 7F3K-9Q"),
    words=_JSON,
    look=one("0-x.y"),
    on=_JSON,
    to=_JSON,
    row=_JSON,
)
_ACTION = object_with(verb=one(*sorted(clicks.VERBS)), data=_DATA)
#: Everything of an activity that is read anywhere, each of any shape; what the gate compares stays as it is.
_MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "type": one("message", "invoke", "event", "conversationUpdate", "installationUpdate", "typing"),
        "name": one("adaptiveCard/action", "task/fetch", "signin/verifyState"),
        "action": one("add", "remove", "add-upgrade"),
        "from": object_with(aadObjectId=one(person_id("alice")), id=one("29:alice"), tenantId=one(TENANT)),
        "recipient": object_with(id=one(f"28:{APP}")),
        "membersAdded": st.one_of(st.lists(object_with(id=one(f"28:{APP}")), max_size=2), _JSON),
        "membersRemoved": st.one_of(st.lists(object_with(id=one(f"28:{APP}")), max_size=2), _JSON),
        "replyToId": _JSON,
        "text": one("<at>Bob</at> pending", "<at>"),
        "entities": st.one_of(st.lists(_ENTITY, max_size=2), _JSON),
        "timestamp": _JSON,
        "value": object_with(action=_ACTION, trigger=one("manual", "automatic")),
    },
)
_CONVERSATION = {"id": one(CHANNEL, "19:x;messageid=1"), "conversationType": one("personal", "channel", "groupChat")}
_CHANNEL_DATA = {
    "eventType": one("channelDeleted", "channelCreated", "teamDeleted"),
    "team": object_with(id=one(TEAM)),
    "channel": object_with(id=one(CHANNEL), type=one("private", "shared")),
}


@st.composite
def _activities(draw: st.DrawFn) -> Json:
    conversation = draw(st.fixed_dictionaries({}, optional=_CONVERSATION)) | {"tenantId": TENANT}
    data = draw(st.fixed_dictionaries({}, optional=_CHANNEL_DATA)) | {"tenant": {"id": TENANT}}
    found: Json = draw(_MEMBERS) | {"conversation": conversation, "channelData": data}
    return found


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_activities(), min_size=1, max_size=5))
def test_teams_is_never_answered_an_error_whatever_shape_it_sends(shapes: list[Json]) -> None:
    async def answers() -> list[tuple[Json, int, Json]]:
        async with a_world() as world:
            activities = [an_activity(service=world.connector.service) | shape for shape in shapes]
            return [(one, *await world.send(one)) for one in activities]

    for activity, status, answer in asyncio.run(answers()):
        assert status == 200
        pressed = activity["type"] == "invoke" and activity.get("name") == "adaptiveCard/action"
        assert (answer.get("statusCode") == 200) is pressed  # every click has an answer that its person sees


async def test_the_time_for_an_answer_begins_before_the_keys_are_looked_up(world: World) -> None:
    instants: list[float] = []

    async def dispatch(activity: Any, until: float) -> Json:
        instants.append(until)
        return {}

    service, loop = world.connector.service, asyncio.get_running_loop()
    gate = Gate(world.door.keys, app=APP, tenant=TENANT, now=time.time, services=(world.connector.url,))
    headers = {"Authorization": f"Bearer {a_token(service)}"}
    world.entra.holding = held = asyncio.Event()
    async with served(teams_routes(gate, dispatch, watch=TeamsWatch(), budget=100)) as url:
        sending = asyncio.create_task(
            world.session.post(f"{url}/teams/messages", json=an_activity(service=service), headers=headers)
        )
        await world.entra.reached.wait()
        looked_up = loop.time()
        held.set()
        assert (await sending).status == 200

    assert instants[0] - 100 < looked_up


async def test_teams_is_answered_well_whatever_goes_wrong_in_here(world: World) -> None:
    async def dispatch(activity: Any, until: float) -> Json:
        raise ZeroDivisionError

    service = world.connector.service
    gate = Gate(world.door.keys, app=APP, tenant=TENANT, now=time.time, services=(world.connector.url,))
    headers = {"Authorization": f"Bearer {a_token(service)}"}
    async with (
        served(teams_routes(gate, dispatch, watch=TeamsWatch())) as url,
        world.session.post(f"{url}/teams/messages", json=an_activity(service=service), headers=headers) as answer,
    ):
        assert (answer.status, await answer.json()) == (200, {})


async def test_a_body_that_is_not_packed_as_it_says_is_a_bad_request_and_no_fault_of_ours(world: World) -> None:
    headers = {"Authorization": f"Bearer {a_token(world.connector.service)}"}
    body = json.dumps(an_activity(service=world.connector.service)).encode()
    for packing, data, status in (
        ("gzip", gzip.compress(body), 200),
        ("gzip", b"nothing of the kind", 400),
        ("br", body, 400),
        ("deflate", zlib.compress(b"0" * 5_000_000), 413),
    ):
        more = headers | {"Content-Encoding": packing}
        async with world.session.post(f"{world.url}/teams/messages", data=data, headers=more) as answer:
            assert answer.status == status


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a;;b"])
async def test_what_a_body_says_that_it_is_does_not_matter(world: World, kind: str) -> None:
    headers = {"Authorization": f"Bearer {a_token(world.connector.service)}", "Content-Type": kind}
    body = json.dumps(an_activity(service=world.connector.service))
    async with world.session.post(f"{world.url}/teams/messages", data=body, headers=headers) as answer:
        assert answer.status == 200


async def test_a_body_that_is_no_activity_or_too_large_is_refused_and_nothing_fails(world: World) -> None:
    headers = {"Authorization": f"Bearer {a_token(world.connector.service)}"}
    for body, status in (
        (b"[1]", 403),
        (b"{", 403),
        (b"", 403),
        (b"null", 403),
        (b"\xff\xfe\x00", 403),
        (b'{"serviceUrl": "\xc3\x28"}', 403),
        (b"1" * 5_000, 403),
        (b"[" * 100_000, 403),
        (b"x" * 300_000, 413),
    ):
        async with world.session.post(f"{world.url}/teams/messages", data=body, headers=headers) as answer:
            assert answer.status == status
