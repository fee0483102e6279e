"""The text in which requests, posts and journal records are kept; the same in every store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from approvals.errors import StoreUnavailable
from approvals.ports import Post
from approvals.request import Request

#: Before a request that was packed with _FAMILIAR. What begins with "{" is plain JSON, which is read as well.
_PACKED: Final = b"\x01"
#: What most stored requests say, so that of each only what is its own takes room (RFC 1950 §2.2, preset dictionary).
#: What is stored cannot be read without it: never change it. A better one gets a mark of its own.
_FAMILIAR: Final = (
    b'"spend":{"attempt":"","audience":"","at":1},"outcome":{"status":"succeeded","at":1,"note":""}'
    b'"interventions":[{"did":"revoked","person":"","account":"slack:T0:U0","at":1,"reason":""}]'
    b'"superseded":{"request":"0-","code":"","arguments":{}},"earlier":[{"request":"0-","status":"denied","at":1,"by":[]'
    b'"escalation":[{"after":600000,"sources":["slack:usergroup:S0"],"destinations":["slack:C0"],"joins":[]}]'
    b'"votes":[{"person":"","account":"slack:T0","via":"slack","tenant":"T0","answer":"approve","factors":["default"],'
    b'"at":17,"shown":"sha256:","reason":""}],"decision":{"status":"approved","at":17,"by":[{"person":"'
    b'"rule":null,"reason":"","changes":"","jti":"","use_by":17}'
    b'{"v":1,"id":"0-","agent":"","call":"run-1/","action":{"kind":"","target":"","arguments":{"amount":"","id":"",'
    b'"name":"","reason":"","environment":"production","version":"","to":""},"preconditions":{},"nonce":""},'
    b'"digest":"sha256:","audience":"","because":"","principal":"","principal_accounts":["slack:T0"],'
    b'"started_by":null,"trace":null,"asked_at":17,"expires_at":17,"terms":{"policy":"sha256:","rules":["default"],'
    b'"verdict":"require","factors":[{"name":"default","sources":["person:"],"need":1}],"excluded":[""],'
    b'"destinations":["slack:C0"],"deny_quorum":1,"reminders":[],"escalation":[],"longest":null,'
    b'"asked_again":{"within":3600000,"deny_within":0},"within":1800000,"use_within":900000,"receipt_ttl":120000,'
    b'"outcome_within":900000},"presentation":{"title":"Run ","done":"Done: ","not_done":"Not done: ",'
    b'"effect":"other","risk":"high","reversible":false},"status":"pending","votes":[],"decision":null,"spend":null,'
    b'"outcome":null,"closed_at":null,"reminded":0,"escalated":0,"superseded":null,"earlier":[],"interventions":[],'
    b'"cancel_on_disconnect":false}'
)


def request_text(request: Request) -> bytes:
    """A request as it is stored: packed, and without its version, which the store keeps beside it."""
    packer = zlib.compressobj(zdict=_FAMILIAR)
    return _PACKED + packer.compress(request.model_dump_json().encode()) + packer.flush()


def read_request(text: bytes, version: int, decision_entry: int | None) -> Request:
    """The request of a stored text. Raises StoreUnavailable for a text that this version cannot read."""
    try:
        request = Request.model_validate_json(_unpacked(text))
    except (ValidationError, zlib.error) as exc:
        raise StoreUnavailable("a stored request is not in a form that this version can read") from exc
    return request.model_copy(update={"version": version, "decision_entry": decision_entry})


def _unpacked(text: bytes) -> bytes:
    """The JSON of a stored text; earlier ones were kept as they are."""
    return zlib.decompressobj(zdict=_FAMILIAR).decompress(text[1:]) if text.startswith(_PACKED) else text


def json_text(value: Mapping[str, Any]) -> bytes:
    """One spelling for one value: sorted, compact, ASCII (so that any text, however broken, can be written)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def post_text(post: Post) -> bytes:
    """A post as it is stored under its destination."""
    return json_text(
        {
            "state": post.state,
            "at": post.at,
            "reference": dict(post.reference),
            "shown": post.shown,
            "problem": post.problem,
            "shared": post.shared,
            "tries": post.tries,
        }
    )


def read_post(destination: str, text: bytes) -> Post:
    """The post of a stored text; an intention has fewer members."""
    kept = json.loads(text)
    return Post(
        destination=destination,
        state=kept["state"],
        at=int(kept["at"]),
        reference=kept.get("reference", {}),
        shown=kept.get("shown", ""),
        problem=kept.get("problem", ""),
        shared=kept.get("shared", ""),
        tries=int(kept.get("tries", 0)),
    )
