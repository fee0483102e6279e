"""What `python -m bot init` writes: a policy, settings and a first agent, to be edited by a person."""

from __future__ import annotations

import re
from pathlib import Path

from bot.policies import parse_policy

POLICY = """\
# Who may ask what, and who may say yes. Check it with `python -m bot policy check`.
# docs/how-to/write-a-policy.md explains every key. Every matching rule counts and the strictest wins.
version: 1

# What holds for everything. A rule adds to it; one that asks others instead says exempts: [defaults].
defaults:
  factors: [{{from: [approvers], approvals: 1}}]
  destinations: ["slack:{channel}"]
  within: 30m            # how long people may answer; silence is a no
  use_within: 15m        # how long a yes may be used
  receipt_ttl: 120s      # how long one receipt lives; a late agent gets a fresh one
  outcome_within: 10m    # how long a tool may take to say how it ended

# The owner answers for the agent, which asks on a principal's behalf; neither ever counts as its approver.
agents:
  {agent}:
    owner: {owner}
    principals: [{owner}]
    kinds: ["{kind}"]

# What the card says before and after. effect: send, share, publish, delete, transfer, deploy, grant or other;
# risk: low, medium, high or critical.
kinds:
  {kind}:
    title: {title}
    done: {done}
    not_done: {not_done}
    effect: {effect}
    risk: high

# Accounts are slack:<team id>:<user id>.
people:
  {owner}: {{accounts: ["slack:{team}:{owner_user}"]}}
  approver: {{accounts: ["slack:{team}:{approver_user}"]}}

# Named people, or a user group of Slack: {{slack_usergroup: S0123ABCD}}
groups:
  approvers: {{people: [approver]}}

rules:
  - id: {area}
    match: {{kind: ["{area}.*"]}}
    factors: [{{from: [approvers], approvals: 1}}]
    destinations: ["slack:{channel}"]
    within: 15m
"""

SETTINGS = """\
# Settings of the service; each can also be SAYSO_<NAME> in the environment. Secrets belong into the environment:
# SLACK_BOT_TOKEN, and SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP).
redis_url = "{redis}"
policy = "policy.yaml"
issuer = "{issuer}"        # stands in every receipt; verifiers pin it
state = ".sayso"           # signing key (0600), jwks.json for agents and tools, journal heads
host = "127.0.0.1"
port = 8080
"""

_PLACEHOLDERS = {
    "agent": "payments-bot",
    "owner": "owner",
    "kind": "payments.release",
    "team": "T0000000000",
    "owner_user": "U0000000001",
    "approver_user": "U0000000002",
    "channel": "C0000000000",
    "redis": "redis://127.0.0.1:6379/0",
    "issuer": "https://sayso.localhost",
}


#: What `init` writes where it is told nothing, and what the documents write in place of an id.
_EXAMPLE = re.compile(r"\b(?:[TCGUWS]0{6,}\d*|[TCGUWS]0123[A-Z]{3,}|1{8}-2{4}-3{4}-4{4}-5{12})\b")


class AlreadyThere(Exception):
    """A file that `init` would write exists; nothing was written."""


def write(folder: Path, **given: str) -> list[Path]:
    """Write policy.yaml and sayso.toml into a folder; `given` fills in ids. Raises AlreadyThere and PolicyInvalid."""
    values = {**_PLACEHOLDERS, **{name: value for name, value in given.items() if value}}
    values |= _wording(values["kind"])
    files = {folder / "policy.yaml": POLICY.format(**values), folder / "sayso.toml": SETTINGS.format(**values)}
    if there := [str(path) for path in files if path.exists()]:
        raise AlreadyThere(f"{', '.join(there)} exists already; edit it, or run init in another folder")
    parse_policy(files[folder / "policy.yaml"], "what was given")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def placeholders(text: str) -> list[str]:
    """The ids in a policy's text, outside comments, that nobody has: those of `init` and of the documents."""
    said = re.sub(r"(?m)(^|\s)#.*$", "", text)
    return list(dict.fromkeys(_EXAMPLE.findall(said)))


def _wording(kind: str) -> dict[str, str]:
    """What the first policy says of a kind, for its owner to say better."""
    words = {"title": f"Run {kind}", "done": f"Done {kind}", "not_done": f"Not done {kind}", "effect": "other"}
    if kind == _PLACEHOLDERS["kind"]:
        words = {"title": "Release a payment", "done": "Payment released", "not_done": "Not released"}
        words["effect"] = "transfer"
    return {**words, "area": kind.split(".")[0]}
