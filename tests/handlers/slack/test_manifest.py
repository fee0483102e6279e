"""The manifest: valid against Slack's own schema, and asking for no more than is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from handlers.slack import app
from handlers.slack.command import RECORD
from handlers.slack.manifest import EVENTS, SCOPES, create_link, manifest
from handlers.slack.replies import NAME

#: slackapi/manifest-schema, version 2 (JSON Schema draft-07).
SCHEMA = json.loads((Path(__file__).parent / "data" / "slack-manifest-v2.schema.json").read_text(encoding="utf-8"))

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def problems(value: Any, schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """What the schema refuses: the keywords of draft-07 that this schema uses for what we send."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    if any(not list(problems(value, option, at)) for option in schema.get("anyOf", [])):
        return
    if "type" in schema and not isinstance(value, _TYPES[schema["type"]]):
        yield f"{at}: not a {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: not one of {schema['enum']}"
    match value:
        case dict():
            yield from _object(value, schema, at)
        case list():
            yield from _bounds(len(value), schema, at, "Items")
            for index, item in enumerate(value):
                yield from problems(item, schema.get("items", {}), f"{at}[{index}]")
        case str():
            yield from _bounds(len(value), schema, at, "Length")
            if "pattern" in schema and not re.search(schema["pattern"], value):
                yield f"{at}: does not match {schema['pattern']}"


def _object(value: dict[str, Any], schema: dict[str, Any], at: str) -> Iterator[str]:
    known = schema.get("properties", {})
    yield from (f"{at}: lacks {name}" for name in schema.get("required", []) if name not in value)
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], f"{at}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{at}: there is no {name}"


def _bounds(size: int, schema: dict[str, Any], at: str, what: str) -> Iterator[str]:
    if not schema.get(f"min{what}", 0) <= size <= schema.get(f"max{what}", size):
        yield f"{at}: {size} is out of bounds"


@pytest.mark.parametrize(
    "made", [manifest("socket"), manifest("http", "https://sayso.example/")], ids=["socket", "http"]
)
def test_slack_takes_the_manifest(made: dict[str, Any]) -> None:
    assert list(problems(made, SCHEMA)) == []


def test_the_check_finds_what_slack_would_refuse() -> None:
    made = manifest("socket")
    made["display_information"]["name"] = "x" * 36
    made["features"]["slash_commands"][0]["command"] = "sayso"
    del made["features"]["slash_commands"][0]["description"]
    made["settings"]["sockets"] = True

    found = "\n".join(problems(made, SCHEMA))

    for part in ("name: 36", "command: does not match", "lacks description", "there is no sockets"):
        assert part in found


def test_socket_mode_has_no_address() -> None:
    made = manifest("socket")

    assert made["settings"]["socket_mode_enabled"] is True
    assert "http" not in json.dumps(made)


def test_http_sends_everything_to_one_signed_route() -> None:
    made = manifest("http", "https://sayso.example/")

    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["interactivity"]["request_url"] == "https://sayso.example/slack/events"
    assert made["features"]["slash_commands"][0]["url"] == "https://sayso.example/slack/events"


def test_everything_that_slack_sends_is_listened_to() -> None:
    source = "".join(path.read_text() for path in Path(app.__file__).parent.glob("*.py"))
    made = manifest("socket")
    assert [shortcut["callback_id"] for shortcut in made["features"]["shortcuts"]] == [RECORD]
    assert [command["command"] for command in made["features"]["slash_commands"]] == [NAME]
    assert made["features"]["app_home"]["home_tab_enabled"] is True
    assert set(re.findall(r'app\.event\("(\w+)"\)', source)) == set(EVENTS)
    assert made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)


def test_over_http_events_come_to_the_same_route() -> None:
    made = manifest("http", "https://sayso.example/")
    assert made["settings"]["event_subscriptions"]["request_url"] == "https://sayso.example/slack/events"


@pytest.mark.parametrize("made", [manifest("socket"), manifest("http", "https://sayso.example")])
def test_the_link_holds_the_whole_manifest(made: dict[str, Any]) -> None:
    address = urlsplit(create_link(made))
    query = parse_qs(address.query)
    assert address.geturl().startswith("https://api.slack.com/apps?")
    assert (query["new_app"], json.loads(query["manifest_json"][0])) == (["1"], made)


@pytest.mark.parametrize("url", [None, "", "http://sayso.example", "sayso.example"])
def test_http_needs_a_public_address(url: str | None) -> None:
    with pytest.raises(ValueError, match="https"):
        manifest("http", url)


def test_no_scope_is_asked_for_that_nothing_uses() -> None:
    assert set(manifest("socket")["oauth_config"]["scopes"]["bot"]) == set(SCOPES)
    assert not {"users:read.email", "chat:write.public", "channels:join"} & set(SCOPES)
