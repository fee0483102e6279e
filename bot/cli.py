"""The command line. Each command reads the settings, does one thing, and says what to do when it cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from approvals.durations import milliseconds
from approvals.errors import NotFound, PolicyInvalid
from approvals.indices import Query
from approvals.lifecycle import Status
from approvals.terms import Risk
from bot import audit as audits
from bot import initial, logs
from bot.keys_cli import keys_app
from bot.policy_cli import policy_app
from bot.settings import SettingsInvalid, load
from bot.terminal import err, out
from bot.terminal import fail as _fail
from bot.terminal import policy_at as _policy
from bot.terminal import run as _run
from bot.terminal import settings as _settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a traceback must not hold tokens
    help="Sayso: agents act only on a human's say-so.",
)
slack_app = typer.Typer(no_args_is_help=True, help="Set up the Slack app.")
teams_app = typer.Typer(no_args_is_help=True, help="Set up the Teams app.")
audit_app = typer.Typer(no_args_is_help=True, help="Verify and export the journal.")
app.add_typer(policy_app, name="policy")
app.add_typer(slack_app, name="slack")
app.add_typer(teams_app, name="teams")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")

File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Another file than the settings name.")]


@app.command()
def serve() -> None:
    """Run the service until it is told to stop (SIGTERM or Ctrl-C)."""
    from bot.house import serve as run

    settings = _settings()
    logs.configure(settings.log_format, settings.log_level)
    _run(run(settings))


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the workspace's page; 0 takes a free one.")] = 3000,
    agents: Annotated[bool, typer.Option(help="Let the example agents play the five scenes.")] = True,
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Your policy, for your agents, not the example's.")
    ] = None,
) -> None:
    """A workspace, a queue, the bot and five agents on this machine: open the page it prints, and click."""
    from bot.demo import run

    logs.configure("text", "warning")
    _run(run(port=port, agents=agents, policy=policy))


@app.command()
def redis() -> None:
    """Run a Redis of your own on this machine until Ctrl-C; it writes every change to disk before it answers."""
    from bot.own_redis import run

    try:
        settings = load(slack_mode="off")
    except SettingsInvalid as exc:
        _fail(*exc.problems)
    _run(run(settings))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write policy.yaml and sayso.toml.")] = Path("."),
    agent: Annotated[str, typer.Option(help="The first agent's name.")] = "",
    kind: Annotated[str, typer.Option(help="What it may ask for.")] = "",
    team: Annotated[str, typer.Option(help="Your Slack workspace's id (T…).")] = "",
    channel: Annotated[str, typer.Option(help="The channel that is asked (C…).")] = "",
    owner_user: Annotated[str, typer.Option(help="The Slack user (U…) who answers for the agent.")] = "",
    approver_user: Annotated[str, typer.Option(help="The Slack user (U…) who may approve.")] = "",
) -> None:
    """Write a first policy, settings and agent, to be read and edited by you."""
    given = {"agent": agent, "kind": kind, "team": team, "channel": channel}
    try:
        files = initial.write(folder, **given, owner_user=owner_user, approver_user=approver_user)
    except initial.AlreadyThere as exc:
        _fail(str(exc))
    except PolicyInvalid as exc:
        _fail(*exc.problems)
    for path in files:
        out.print(f"wrote {path}")
    out.print("next: edit them, then `python -m bot policy check` and `python -m bot doctor`")


@app.command()
def doctor(
    send_test_card: Annotated[
        str | None, typer.Option("--send-test-card", help="Post a card without buttons there (slack:C… or slack:U…).")
    ] = None,
) -> None:
    """Look for what would keep the service from working, and say what to do about each; 1 if there is a problem."""
    from bot.doctor import examine
    from bot.slack_doctor import send_test_card as send

    settings = _settings()
    findings = _run(examine(settings))
    findings += [_run(send(settings, send_test_card))] if send_test_card else []
    for finding in findings:
        colour = {"ok": "green", "warning": "yellow", "problem": "red"}[finding.level]
        out.print(f"[{colour}]{finding.level:<8}[/] {escape(finding.what)}", soft_wrap=True)
        if finding.remedy:
            out.print(f"         {escape(finding.remedy)}", soft_wrap=True)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def acl(
    policy: File = None,
    passwords: Annotated[bool, typer.Option(help="Make a random password for each user.")] = True,
) -> None:
    """Print the Redis ACL lines for the bot, the auditor, every agent and every tool.

    The lines (for an ACL file) go to standard output and hold only hashes; the passwords go to standard error.
    """
    from bot.acl import lines, passwords_for

    settings = _settings()
    found = _policy(policy or settings.policy)
    made = passwords_for(found) if passwords else {}
    for line in lines(found, settings.partitions, made):
        print(line)  # noqa: T201 - for a file, without wrapping
    for user, password in made.items():
        print(f"{user} {password}", file=sys.stderr)  # noqa: T201 - to be kept, once, by whoever runs this


@app.command()
def pending(
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    destination: Annotated[str | None, typer.Option(help="Only what is asked there (slack:C…).")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    risk: Annotated[Risk | None, typer.Option(help="Only this risk.")] = None,
    approver: Annotated[str | None, typer.Option(help="Only what this group or person may answer.")] = None,
    older: Annotated[str | None, typer.Option(help="Only what was asked longer ago: 90s, 15m, 2h, 1d.")] = None,
    status: Annotated[str, typer.Option(help="What has come to this instead: approved, unknown, …")] = "pending",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what is waiting for an answer, newest first."""
    from bot.house import open_store
    from bot.printing import row_of

    settings = _settings()
    try:
        query = Query(
            statuses=(Status(status),),
            agent=agent,
            destination=destination,
            sources=None if approver is None else _policy(settings.policy).sources_behind(approver),
            kind=kind,
            risk=risk,
        )
        age = 0 if older is None else milliseconds(older)
    except ValueError as exc:
        _fail(str(exc))

    async def look() -> None:
        async with open_store(settings) as store:
            wanted = replace(query, asked_before=await store.now() - age + 1)
            cursor: str | None = ""
            while cursor is not None:
                page = await store.list(wanted, cursor, limit=200)
                for request in page.requests:
                    _print_row(row_of(request), as_json)
                cursor = page.cursor

    _run(look())


