"""Alert rules and dashboard use metrics that exist, with labels that they have, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from bot.telemetry.metrics import Metrics
from tests.repository.files import ROOT, anchors

RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "deploy/grafana/sayso.json").read_text(encoding="utf-8"))
MONITOR = ROOT / "docs" / "how-to" / "monitor.md"

ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ADDED_BY_PROMETHEUS = {"instance", "job"}


def samples() -> dict[str, set[str]]:
    """Every sample that /metrics can show, with its labels."""
    found: dict[str, set[str]] = {}
    metrics = Metrics()
    for family in metrics.families:
        labels = set(family.labels) | ADDED_BY_PROMETHEUS
        names = {family.name: labels}
        if family.type == "histogram":
            names = {f"{family.name}_{end}": labels for end in ("sum", "count")}
            names[f"{family.name}_bucket"] = labels | {"le"}
        found |= names
    for collected in metrics.registry.collect():
        if collected.name.startswith("process_"):
            found |= {sample.name: set(ADDED_BY_PROMETHEUS) for sample in collected.samples}
    return found


SAMPLES = samples()


def expressions() -> Iterator[tuple[str, str, str]]:
    """Every expression: its place, its text, and the legend or words that use its labels."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"], alert["annotations"]["summary"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]


EXPRESSIONS = list(expressions())
CASES = pytest.mark.parametrize(("place", "text", "words"), EXPRESSIONS, ids=[place for place, _, _ in EXPRESSIONS])


def parsed(text: str) -> promql.Expr:
    """An expression as Prometheus sees it: Grafana has filled its variables in by then."""
    return promql.parse(text.replace("$__rate_interval", "5m"))


def selectors(expr: promql.Expr) -> list[promql.VectorSelector]:
    """Every selection of samples in an expression."""
    found: list[promql.VectorSelector] = []

    def note(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(expr, note)
    return found


@CASES
def test_every_name_is_of_a_metric_that_exists(place: str, text: str, words: str) -> None:
    found = selectors(parsed(text))
    assert found, f"{place} asks for nothing"
    for selector in found:
        assert selector.name in SAMPLES, f"{place}: there is no {selector.name}"


@CASES
def test_every_label_belongs_to_its_metric(place: str, text: str, words: str) -> None:
    found = selectors(parsed(text))
    known = set.union(*(SAMPLES[str(selector.name)] for selector in found))
    for selector in found:
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= SAMPLES[str(selector.name)], f"{place}: {selector.name} has not {used}"
    grouped = {label for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", text) for label in re.split(r", *", names)}
    shown = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", words))
    assert grouped <= known, f"{place}: grouped by {grouped - known}"
    assert shown <= known, f"{place}: shows {shown - known}"
    if grouped:
        assert shown <= grouped, f"{place}: {shown - grouped} were summed away"


@CASES
def test_only_counters_are_rated(place: str, text: str, words: str) -> None:
    gauges = {family.name for family in Metrics().families if family.type == "gauge"}
    for name in re.findall(r"(?:rate|increase)\((\w+)", text):
        assert name not in gauges, f"{place}: {name} is a gauge"


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_every_alert_says_how_bad_it_is_what_happens_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("Sayso")
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"]["summary"].endswith((".", "?"))
    path, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert ROOT / path == MONITOR
    assert anchor in anchors(MONITOR)


def test_alerts_are_named_once_and_each_is_in_the_guide() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names)
    assert set(re.findall(r"`(Sayso\w+)`", MONITOR.read_text(encoding="utf-8"))) == set(names)


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = {str(selector.name) for _, text, _ in EXPRESSIONS for selector in selectors(parsed(text))}
    for family in Metrics().families:
        assert any(name.startswith(family.name) for name in used), f"nobody looks at {family.name}"


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    used = set(re.findall(r"\$(\w+)", json.dumps([panel["targets"] for panel in PANELS])))
    assert used <= variables | {"__rate_interval"}


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
