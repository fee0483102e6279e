"""The text in which requests, posts and journal records are kept; the same in every store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from approvals.errors import StoreUnavailable
from approvals.ports import Post
from approvals.request import Request


def request_text(request: Request) -> bytes:
    """A request as it is stored: without its version, which the store keeps beside it."""
    return request.model_dump_json().encode()


def read_request(text: bytes, version: int, decision_entry: int | None) -> Request:
    """The request of a stored text. Raises StoreUnavailable for a text that this version cannot read."""
    try:
        request = Request.model_validate_json(text)
    except ValidationError as exc:
        raise StoreUnavailable("a stored request is not in a form that this version can read") from exc
    return request.model_copy(update={"version": version, "decision_entry": decision_entry})


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
    )
