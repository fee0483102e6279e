"""Microsoft's sign-in, the keys of the Bot Framework and Graph, on loopback: real RS256 tokens from keys of our own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import RSAKey

APP = "0f2d7a3e-5b1c-4d6e-8f90-a1b2c3d4e5f6"
TENANT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
OTHER_TENANT = "11111111-2222-4333-8444-555555555555"
ISSUER = "https://api.botframework.com"


def person_id(name: str) -> str:
    """The object id of somebody in Entra: always the same for a name."""
    return f"{sum(name.encode()):08x}-0000-4000-8000-{name.encode().hex()[:12]:0<12}"


@cache
def a_key(name: str = "key-1") -> RSAKey:
    """An RSA key; making one is slow, so each is made once."""
    return RSAKey.generate_key(2048, parameters={"kid": name})


def a_token(service: str, *, key: RSAKey | None = None, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A token as the Bot Framework signs it for our bot; a claim that is changed to None is left out."""
    now = time.time()
    claims: dict[str, Any] = {"iss": ISSUER, "aud": APP, "serviceurl": service, "nbf": now - 60, "exp": now + 3600}
    given = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    signer = key or a_key()
    head = {"alg": "RS256", "typ": "JWT", "kid": signer.kid} | dict(header or {})
    return jws.serialize_compact(head, json.dumps(given).encode(), signer, algorithms=[str(head["alg"])])


def public(key: RSAKey, *, endorsements: tuple[str, ...] = ("msteams",)) -> dict[str, Any]:
    """A key as the Bot Framework lists it."""
    return {**key.as_dict(private=False), "use": "sig", "endorsements": list(endorsements), "x5t": "unused"}


@dataclass
class Entra:
    """What it knows, and how often it was asked for what."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public(a_key())])
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: Callable[[str], web.Response | None] = lambda path: None
    holding: asyncio.Event | None = None  #: whoever asks waits for it
    reached: asyncio.Event = field(default_factory=asyncio.Event)  #: set when somebody asks

    def add(self, name: str, *groups: str, **changes: Any) -> str:
        """A member of the tenant, who is in these groups; returns their object id."""
        user = person_id(name)
        usual = {"id": user, "accountEnabled": True, "userType": "Member", "displayName": name.title()}
        self.users[user] = usual | changes
        for group in groups:
            self.groups.setdefault(group, set()).add(user)
        return user

    def routes(self) -> list[web.RouteDef]:
        """Everything it answers."""
        return [
            web.get("/openid", self._answer(self._openid)),
            web.get("/keys", self._answer(self._keys)),
            web.get("/graph/users/{user}", self._answer(self._user)),
            web.get("/graph/groups/{group}", self._answer(self._group)),
            web.get("/graph/groups/{group}/transitiveMembers/microsoft.graph.user", self._answer(self._members)),
            web.post("/graph/users/{user}/checkMemberGroups", self._answer(self._member_groups)),
        ]

    def _answer(self, how: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            self.asked.append(request.path)
            self.reached.set()
            if self.holding is not None:
                await self.holding.wait()
            failure = self.failing(request.path)
            if failure is not None:
                return failure
            response: web.Response = await how(request)
            return response

        return answer

    async def _openid(self, request: web.Request) -> web.Response:
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})

    async def _user(self, request: web.Request) -> web.Response:
        user = self.users.get(request.match_info["user"])
        if request.headers.get("Authorization") != "Bearer token-for-https://graph.microsoft.com":
            return web.json_response({"error": {"code": "InvalidAuthenticationToken"}}, status=401)
        if user is None:
            return web.json_response({"error": {"code": "Request_ResourceNotFound"}}, status=404)
        wanted = request.query["$select"].split(",")
        return web.json_response({name: user[name] for name in wanted if name in user})

    async def _group(self, request: web.Request) -> web.Response:
        group = request.match_info["group"]
        if group not in self.groups:
            return web.json_response({"error": {"code": "Request_ResourceNotFound"}}, status=404)
        return web.json_response({"id": group})

    async def _members(self, request: web.Request) -> web.Response:
        group, most = request.match_info["group"], int(request.query["$top"])
        if group not in self.groups:
            return web.json_response({"error": {"code": "Request_ResourceNotFound"}}, status=404)
        wanted = request.query["$select"].split(",")
        found = [self.users[user] for user in sorted(self.groups[group])][:most]
        return web.json_response({"value": [{name: one[name] for name in wanted if name in one} for one in found]})

    async def _member_groups(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["groupIds"]
        if len(wanted) > 20:
            return web.json_response({"error": {"code": "Request_BadRequest"}}, status=400)
        mine = [group for group in wanted if request.match_info["user"] in self.groups.get(group, set())]
        return web.json_response({"value": mine})


class TokenOffice:
    """MSAL's client, as far as the door uses it: gives the token that the fakes ask for."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.refuses = False

    def acquire_token_for_client(self, scopes: list[str]) -> dict[str, Any]:
        """A token for the one resource asked for."""
        if self.refuses:
            return {"error": "invalid_client", "error_description": "AADSTS7000215: secret hunter2 is wrong"}
        self.given.append(scopes[0])
        return {"access_token": f"token-for-{scopes[0].removesuffix('/.default')}", "expires_in": 3600}
