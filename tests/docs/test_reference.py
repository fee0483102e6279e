"""The reference pages say what the code does: settings, commands, refusals, and what the policy check says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices, SecretStr

from approvals.commands.typed import USAGE
from approvals.errors import PolicyInvalid
from approvals.policy import Policy
from approvals.service import Counted
from bot.settings import Settings, load
from bot.telemetry.metrics import Metrics, metrics_route
from docs import commands, schema
from handlers.api.routes import api_routes
from handlers.slack import answers
from handlers.slack.manifest import EVENTS, SCOPES
from tests.build import a_request
from tests.docs.page import ANYTHING, pattern, steps

ROOT = Path(__file__).resolve().parents[2]
SETTINGS, REFUSALS = ROOT / "docs/reference/settings.md", ROOT / "docs/reference/refusals.md"
ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PROOFS = {"teams_client_secret", "teams_certificate", "teams_managed_identity"}
POLICIES = ROOT / "docs/how-to/write-a-policy.md"


def rows(page: Path, heading: str = "") -> list[list[str]]:
    """The cells of every row of the tables under a heading, heads left out."""
    text = page.read_text(encoding="utf-8")
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0] if heading else text
    lines = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    heads = {line for line, after in zip(part.splitlines(), part.splitlines()[1:], strict=False) if "| ---" in after}
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line not in heads]


def names(cell: str) -> list[str]:
    """What stands in code style in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# -- settings and commands ------------------------------------------------------------------------------------------


def test_every_setting_is_listed_under_all_its_names_with_its_default() -> None:
    listed = {names(key)[0]: (set(names(variables)), names(default)) for key, variables, default, _ in rows(SETTINGS)}
    assert listed.keys() == Settings.model_fields.keys()
    for name, field in Settings.model_fields.items():
        variables, default = listed[name]
        usual = field.validation_alias
        understood = {f"SAYSO_{name.upper()}"}
        if isinstance(usual, AliasChoices):
            understood = {str(choice).upper() for choice in usual.choices}
        assert variables == understood
        assert default == ([] if field.default is None else [str(field.default)])


@pytest.mark.parametrize(
    ("variable", "setting"), [(v, names(row[0])[0]) for row in rows(SETTINGS) for v in names(row[1])]
)
def test_every_variable_that_is_listed_is_read(variable: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"redis_url": "redis://elsewhere/1", "redis_replicas": "3", "partitions": "3", "port": "3"}
    values |= {"slack_mode": "off", "log_format": "json", "log_level": "error"}
    values |= {"keep_requests_days": "3", "keep_renderings_days": "3"}
    values["operators_channel"] = "slack:C0OPS"
    values |= {"teams_app_id": ID, "teams_tenant_id": ID, "teams_managed_identity": "True"}
    values |= dict.fromkeys(("teams_services", "teams_authority", "teams_openid_url", "teams_graph_url"), "https://x")
    values["oncall_calendars"] = "primary=/etc/sayso/duty.ics"
    values |= {"metrics_port": "9102", "drain_seconds": "15.0", "otlp_endpoint": "http://collector:4318"}
    for known in [v for row in rows(SETTINGS) for v in names(row[1])]:
        monkeypatch.delenv(known, raising=False)
    monkeypatch.chdir(ROOT / "docs")
    if setting == "pagerduty_token":
        monkeypatch.setenv("SAYSO_PAGERDUTY_SUBDOMAIN", "acme")
    monkeypatch.setenv(variable, values.get(setting, "given"))
    given: dict[str, Any] = {} if setting == "slack_mode" else {"slack_mode": "off"}
    if setting in {"teams_app_id", "teams_tenant_id"} | PROOFS:
        given |= {"teams_app_id": ID, "teams_tenant_id": ID, "teams_client_secret": "x"}
        given = {name: value for name, value in given.items() if name != setting}
    if setting in PROOFS:
        given.pop("teams_client_secret", None)
    found = getattr(load(**given), setting)
    found = found.get_secret_value() if isinstance(found, SecretStr) else found
    assert str(found) == values.get(setting, "given")


