"""What the documents say about the policy is what the bot accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from approvals.policy import Policy
from approvals.policy_file import NOT_BUILT
from bot import policy_cases
from bot.initial import write
from bot.policies import parse_policy, read_policy
from docs import schema
from tests.repository.files import ROOT, Block, blocks, documents, relative

POLICIES = [block for path in documents() for block in blocks(path, "yaml") if "version: 1" in block.text]
PUBLISHED = json.loads(schema.SCHEMA.read_text(encoding="utf-8"))


def test_the_published_schema_is_made_from_the_models_that_check() -> None:
    assert schema.SCHEMA.read_text(encoding="utf-8") == schema.schema(), "run: python -m docs.schema"


def test_the_schema_knows_no_key_that_is_refused() -> None:
    known = {key for part in (PUBLISHED, *PUBLISHED["$defs"].values()) for key in part.get("properties", {})}
    assert not known & NOT_BUILT


def test_durations_are_published_as_they_are_written() -> None:
    within = PUBLISHED["$defs"]["Defaults"]["properties"]["within"]
    assert within["type"] == "string"
    assert "15m" in within["examples"]


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_every_policy_in_a_document_is_sound(block: Block) -> None:
    assert isinstance(parse_policy(block.text, str(block)), Policy)


def test_there_is_a_policy_in_a_document() -> None:
    assert "docs/how-to/write-a-policy.md" in {relative(block.path) for block in POLICIES}


@pytest.mark.parametrize("path", sorted((ROOT / "examples/policies").glob("*.cases.yaml")), ids=lambda path: path.name)
async def test_every_example_comes_to_what_its_cases_say(path: Path) -> None:
    results = await policy_cases.tried(path)
    assert len(results) >= 10
    assert not [(result.name, result.problems) for result in results if result.problems]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_example_policy_is_sound_and_says_nothing_it_may_not_mean(path: Path) -> None:
    if ".cases." not in path.name:
        assert read_policy(path)[0].warnings == []


def test_the_keys_the_page_shows_are_all_the_keys_there_are() -> None:
    shown = yaml.safe_load(next(block.text for block in POLICIES if "write-a-policy" in str(block)))
    assert shown.keys() == PUBLISHED["properties"].keys()


def test_what_init_writes_is_sound_but_for_the_ids_a_person_fills_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("init")
    write(folder)
    policy, _ = read_policy(folder / "policy.yaml")
    assert policy.agents == ("payments-bot",)
