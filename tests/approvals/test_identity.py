"""Agents that serve many people: whom they really act for, and who must not approve it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey

from approvals.errors import EntryRefused, PolicyInvalid
from approvals.request import Request
from tests.approvals.house import House, a_house
from tests.approvals.make import AGENT, NOW, a_policy, a_policy_file

ISSUER, AUDIENCE = "https://login.example", "sayso"
KEY = ECKey.generate_key("P-256", {"kid": "k1"})
STRANGERS = ECKey.generate_key("P-256", {"kid": "k1"})


def a_token(key: Any = KEY, alg: str = "ES256", **claims: Any) -> str:
    """An identity token of dana's, good for five minutes; a claim that is None is left out."""
    members = {"iss": ISSUER, "aud": AUDIENCE, "sub": "00u-dana", "exp": NOW // 1000 + 300} | claims
    said = {name: value for name, value in members.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": "k1"}, said, key, algorithms=[alg])


async def with_many(tmp_path: Path, **agent: Any) -> House:
    """A house with an agent that serves dana, alice and bob; alice or bob have to say yes."""
    file = a_policy_file()
    (tmp_path / "idp.jwks.json").write_text(json.dumps(KeySet([KEY]).as_dict(private=False)))
    identity = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "idp.jwks.json"}
    served = {"principals": ["dana", "alice", "bob"], "identity": identity} | agent
    people = file["people"] | {"dana": file["people"]["dana"] | {"subjects": ["00u-dana"]}}
    house = await a_house(agents={AGENT: file["agents"][AGENT] | served}, people=people)
    house.approvals._identities._home = tmp_path  # type: ignore[union-attr]
    return house


async def ask(house: House, token: str | None = None, principal: str | None = "dana") -> Request:
    """A request for somebody, with or without what vouches for it."""
    return await house.asked(principal=principal, principal_token=token)


async def test_an_agent_cannot_free_a_vote_by_naming_somebody_else(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    request = await ask(house, principal="dana")
    assert request.terms.excluded == ("alice", "bob", "dana", "olga")
    assert getattr(await house.click(request, "alice"), "reason", "") == "own_request"


async def test_a_token_says_for_whom_so_that_the_others_may_answer(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    request = await ask(house, a_token())
    assert request.terms.excluded == ("dana", "olga")
    await house.click(request, "alice")
    assert await house.status(request) == "approved"


def test_a_policy_under_which_nobody_is_left_to_answer_is_a_load_error() -> None:
    agent = a_policy_file()["agents"][AGENT] | {"principals": ["alice", "bob"]}
    with pytest.raises(PolicyInvalid, match="only 0 can count"):
        a_policy(agents={AGENT: agent})
    a_policy(agents={AGENT: agent | {"identity": {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "x.json"}}})


async def test_an_agent_of_one_principal_needs_no_token(tmp_path: Path) -> None:
    house = await with_many(tmp_path, principals=["dana"])
    assert (await ask(house)).terms.excluded == ("dana", "olga")


@pytest.mark.parametrize(
    "token",
    [
        a_token(STRANGERS),
        a_token(iss="https://evil.example"),
        a_token(iss=None),
        a_token(aud="another-service"),
        a_token(aud=None),
        a_token(exp=NOW // 1000 - 31),
        a_token(exp=None),
        a_token(nbf=NOW // 1000 + 600),
        a_token(sub=None),
        a_token(sub=["00u-dana"]),
        a_token(OctKey.import_key("x" * 32), "HS256"),
        a_token(OKPKey.generate_key("Ed25519", {"kid": "k1"}), "Ed25519"),
        a_token().rsplit(".", 1)[0] + ".AAAA",
        "e30.e30.e30",
    ],
    ids=range(14),
)
async def test_a_token_that_does_not_hold_is_refused_and_not_as_good_as_none(tmp_path: Path, token: str) -> None:
    house = await with_many(tmp_path)
    with pytest.raises(EntryRefused) as refused:
        await ask(house, token)
    assert (refused.value.reason, refused.value.field) == ("principal_not_verified", "principal_token")
    assert token not in f"{refused.value.message} {refused.value.remedy}"


@pytest.mark.parametrize("principal", ["alice", "bob", None])
async def test_a_token_is_good_for_its_own_person_alone(tmp_path: Path, principal: str | None) -> None:
    house = await with_many(tmp_path)
    with pytest.raises(EntryRefused, match="not the named principal's"):
        await ask(house, a_token(), principal)


async def test_keys_that_cannot_be_read_vouch_for_nobody(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    for broken in ("{", "[]", '{"keys": 1}', '{"keys": [{"kty": "x"}]}'):
        (tmp_path / "idp.jwks.json").write_text(broken)
        with pytest.raises(EntryRefused, match="no valid identity token"):
            await ask(house, a_token())
    (tmp_path / "idp.jwks.json").unlink()
    with pytest.raises(EntryRefused, match="no valid identity token"):
        await ask(house, a_token())


async def test_a_token_for_an_agent_without_an_issuer_is_refused(tmp_path: Path) -> None:
    house = await with_many(tmp_path, identity=None, principals=["dana"])
    with pytest.raises(EntryRefused, match="no issuer"):
        await ask(house, a_token())


async def test_a_call_that_is_sent_again_is_recognised_after_its_token_has_expired(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    request, token = await ask(house, a_token()), a_token()
    house.wait(600_000)
    again = await house.asked(posted=False, principal="dana", principal_token=token)
    assert again.id == request.id
    with pytest.raises(EntryRefused):
        await house.asked("another", principal="dana", principal_token=token)


async def test_the_token_is_kept_nowhere(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    token = a_token()
    request = await ask(house, token)
    seen = f"{request.model_dump_json()} {await house.journal()}"
    assert request.vouched
    assert not any(part in seen for part in token.split("."))


async def test_a_vote_later_goes_by_what_was_vouched_for_at_the_asking(tmp_path: Path) -> None:
    house = await with_many(tmp_path)
    request = await ask(house, a_token())
    house.wait(600_000)
    file = a_policy_file()
    await house.adopt(agents={AGENT: file["agents"][AGENT] | {"principals": ["dana", "bob"]}}, roles={})
    await house.click(request, "bob")
    assert await house.status(request) == "approved"
