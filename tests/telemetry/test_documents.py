"""docs/reference/metrics.md and docs/how-to/monitor.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.telemetry.metrics import Family, Metrics
from bot.telemetry.readiness import Draining, checks_of
from bot.telemetry.tracing import OUTCOME, SPEND, SUBMIT, WAIT, attributes_of
from tests.approvals.house import a_house
from tests.approvals.make import an_approved_request
from tests.repository.files import ROOT
from tests.telemetry.test_readiness import Seal

REFERENCE = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
FAMILIES = Metrics().families


def rows(text: str, width: int) -> list[list[str]]:
    """The rows of every table of this width, without heads."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return [row for row in found if len(row) == width and row[0].startswith("`")]


def words(cell: str) -> set[str]:
    """What stands in code in a cell."""
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_documented_as_it_is(family: Family) -> None:
    (row,) = [row for row in rows(REFERENCE, 4) if row[0] == f"`{family.name}`"]
    assert (row[1], words(row[2]), row[3]) == (family.type, set(family.labels), family.help)


def test_no_metric_is_documented_that_does_not_exist() -> None:
    assert {row[0].strip("`") for row in rows(REFERENCE, 4)} == {family.name for family in FAMILIES}
    assert set(re.findall(r"sayso_\w+", GUIDE)) <= {family.name for family in FAMILIES}


def test_every_label_is_explained_and_no_other() -> None:
    explained = {label for row in rows(REFERENCE, 2) for label in words(row[0])}
    assert explained == {label for family in FAMILIES for label in family.labels}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_prometheus_own_rules(family: Family) -> None:
    assert re.fullmatch(r"sayso_[a-z0-9_]+", family.name)
    assert (family.type == "counter") == family.name.endswith("_total")
    assert family.type != "histogram" or family.name.endswith("_seconds")
    assert family.help.endswith(".")
    assert not {"request", "call", "target", "user", "person"} & set(family.labels)


async def test_every_check_of_readyz_is_explained_and_no_other() -> None:
    house = await a_house()
    always = checks_of(
        store=house.store,
        policies=house.policies,
        signer=house.signer,
        journal=Seal(),
        loops=[],
        draining=Draining(),
    )
    sometimes = set(re.findall(r'checks\["(\w+)"\] = ', _house()))
    explained = {next(iter(words(row[0]))) for row in rows(GUIDE.split("## Alerts")[0], 2)}
    assert explained == set(always) | sometimes


def test_every_span_and_attribute_is_named() -> None:
    traces = GUIDE.split("## Traces")[1]
    assert {next(iter(words(row[0]))) for row in rows(traces, 3)} == {SUBMIT, WAIT, SPEND, OUTCOME}
    known = {name for span in (WAIT, OUTCOME) for name in attributes_of(span, an_approved_request())}
    named = {word for word in words(traces) if re.match(r"gen_ai\.|approval\.", word)}
    assert named == known | {SUBMIT, WAIT, SPEND, OUTCOME}


def _house() -> str:
    return "".join(Path(ROOT / "bot" / name).read_text(encoding="utf-8") for name in ("house.py", "doors.py"))
