"""The app package: valid against Microsoft's own schema, and asking for no more than is used."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import jsonschema
import pytest

from approvals.commands.typed import USAGE
from handlers.teams.icons import color_icon, outline_icon
from handlers.teams.manifest import manifest, package
from tests.fakes.entra import APP

SCHEMA = json.loads((Path(__file__).parent / "data" / "teams-manifest-v1.25.schema.json").read_text(encoding="utf-8"))


def test_microsoft_accepts_the_manifest() -> None:
    found = jsonschema.Draft4Validator(SCHEMA).iter_errors(manifest(APP, "https://sayso.example"))

    assert [error.message for error in found] == []


def test_the_schema_would_find_a_mistake() -> None:
    wrong = manifest(APP, "https://sayso.example") | {"bots": [{"botId": "x"}]}

    assert list(jsonschema.Draft4Validator(SCHEMA).iter_errors(wrong))


def test_no_permission_is_asked_for() -> None:
    made = manifest(APP, "https://sayso.example")

    assert not {"permissions", "authorization", "webApplicationInfo", "staticTabs"} & made.keys()
    assert made["validDomains"] == []


def test_as_many_commands_are_offered_as_teams_takes_and_one_that_lists_all_of_them() -> None:
    (listed,) = manifest(APP, "https://sayso.example")["bots"][0]["commandLists"]
    offered = [command["title"] for command in listed["commands"]]

    most = SCHEMA["properties"]["bots"]["items"]["properties"]["commandLists"]["items"]["properties"]["commands"]
    assert len(offered) == most["maxItems"]
    assert set(offered) <= set(USAGE)
    assert offered[0] == "pending"
    assert offered[-1] == "help"


def test_a_website_that_is_not_https_is_refused() -> None:
    with pytest.raises(ValueError, match="--website"):
        manifest(APP, "http://sayso.example")


def test_the_package_holds_the_manifest_and_two_icons_and_is_always_the_same() -> None:
    made = package(APP, "https://sayso.example")

    assert made == package(APP, "https://sayso.example")
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.namelist() == ["manifest.json", "color.png", "outline.png"]
        assert json.loads(archive.read("manifest.json"))["id"] == APP
        assert archive.testzip() is None


def pixels(png: bytes) -> tuple[int, bytes]:
    """Side and colours of a picture of ours, its checksums looked at."""
    at, data, side = 8, b"", 0
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        side = struct.unpack(">I", body[:4])[0] if kind == b"IHDR" else side
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    return side, zlib.decompress(data)


def test_the_icons_are_as_large_as_teams_asks_and_the_outline_is_white_on_nothing() -> None:
    side, found = pixels(color_icon())
    assert (side, len(found)) == (192, 192 * (192 * 4 + 1))
    side, found = pixels(outline_icon())
    assert side == 32
    rows = [found[y * 129 + 1 : (y + 1) * 129] for y in range(32)]
    colours = {row[x : x + 3] for row in rows for x in range(0, 128, 4)}
    seen = {row[x + 3] for row in rows for x in range(0, 128, 4)}
    assert colours == {b"\xff\xff\xff"}
    assert {0, 255} <= seen
