"""Reading what came from outside without trusting its shape: whatever is not there, or another type, is empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from handlers.body import well_formed

Json = dict[str, Any]

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value if it is a text, well-formed; else an empty one."""
    return well_formed(value) if isinstance(value, str) else ""


def guid(value: Any) -> str:
    """An id of Entra in its one spelling, or an empty text."""
    found = text(value).lower()
    return found if _GUID.fullmatch(found) else ""


def object_id(member: Mapping[str, Any]) -> str:
    """The id in Entra of somebody on a roster, or an empty text."""
    return guid(member.get("aadObjectId")) or guid(member.get("objectId"))


def tenant_of(activity: Mapping[str, Any]) -> str:
    """The tenant an activity comes from; empty where it names none, or two."""
    named = (
        mapping(mapping(activity.get("channelData")).get("tenant")).get("id"),
        mapping(activity.get("conversation")).get("tenantId"),
    )
    found = {guid(one) for one in named if one is not None}
    return found.pop() if len(found) == 1 else ""


def place_of(activity: Mapping[str, Any]) -> str:
    """The id of the channel, group chat or personal chat of an activity; of a thread, the channel's."""
    return text(mapping(activity.get("conversation")).get("id")).partition(";")[0]
