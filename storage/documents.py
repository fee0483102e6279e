"""The text in which requests, posts and journal records are kept; the same in every store."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from approvals.errors import StoreUnavailable
from approvals.ports import Post
from approvals.request import Request

#: Before a request as it is written now: a checksum of the rest, how many digests follow, the digests, and what the
#: request says, deflated with _FAMILIAR. Members with their default value are left out, so that what a default means
#: must never change (tests/storage/golden/defaults.json).
_LEAN: Final = b"\x02"
#: Before a request of an earlier version: all of it, with _FAMILIAR_ONCE. What begins with "{" is plain JSON.
_PACKED: Final = b"\x01"

#: Digests are as hard to compress as chance itself: each stands apart, once, in half the room of its spelling.
_DIGEST: Final = re.compile(rb"sha256:([0-9a-f]{64})")
_APART: Final = re.compile(rb"\xff(.)", re.DOTALL)  #: 0xFF is a byte of no text in UTF-8
_MOST_APART: Final = 255
_DIGEST_SIZE: Final = 32

#: What most stored requests say, so that of each only what is its own takes room (RFC 1951; a preset dictionary, as
#: in RFC 1950 §2.2). What is stored cannot be read without it: never change it. A better one gets a mark of its own.
_FAMILIAR: Final = (
    b'"spend":{"attempt":"","audience":"","at":17},"outcome":{"status":"succeeded","at":17,"note":""},"closed_at":17,'
    b'"reminded":1,"escalated":1,"interventions":[{"did":"revoked","person":"","account":"slack:T0:U0","at":17,'
    b'"reason":""}],"cancel_on_disconnect":true,"superseded":{"request":"0-","code":"","kind":"","target":"",'
    b'"arguments":{},"preconditions":{}},"earlier":[{"request":"0-","status":"denied","at":17,"by":[]'
    b'"reminders":[900000,2700000],"escalation":[{"after":600000,"sources":["slack:usergroup:S0"],'
    b'"destinations":["slack:C0"],"joins":[]}],"longest":86400000,"asked_again":{"deny_within":3600000},"min_look":,'
    b'"reasons":["deny"],"confirm_code":true,"unseen":true,"verdict":"allow","notify":"dm","deny_quorum":2,"need":2,'
    b'"summary":[{"text":"","ours":true},{"text":""}],"denials":[""],"secret":["arguments."],"trace":"00-'
    b'"effect":"transfer","effect":"deploy","risk":"critical","reversible":true}'
    b',"status":"approved","votes":[{"person":"","account":"slack:T0","via":"slack","tenant":"T0","answer":"approve",'
    b'"factors":["default"],"at":17,"shown":"","reason":""}],"decision":{"status":"approved","at":17,"by":[{"person":"'
    b'"rule":"default","reason":"","changes":"","jti":"","use_by":17}}'
    b'{"agent":"","call":"run-1/","action":{"kind":"","target":"","arguments":{"amount":"","id":"","name":"",'
    b'"reason":"","environment":"production","version":"","to":"","note":""},"preconditions":{"sha":""},"nonce":""},'
    b'"digest":"","audience":"","because":"","principal":"","principal_accounts":["slack:T0"],"started_by":null,'
    b'"trace":null,"asked_at":17,"expires_at":17,"terms":{"policy":"","rules":["default"],"factors":[{"name":"default",'
    b'"sources":["person:"]}],"excluded":[""],"destinations":["slack:C0"],"within":1800000,"use_within":900000,'
    b'"receipt_ttl":120000,"outcome_within":900000},"presentation":{"title":"Run ","done":"Done: ",'
    b'"not_done":"Not done: "}}'
)
#: The same, of _PACKED.
_FAMILIAR_ONCE: Final = (
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
    """A request as it is stored: packed, and without its id and version, which the store keeps beside it."""
    text = request.model_dump_json(exclude={"id"}, exclude_defaults=True).encode()
    apart: dict[bytes, int] = {}

    def set_apart(found: re.Match[bytes]) -> bytes:
        if len(apart) == _MOST_APART and found[1] not in apart:
            return found[0]
        return b"\xff%c" % apart.setdefault(found[1], len(apart))

    text = _DIGEST.sub(set_apart, text)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_FAMILIAR)
    digests = bytes.fromhex(b"".join(apart).decode())
    packed = b"".join((bytes((len(apart),)), digests, packer.compress(text), packer.flush()))
    return _LEAN + zlib.crc32(packed).to_bytes(4, "big") + packed


def read_request(text: bytes, id_: str, version: int, decision_entry: int | None) -> Request:
    """The request of a stored text. Raises StoreUnavailable for a text that this version cannot read."""
    try:
        if text.startswith(_LEAN):
            beside = to_json({"id": id_, "version": version, "decision_entry": decision_entry})
            return Request.model_validate_json(b"%b,%b" % (beside[:-1], _lean(text)[1:]))
        request = Request.model_validate_json(_of_earlier(text))
    except (ValidationError, ValueError, IndexError, zlib.error) as exc:
        raise StoreUnavailable("a stored request is not in a form that this version can read") from exc
    return request.model_copy(update={"version": version, "decision_entry": decision_entry})


def _of_earlier(text: bytes) -> bytes:
    """The JSON of a text that an earlier version stored."""
    return zlib.decompressobj(zdict=_FAMILIAR_ONCE).decompress(text[1:]) if text.startswith(_PACKED) else text


def _lean(text: bytes) -> bytes:
    """What was written, its digests back in their places. Raises ValueError, IndexError or zlib.error."""
    checksum, packed = text[1:5], text[5:]
    if zlib.crc32(packed).to_bytes(4, "big") != checksum:
        raise ValueError("the text was cut or changed")
    body = 1 + packed[0] * _DIGEST_SIZE
    digests = [b"sha256:" + packed[at : at + _DIGEST_SIZE].hex().encode() for at in range(1, body, _DIGEST_SIZE)]
    plain = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_FAMILIAR).decompress(packed[body:])
    return _APART.sub(lambda found: digests[found[1][0]], plain)


def json_text(value: Mapping[str, Any]) -> bytes:
    """A value as compact JSON in UTF-8. Any text can be written, however broken: then everything is escaped."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":")).encode()


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