@app.command("dead-letters")
def dead_letters(
    most: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what agents and tools sent that was refused and kept aside, the latest first: who, when, why.

    Of what was readable the form is kept and no value; of what was not, the beginning.
    """
    from bot.house import open_store
    from bot.printing import letter_of

    async def look() -> None:
        async with open_store(_settings()) as store:
            for letter in await store.dead_letters(most=most):
                _print_row(letter_of(letter), as_json)

    _run(look())


@app.command()
def show(request: Annotated[str, typer.Argument(help="A request id or its short code (7F3K-9Q).")]) -> None:
    """Show a request: what was asked, who answered, how it ended. Arguments are shown as on the card."""
    from bot.house import open_store
    from bot.printing import story_of

    async def look() -> None:
        async with open_store(_settings()) as store:
            ids = [request] if "-" in request and len(request) > 12 else list(await store.find(request.upper()))
            if not ids:
                raise NotFound(request)
            for one in ids:
                out.print(escape(story_of((await store.get(one)).request)), soft_wrap=True)

    try:
        _run(look())
    except NotFound:
        _fail(f"there is no request {request!r}; `python -m bot pending` lists what waits")


@slack_app.command("manifest")
def slack_manifest(
    socket: Annotated[bool, typer.Option("--socket", help="Nothing inbound: Slack is reached by a socket.")] = False,
    http: Annotated[str | None, typer.Option("--http", help="The public https URL that Slack calls.")] = None,
) -> None:
    """Print the manifest from which Slack creates the app; on standard error, a link that has it filled in."""
    from handlers.slack.manifest import create_link, manifest

    if socket == (http is not None):
        _fail("say either --socket, or --http https://your.host")
    try:
        made = manifest("socket") if http is None else manifest("http", http)
    except ValueError as exc:
        _fail(f"--http: {exc}, such as https://sayso.example.com")
    print(json.dumps(made, indent=2))  # noqa: T201 - for a file, without wrapping
    print(f"create the app: {create_link(made)}", file=sys.stderr)  # noqa: T201 - to be clicked, without wrapping


@teams_app.command("manifest")
def teams_manifest(
    out: Annotated[Path, typer.Option(help="Where the package is written.")] = Path("sayso-teams.zip"),
    website: Annotated[str | None, typer.Option(help="Shown as the developer's; the issuer by default.")] = None,
) -> None:
    """Write the app package that a Teams administrator uploads: the manifest and two icons."""
    from handlers.teams.manifest import package

    settings = _settings()
    if settings.teams_app_id is None:
        _fail("set SAYSO_TEAMS_APP_ID: the app (client) id of the bot in Entra; see docs/how-to/teams-app.md")
    try:
        out.write_bytes(package(settings.teams_app_id, website or settings.issuer))
    except ValueError as exc:
        _fail(str(exc))
    print(f"wrote {out}; upload it in the Teams admin centre: Teams apps, Manage apps, Upload")  # noqa: T201


@audit_app.command("verify")
def audit_verify(
    export: Annotated[Path | None, typer.Option(exists=True, help="Verify an export instead of Redis.")] = None,
    heads: Annotated[Path | None, typer.Option(help="The file of signed heads; the settings' by default.")] = None,
    trust: Annotated[Path | None, typer.Option(help="The trust document; the settings' by default.")] = None,
) -> None:
    """Fail if any entry of the journal was changed, dropped, reordered or rolled back, and say where.

    It takes the public keys of the trust document, never the private one, and the rights of the user `auditor`.
    """
    from bot.house import open_store
    from bot.signing import PublicKeys

    settings = _settings()
    where = heads or settings.heads

    async def look() -> list[audits.Finding]:
        keys = PublicKeys.read(trust or settings.trust)
        if export is not None:
            with export.open(encoding="utf-8") as lines:
                return audits.verify_export(lines, keys, where)
        async with open_store(settings, read_only=True) as store:
            return await audits.verify_store(store, keys, where, settings.issuer)

    try:
        findings = _run(look())
    except (ValueError, audits.ExportInvalid) as exc:
        _fail(str(exc))
    if not findings:
        _fail("there is nothing to verify")
    for finding in findings:
        _print_finding(finding)
    if any(finding.defects for finding in findings):
        raise typer.Exit(1)


@audit_app.command("export")
def audit_export(
    form: Annotated[str, typer.Option("--format", help="jsonl: one JSON object a line.")] = "jsonl",
    to: Annotated[Path | None, typer.Option(help="A new file instead of standard output.")] = None,
    trim: Annotated[int | None, typer.Option(help="Then drop from Redis what is older than so many days.")] = None,
) -> None:
    """Write the journal to standard output or a file. With --trim, what the file holds is dropped from Redis.

    Dropping takes the rights of the user `archivist`, and the signing key, which seals the point where the journal
    then begins.
    """
    from bot.house import open_store
    from bot.keys import open_signer

    if form != "jsonl":
        _fail(f"there is no format {form!r}; jsonl is")
    if trim is not None and to is None:
        _fail("--trim needs --to: what is dropped has to lie somewhere")
    if to is not None and to.exists():
        _fail(f"{to} is there already; name a new file")
    settings = _settings()

    async def write() -> None:
        async with open_store(settings, read_only=True) as store:
            if to is None:
                err.print(f"{await audits.export(store, settings.issuer, sys.stdout)} entries")
                return
            older = audits.NEVER if trim is None else trim * 86_400_000
            signer = open_signer(settings)
            written, dropped = await audits.archive(store, signer, settings.heads, settings.issuer, to, older=older)
            err.print(f"{written} entries in {to}; {dropped} dropped from Redis")

    _run(write())


def _print_row(row: Mapping[str, str], as_json: bool) -> None:
    out.print(escape(json.dumps(row) if as_json else "  ".join(row.values())), soft_wrap=True)


def _print_finding(finding: audits.Finding) -> None:
    for defect in finding.defects:
        out.print(f"[red]{escape(finding.journal)}: entry {defect.number}: {escape(defect.what)}[/]", soft_wrap=True)
    unsealed = finding.head.number - finding.sealed
    if not finding.defects:
        out.print(
            f"[green]{escape(finding.journal)}: {finding.entries} entries, unbroken;"
            f" sealed up to {finding.sealed}, {max(unsealed, 0)} not sealed yet[/]",
            soft_wrap=True,
        )
