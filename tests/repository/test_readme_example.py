"""The README's first example runs as printed, against the SDK's own test client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import sayso
import sayso.testing
from tests.repository.files import ROOT, blocks

EXAMPLE = blocks(ROOT / "README.md", "python")[0]


def run(monkeypatch: pytest.MonkeyPatch, client: Callable[[], Any]) -> Any:
    """Run the example with another client where it connects; returns that client."""
    made = []

    def connect(url: str, *, agent: str, trust: str) -> Any:
        assert url.startswith("redis://")
        made.append(client())
        return made[0]

    monkeypatch.setattr(sayso.Sayso, "connect", connect)
    exec(compile(EXAMPLE.text, str(EXAMPLE), "exec"), {"__name__": "example"})
    return made[0]


def test_on_a_yes_the_function_runs_on_what_was_approved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = run(monkeypatch, sayso.testing.approving)
    asked = client.asked[0].action
    assert (asked.kind, asked.target) == ("payments.release", "bank:acme")
    assert asked.arguments == {"bank": "acme", "invoice": "INV-2093", "amount": "12400.00", "currency": "EUR"}
    assert capsys.readouterr().out == "released 12400.00 EUR for INV-2093\n"


def test_on_a_no_it_does_not_run_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, lambda: sayso.testing.denying("too much for a Friday"))
    said = capsys.readouterr().out
    assert said.startswith("not released:")
    assert "too much for a Friday" in said


def test_on_silence_it_does_not_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, sayso.testing.silent)
    assert capsys.readouterr().out.startswith("not released:")


def test_it_is_short() -> None:
    code = [line for line in EXAMPLE.text.splitlines() if line.strip()]
    assert len(code) <= 15