def test_the_page_about_the_command_line_is_made_from_the_commands() -> None:
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run: python -m docs.commands"


# -- refusals -------------------------------------------------------------------------------------------------------


def calls(*names_of_calls: str) -> Iterator[ast.Call]:
    """Every call of these names in the rules."""
    for path in (*sorted((ROOT / "approvals").rglob("*.py")), ROOT / "bot" / "intake.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names_of_calls:
                yield node


def said(node: ast.expr) -> str | None:
    """A text as it stands in the code, "…" for what the case fills in; None where all of it comes from elsewhere."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
    return None


def refusals(*names_of_calls: str, first: int = 0) -> set[tuple[str, str]]:
    """Reason and sentence of every refusal whose reason stands in the code; `first` is the reason's place."""
    found = ((said(call.args[first]), said(call.args[first + 1])) for call in calls(*names_of_calls))
    return {(reason, sentence or "") for reason, sentence in found if reason is not None}


def table(heading: str) -> list[tuple[str, str]]:
    """Reason and sentence of every row under a heading that gives a reason."""
    return [(names(row[0])[0], row[1]) for row in rows(REFUSALS, heading) if row[0].startswith("`")]


def test_every_reason_for_which_a_click_does_not_count_is_listed_in_its_words() -> None:
    assert set(table("A click does not count")) == refusals("NotAllowed", "Refused")


@pytest.mark.parametrize(
    "told",
    [
        answers.UNCERTAIN,
        answers.NO_FORM,
        answers.NO_PAGE,
        answers.OUTDATED,
        answers.about(Counted(a_request(), safe=False), "approve", "T"),
    ],
    ids=lambda told: told.spoken[:20],
)
def test_what_a_person_is_told_besides_is_listed_in_its_words(told: answers.Private) -> None:
    assert told.spoken in [row[0] for row in rows(REFUSALS, "A click does not count")]


def test_every_reason_for_which_an_entry_is_not_accepted_is_listed_in_some_of_its_words() -> None:
    heading = "An entry is not accepted"
    code = refusals("EntryRefused") | {("malformed", said(call.args[0]) or "") for call in calls("malformed")}
    assert {reason for reason, _ in table(heading)} == {reason for reason, _ in code}
    for reason, sentence in table(heading):
        assert (reason, sentence) in code or (reason, f"{sentence}{ANYTHING}") in code


def test_every_reason_for_which_a_receipt_or_a_report_is_refused_is_listed_in_some_of_its_words() -> None:
    listed = table("A receipt may not be used") + table("A report is not recorded")
    code = refusals("NotGranted", first=1)
    computed = [call for call in calls("NotGranted") if said(call.args[1]) is None]
    statuses = {"revoked", "lapsed", "not_approved"}  # the one reason that is computed: from the request's status
    assert len(computed) == 1
    assert {reason for reason, _ in listed} == {reason for reason, _ in code} | statuses
    for reason, sentence in listed:
        assert (reason, sentence) in code or sentence == said(computed[0].args[2])


def test_what_the_contract_promises_and_what_is_listed_are_the_same_reasons() -> None:
    contract = (ROOT / "docs/reference/redis-contract.md").read_text(encoding="utf-8")
    promised = {kind: set(names(_sentence(contract, f"`{kind}.reason` is one of"))) for kind in ("refused", "spend")}
    assert {reason for reason, _ in table("An entry is not accepted")} == promised["refused"]
    assert {reason for reason, _ in table("A receipt may not be used")} == promised["spend"]


def _sentence(text: str, beginning: str) -> str:
    return text.split(beginning, 1)[1].split("\n", 1)[0]


# -- what the how-to pages list -------------------------------------------------------------------------------------


def test_the_page_about_the_slack_app_explains_every_scope_it_asks_for() -> None:
    explained = [
        scope for row in rows(ROOT / "docs/how-to/slack-app.md", "What the app may do") for scope in names(row[0])
    ]
    assert sorted(explained) == sorted(SCOPES)


def test_the_page_about_the_slack_app_explains_every_event_and_every_command() -> None:
    page = ROOT / "docs/how-to/slack-app.md"
    events = [event for row in rows(page, "What Slack tells it") for event in names(row[0])]
    assert sorted(events) == sorted(EVENTS)
    typed = {name.split()[1] for row in rows(page, "What people can type") for name in names(row[0]) if "/" in name}
    assert typed == USAGE.keys()


def test_what_the_page_about_deploying_finds_in_the_log_is_logged_somewhere() -> None:
    listed = [row[0] for row in rows(ROOT / "docs/how-to/deploy.md", "Look after it") if row[0].endswith(")")]
    source = "".join(path.read_text() for folder in ("bot", "handlers") for path in (ROOT / folder).rglob("*.py"))
    assert len(listed) >= 5
    for cell in listed:
        found = re.fullmatch(r"`(.+)` \((\w+)\)", cell)
        assert found, cell
        event, level = found.groups()
        called = "(?:error|exception)" if level == "error" else level
        assert re.search(rf'log\.{called}\(\s*"{event}"', source), event


def test_the_addresses_the_page_about_deploying_names_are_served() -> None:
    async def well() -> bool:
        return True

    routes = [*api_routes(trust=dict, checks={"redis": well}), metrics_route(Metrics())]
    served = {f"{route.method} {route.path}" for route in routes}
    listed = [row[0].strip("`") for row in rows(ROOT / "docs/how-to/deploy.md", "Look after it") if "GET" in row[0]]
    assert listed
    assert set(listed) <= served


# -- the policy -----------------------------------------------------------------------------------------------------


def a_whole_policy() -> dict[str, Any]:
    """The page's complete policy."""
    (whole, *_) = (step.text for step in steps(POLICIES.read_text(encoding="utf-8")) if step.language == "yaml")
    mapping: dict[str, Any] = yaml.safe_load(whole)
    return mapping


FRAGMENTS = [step.text for step in steps(POLICIES.read_text(encoding="utf-8")) if step.language == "yaml"][1:]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_part_of_a_policy_that_is_shown_is_sound_in_the_whole_one(fragment: str) -> None:
    assert Policy.parse(a_whole_policy() | yaml.safe_load(fragment), "sha256:x").agents


@pytest.mark.parametrize("row", rows(POLICIES, "What the check says"), ids=lambda row: row[1])
def test_the_check_says_what_is_shown(row: list[str]) -> None:
    (wrong,), (problem,) = names(row[0]), names(row[1])
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse(a_whole_policy() | yaml.safe_load(wrong), "sha256:x")
    assert any(pattern(problem).fullmatch(found) for found in caught.value.problems), caught.value.problems


SCENES = [step.text for step in steps(POLICIES.read_text(encoding="utf-8")) if step.language == "yml"]


def test_the_five_scenes_are_shown_as_they_are_tried() -> None:
    tried = (ROOT / "examples/policies/five-scenes.yaml").read_text(encoding="utf-8")
    assert len(SCENES) == 5
    assert all(scene.strip("\n") in tried for scene in SCENES)


def test_every_key_of_the_policy_is_explained() -> None:
    pages = [POLICIES, *(ROOT / "docs/how-to" / name for name in ("people.md", "limits-and-secrets.md"))]
    table = " ".join(names(" ".join(" ".join(row) for row in rows(POLICIES, "Every key"))))
    shown = " ".join(step.text for page in pages for step in steps(page.read_text(encoding="utf-8")))
    explained = set(re.findall(r"not in|[a-z_]+|[=!<>]+", f"{table} {shown}"))
    published = json.loads(schema.schema())
    keys = {key for part in (published, *published["$defs"].values()) for key in part.get("properties", {})}
    assert explained >= keys
