"""Microsoft's Agents SDK as a second opinion on what decision 0008 does without it: activities, connector, tokens."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from microsoft_agents.activity import Activity, ChannelAccount, ConversationParameters
from microsoft_agents.hosting.core.authorization import AgentAuthConfiguration
from microsoft_agents.hosting.core.authorization.jwt import JwtTokenValidator
from microsoft_agents.hosting.core.connector.client.connector_client import ConnectorClient

from handlers.teams.elements import message
from tests.fakes.entra import APP, ISSUER, OTHER_TENANT, TENANT, a_key, a_token, public
from tests.handlers.teams import emitted
from tests.handlers.teams.world import CHANNEL, World, an_activity, people_in

SERVICE_TOKEN = "token-for-https://api.botframework.com"
ANOTHER_APP = {"iss": f"https://sts.windows.net/{TENANT}/", "tid": TENANT}  #: a token that Entra gives any of its apps


class OurKeys:
    """The SDK's way to keys, without the way to Microsoft."""

    async def get_signing_key(self, jwks_uri: str, header: dict[str, Any]) -> jwt.PyJWK:
        return jwt.PyJWK({**public(a_key()), "alg": "RS256"})


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JwtTokenValidator, "_jwk_client_manager", OurKeys())


async def the_sdk_takes(token: str, **settings: Any) -> bool:
    """Whether the SDK takes a token, as strictly as it can, or as `settings` say."""
    strictly = {"validate_issuer": True, "issuers": [ISSUER]}
    configuration = AgentAuthConfiguration(client_id=APP, tenant_id=TENANT, **(settings or strictly))
    try:
        await JwtTokenValidator(configuration).validate_token(token)
    except (ValueError, jwt.PyJWTError):
        return False
    return True


def test_the_sdk_reads_every_message_that_we_send_and_loses_nothing() -> None:
    for card in emitted.cards(12):
        sent = message(card, "Approval needed")
        read = Activity.model_validate(sent)
        assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == sent


async def test_the_connectors_likeness_takes_what_the_sdk_sends(world: World) -> None:
    world.connector.rosters[CHANNEL] = list(people_in("alice", "bob", "carol"))
    world.connector.personal["29:alice"] = "a:alice"
    client = ConnectorClient(world.connector.service, SERVICE_TOKEN)
    try:
        card = message(next(emitted.cards(4)), "Approval needed")
        posted = await client.conversations.send_to_conversation(CHANNEL, Activity.model_validate(card))
        await client.conversations.update_activity(CHANNEL, posted.id, Activity.model_validate(card))
        first = await client.conversations.get_conversation_paged_members(CHANNEL, page_size=2)
        rest = await client.conversations.get_conversation_paged_members(
            CHANNEL, continuation_token=first.continuation_token
        )
        chat = await client.conversations.create_conversation(
            ConversationParameters(
                is_group=False,
                bot=ChannelAccount(id=f"28:{APP}"),
                members=[ChannelAccount(id="29:alice")],
                tenant_id=TENANT,
                channel_data={"tenant": {"id": TENANT}},
            )
        )
    finally:
        await client.close()

    assert world.connector.messages[posted.id].versions == [card, card]
    assert [member.id for member in (*first.members, *rest.members)] == ["29:alice", "29:bob", "29:carol"]
    assert chat.id == "a:alice"


async def test_what_our_gate_takes_the_sdk_takes_too(world: World) -> None:
    token = a_token(world.connector.service)

    assert await world.send(an_activity(service=world.connector.service), token=token) == (200, {})
    assert await the_sdk_takes(token)


@pytest.mark.parametrize(
    ("claims", "by_default", "strictly"),
    [
        (ANOTHER_APP, True, False),
        ({"iss": f"https://sts.windows.net/{OTHER_TENANT}/", "tid": OTHER_TENANT}, True, False),
        ({"serviceurl": None}, True, True),
        ({"serviceurl": "https://smba.trafficmanager.net/elsewhere/"}, True, True),
        ({"aud": OTHER_TENANT}, False, False),
        ({"exp": 1_000_000_000}, False, False),
    ],
)
async def test_what_the_sdk_would_take_our_gate_turns_away(
    world: World, claims: dict[str, Any], by_default: bool, strictly: bool
) -> None:
    token = a_token(world.connector.service, **claims)

    assert (await the_sdk_takes(token, validate_issuer=False), await the_sdk_takes(token)) == (by_default, strictly)
    assert (await world.send(an_activity(service=world.connector.service), token=token))[0] in (401, 403)
