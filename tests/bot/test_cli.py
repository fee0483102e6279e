"""The command line as an operator types it: what it prints, how it exits, and what it says to do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, get_args

import pytest
import yaml
from redis import Redis
from typer.testing import CliRunner, Result

from approvals.request import Request
from approvals.terms import Risk
from bot.cli import app
from bot.keys import signer_for
from bot.policies import read_policy
from bot.sealer import HeadsFile, Sealer
from bot.settings import load
from bot.signing import FileSigner, create_key, read_key, write_trust
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.build import DIGEST, a_change, a_request, an_action, policy_mapping
from tests.logs import logging_left_alone
from tests.servers import Server

T = TypeVar("T")


def run(*arguments: str) -> Result:
    """One command."""
    with logging_left_alone():
        return CliRunner().invoke(app, list(arguments))


def words(text: str) -> str:
    """Output without its line ends, which depend on the terminal's width."""
    return " ".join(text.split())


@pytest.fixture
def policy(folder: Path) -> Path:
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(policy_mapping()))
    return path


@pytest.fixture
def deployment(redis: Server, policy: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Settings, a key and an empty Redis."""
    monkeypatch.setenv("SAYSO_REDIS_URL", redis.url)
    create_key(load().signing_key)
    return redis


def in_redis(server: Server, work: Callable[[RedisStore], Awaitable[T]]) -> T:
    """Do something with the memory, as the bot would."""

    async def do() -> T:
        async with await RedisStore.connect(server.url) as store:
            return await work(store)

    return asyncio.run(do())


def asked(server: Server, **members: object) -> Request:
    """A request that waits."""

    async def ask(store: RedisStore) -> Request:
        await store.adopt(DIGEST, "version: 1", {"event": "policy"})
        request = a_request(now=await store.now(), action=an_action(**members))
        return (await store.create(request.id, lambda *_: a_change(request)))[0].request

    return in_redis(server, ask)


def sealed(server: Server) -> None:
    """What a running bot has done to the journal so far."""

    async def seal(store: RedisStore) -> None:
        settings = load()
        signer = FileSigner(read_key(settings.signing_key))
        write_trust(settings.trust, signer.trust(settings.issuer))
        await Sealer(store, signer, HeadsFile(settings.heads), issuer=settings.issuer).step()

    in_redis(server, seal)


# ------------------------------------------------------------ init, policy, slack


def test_what_init_writes_is_a_sound_policy_and_settings(folder: Path) -> None:
    result = run("init", "new", "--agent", "deploy-bot", "--kind", "deploy.config", "--channel", "C0DEPLOYS")
    assert result.exit_code == 0, result.output
    policy, _ = read_policy(folder / "new" / "policy.yaml")
    assert (policy.agents, policy.destinations) == (("deploy-bot",), ("slack:C0DEPLOYS",))
    assert run("policy", "check", "new/policy.yaml").exit_code == 0


def test_what_init_writes_without_being_told_anything_is_sound_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("init").exit_code == 0
    assert run("policy", "check").exit_code == 0
    assert load().port == 8080


def test_init_overwrites_nothing(folder: Path) -> None:
    (folder / "sayso.toml").write_text("# mine\n")
    result = run("init")
    assert result.exit_code == 2
    assert "sayso.toml exists already" in result.stderr
    assert not (folder / "policy.yaml").exists()
    assert (folder / "sayso.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    "given", [("--agent", "Deploy Bot"), ("--kind", "deploy"), ("--channel", "#deploys"), ("--team", "a: b")]
)
def test_init_refuses_what_would_not_be_a_sound_policy(folder: Path, given: tuple[str, str]) -> None:
    result = run("init", *given)
    assert result.exit_code == 2
    assert result.stderr
    assert list(folder.iterdir()) == []


def test_a_sound_policy_is_summed_up(policy: Path) -> None:
    result = run("policy", "check")
    assert result.exit_code == 0
    assert "policy.yaml is sound: 2 agents, 1 tools, sha256:" in words(result.stdout)


def test_every_problem_of_a_policy_is_listed(folder: Path) -> None:
    mapping = policy_mapping(colour="blue", groups={"finance": {"people": ["nobody"]}})
    mapping["agents"]["payments-bot"]["kinds"] = []
    (folder / "bad.yaml").write_text(yaml.safe_dump(mapping))
    result = run("policy", "check", "bad.yaml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "colour" in result.stderr
    assert "agents.payments-bot.kinds" in result.stderr
    assert len(result.stderr.splitlines()) >= 2


def test_a_policy_whose_names_do_not_exist_is_refused(folder: Path) -> None:
    mapping = policy_mapping(groups={"finance": {"people": ["nobody"]}})
    mapping["rules"] = [{"id": "one", "factors": [{"from": ["nowhere"]}]}]
    (folder / "bad.yaml").write_text(yaml.safe_dump(mapping))
    result = run("policy", "check", "bad.yaml")
    assert result.exit_code == 2
    assert "nobody" in result.stderr
    assert "nowhere" in result.stderr


def test_a_missing_policy_names_the_remedy() -> None:
    result = run("policy", "check")
    assert result.exit_code == 2
    assert "write one with `python -m bot init`" in words(result.stderr)


def test_markup_in_a_policy_colours_nothing(folder: Path) -> None:
    (folder / "bad.yaml").write_text('version: 1\n"[red]x[/red]": 1\n')
    assert "[red]x[/red]" in run("policy", "check", "bad.yaml").stderr


def test_the_manifest_is_for_one_way_to_reach_us() -> None:
    socket = json.loads(run("slack", "manifest", "--socket").stdout)
    http = json.loads(run("slack", "manifest", "--http", "https://sayso.example").stdout)
    assert socket["settings"]["socket_mode_enabled"] is True
    assert http["settings"]["interactivity"]["request_url"] == "https://sayso.example/slack/events"
    for given in ([], ["--socket", "--http", "https://x"]):
        assert run("slack", "manifest", *given).exit_code == 2
    unsafe = run("slack", "manifest", "--http", "http://sayso.example")
    assert (unsafe.exit_code, words(unsafe.stderr).split(":")[0]) == (2, "--http")


def test_acl_lines_name_every_user_once_and_hold_no_password(policy: Path) -> None:
    result = run("acl")
    users = [line.split()[1] for line in result.stdout.splitlines()]
    made = dict(line.split() for line in result.stderr.splitlines())
    assert sorted(set(users)) == sorted(users)
    assert {"bot", "auditor", "agent-payments-bot", "agent-export-bot", "tool-ledger"} <= set(users)
    assert set(made) <= set(users)
    assert not [password for password in made.values() if password in result.stdout]


def test_acl_lines_without_passwords_let_nobody_in(policy: Path) -> None:
    result = run("acl", "--no-passwords")
    assert result.stderr == ""
    assert all(line.split()[2] == "off" for line in result.stdout.splitlines())


# ------------------------------------------------------------ settings


@pytest.mark.parametrize("command", [["doctor"], ["pending"], ["acl"], ["audit", "verify"], ["serve"], ["redis"]])
def test_every_command_names_a_mistake_in_the_settings(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_PROT", "1")
    result = run(*command)
    assert result.exit_code == 2
    assert "did you mean SAYSO_PORT?" in result.stderr


@pytest.mark.parametrize("command", [["pending"], ["show", "7F3K-9Q"], ["audit", "export"], ["serve"]])
def test_a_redis_that_is_not_there_is_said_in_a_sentence(
    command: list[str], policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAYSO_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    result = run(*command)
    assert result.exit_code == 2
    assert "at 127.0.0.1:1; check SAYSO_REDIS_URL and that the server runs" in words(result.stderr)
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


# ------------------------------------------------------------ pending, show


@pytest.mark.redis
def test_a_port_that_is_taken_is_said_in_a_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("demo", "--port", str(other.getsockname()[1]))
    assert result.exit_code == 2
    assert "address already in use; choose another port" in words(result.stderr)


@pytest.mark.redis
def test_what_waits_is_listed_newest_first(deployment: Server) -> None:
    first, second = asked(deployment), asked(deployment)
    lines = run("pending").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [second.code, first.code]
    rows = [json.loads(line) for line in run("pending", "--json").stdout.splitlines()]
    assert [row["request"] for row in rows] == [second.id, first.id]
    assert rows[0]["kind"] == "payments.release"
    assert run("pending", "--agent", "export-bot").stdout == ""


@pytest.mark.redis
def test_what_waits_is_told_apart_by_everything_an_operator_may_ask_for(deployment: Server) -> None:
    one = asked(deployment)

    def listed(*options: str) -> list[str]:
        result = run("pending", "--json", *options)
        assert result.exit_code == 0, result.output
        return [json.loads(line)["request"] for line in result.stdout.splitlines()]

    asked_here = {source for factor in one.terms.factors for source in factor.sources}
    people = ("person:alice" in asked_here, "person:dana" in asked_here)
    assert people == (True, False), "the owner is not asked"
    keys = {
        "--agent": (one.agent, "nobody"),
        "--destination": (one.terms.destinations[0], "slack:C0NOWHERE"),
        "--kind": (one.action.kind, "deploy.run"),
        "--risk": (one.presentation.risk, next(risk for risk in get_args(Risk) if risk != one.presentation.risk)),
        "--approver": ("alice", "dana"),
        "--older": (None, "1h"),
        "--status": ("pending", "approved"),
    }
    for option, (its, another) in keys.items():
        assert its is None or listed(option, its) == [one.id], option
        assert listed(option, another) == [], option
    assert listed(*(word for option, (its, _) in keys.items() if its for word in (option, its))) == [one.id]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--approver", "stranger", "no group and no person 'stranger'"),
        ("--older", "long", "write a duration"),
        ("--status", "open", "'open' is not a valid Status"),
    ],
)
def test_what_no_list_can_be_told_by_is_said(deployment: Server, option: str, value: str, problem: str) -> None:
    result = run("pending", option, value)
    assert (result.exit_code, problem in words(result.stderr)) == (2, True), result.output


@pytest.mark.redis
def test_what_was_kept_aside_is_listed_and_cannot_colour_the_terminal(deployment: Server) -> None:
    async def send(store: RedisStore) -> None:
        async with store.inbox("bot") as inbox:
            await inbox.watch(["payments-bot"], [])
            stream = Keys(0).intake("payments-bot", tool=False)
            for kind, body in ((b"request", b"{"), (b"\x1b[31m", b"[red]\x07\xff")):
                deployment_client.xadd(stream, {b"type": kind, b"body": body})
            for reason in ("malformed", "unsupported"):
                (entry,) = await inbox.take(limit=1, block=1_000)
                await inbox.answer(entry, dead_letter=reason)

    with Redis.from_url(deployment.url) as deployment_client:
        in_redis(deployment, send)
    latest, first = run("dead-letters").stdout.splitlines()
    assert "malformed  request  {" in first
    assert "payments-bot" in latest
    assert "unsupported  \\u{001B}[31m  [red]\\u{0007}" in latest
    assert not set(latest) & {"\x1b", "\x07"}
    (row,) = [json.loads(line) for line in run("dead-letters", "--json", "--most", "1").stdout.splitlines()]
    assert row["reason"] == "unsupported"


@pytest.mark.redis
def test_a_request_is_shown_by_its_id_and_by_its_code(deployment: Server) -> None:
    request = asked(deployment)
    by_id, by_code, by_small_code = (
        run("show", request.id),
        run("show", request.code),
        run("show", request.code.lower()),
    )
    assert by_id.exit_code == 0, by_id.output
    assert by_id.stdout == by_code.stdout == by_small_code.stdout
    for part in (request.id, request.code, "amount = 12400.00", "bank:acme", request.digest, "payments-bot"):
        assert part in by_id.stdout
    assert request.action.nonce not in by_id.stdout


@pytest.mark.redis
def test_hostile_text_cannot_move_the_cursor_or_colour_the_terminal(deployment: Server) -> None:
    request = asked(deployment, target="\x1b[2J[red]x[/red]\u202e\r\n", arguments={"a\x1b[1A": "\x9b31m\n[bold]b"})
    shown = run("show", request.id).stdout
    assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(shown)
    assert "[red]x[/red]" in shown
    assert "\x1b" not in run("pending").stdout


@pytest.mark.redis
@pytest.mark.parametrize("wanted", ["7F3K-9Q", "0-aaaaaaaaaaaaaaaaaaaaaaaa", "99-" + "a" * 24, "x", "[red]"])
def test_what_nobody_asked_is_not_found(deployment: Server, wanted: str) -> None:
    result = run("show", wanted)
    assert result.exit_code == 2
    assert "there is no request" in result.stderr
    assert "`python -m bot pending` lists what waits" in words(result.stderr)


# ------------------------------------------------------------ audit


@pytest.mark.redis
def test_an_unbroken_journal_is_verified_and_what_is_not_sealed_yet_is_said(deployment: Server) -> None:
    asked(deployment)
    sealed(deployment)
    asked(deployment)
    result = run("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "3 entries, unbroken; sealed up to 2, 1 not sealed yet" in words(result.stdout)


@pytest.mark.redis
def test_a_broken_journal_fails_and_says_where(deployment: Server) -> None:
    asked(deployment)
    asked(deployment)
    sealed(deployment)
    deployment.command("XDEL", "{sayso:0}:journal", "2-0")
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert "entry 2: missing or out of order" in words(result.stdout)


@pytest.mark.redis
def test_a_redis_that_was_emptied_fails_as_rolled_back_and_stays_empty(deployment: Server) -> None:
    asked(deployment)
    sealed(deployment)
    deployment.command("FLUSHALL")
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert "rolled back: entries up to 2 were sealed, 0 are left" in words(result.stdout)
    assert deployment.command("DBSIZE") == ":0\r\n"


@pytest.mark.redis
def test_a_forged_head_fails(deployment: Server) -> None:
    asked(deployment)
    sealed(deployment)
    with load().heads.open("a") as heads:
        heads.write("e30.e30.e30\n")
    result = run("audit", "verify")
    assert result.exit_code == 2
    assert "heads.jsonl:2: this head was not signed by our key" in words(result.stderr)


@pytest.mark.redis
def test_an_export_is_verified_without_redis(deployment: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(deployment)
    sealed(deployment)
    export = run("audit", "export")
    assert export.exit_code == 0
    assert "2 entries" in export.stderr
    (folder / "journal.jsonl").write_text(export.stdout)
    monkeypatch.setenv("SAYSO_REDIS_URL", "redis://127.0.0.1:1/0")
    assert run("audit", "verify", "--export", "journal.jsonl").exit_code == 0
    (folder / "journal.jsonl").write_text(export.stdout.replace("pending", "approved"))
    assert run("audit", "verify", "--export", "journal.jsonl").exit_code == 1
    (folder / "journal.jsonl").write_text("rubbish\n")
    assert run("audit", "verify", "--export", "journal.jsonl").exit_code == 2


@pytest.mark.redis
def test_an_auditor_needs_no_private_key_but_the_right_public_ones(deployment: Server, folder: Path) -> None:
    asked(deployment)
    sealed(deployment)
    settings = load()
    settings.signing_key.unlink()
    theirs = settings.trust.rename(folder / "theirs.json")
    assert run("audit", "verify", "--trust", "theirs.json").exit_code == 0
    missing = run("audit", "verify")
    assert missing.exit_code == 2
    assert "name the bot's with --trust" in words(missing.stderr)
    stranger = FileSigner(create_key(folder / "stranger.pem"))
    write_trust(theirs, stranger.trust(settings.issuer))
    refused = run("audit", "verify", "--trust", "theirs.json")
    assert refused.exit_code == 2
    assert "heads.jsonl:1: this head was not signed by our key" in words(refused.stderr)
    theirs.write_text('{"keys": [{"kid": "x", "kty": "oct"}]}')
    assert "is not a trust document" in words(run("audit", "verify", "--trust", "theirs.json").stderr)


def test_a_signing_key_is_changed_and_the_journal_that_both_sealed_is_unbroken(deployment: Server) -> None:
    def seal_anew() -> str:
        async def seal(store: RedisStore) -> str:
            settings = load()
            signer = await signer_for(settings, store)
            await store.note({"event": "x"})
            write_trust(settings.trust, signer.trust(settings.issuer))
            await Sealer(store, signer, HeadsFile(settings.heads), issuer=settings.issuer).step()
            return signer.kid

        return in_redis(deployment, seal)

    old = seal_anew()
    made = run("keys", "rotate")
    assert made.exit_code == 0, made.output
    assert f"{old}  signs" in run("keys", "list").output
    too_early = run("keys", "switch")
    assert (too_early.exit_code, "wait" in too_early.output) == (2, True)
    assert run("keys", "switch", "--at-once").exit_code == 0
    new = seal_anew()
    assert f"made {new}" in made.output
    assert run("keys", "retire", new).exit_code == 2
    assert "good for 0 s more" in run("keys", "retire", "--at-once", old).output
    assert seal_anew() == new
    listed = run("keys", "list").output.splitlines()
    assert sorted(listed) == sorted([f"{old}  retired", f"{new}  signs"])
    verified = run("audit", "verify")
    assert verified.exit_code == 0, verified.output
    assert "unbroken" in verified.output


def test_another_format_is_none(policy: Path) -> None:
    result = run("audit", "export", "--format", "csv")
    assert result.exit_code == 2
    assert "there is no format 'csv'; jsonl is" in words(result.stderr)


# ------------------------------------------------------------ doctor


@pytest.mark.redis
def test_the_doctor_exits_by_what_it_found(deployment: Server, folder: Path) -> None:
    well = run("doctor")
    assert well.exit_code == 0, well.output
    assert "warning Slack is off" in words(well.stdout)
    (folder / "policy.yaml").write_text("version: 7\n")
    ill = run("doctor")
    assert ill.exit_code == 1
    assert "problem" in ill.stdout
    assert "`policy check` tells when it is sound" in words(ill.stdout)
