"""The command `sayso`: ask from a shell, wait, and run a command only on a yes.

    sayso ask payments.release --agent payments-bot --target bank:acme --arg amount=12400.00 --because "matches PO 118"
    sayso ask deploy.production --agent deploy-bot --target api --arg commit=4f2a91c -- ./deploy.sh
    sayso wait 0-abcdefghijklmnopqrstuvwx --agent payments-bot

Exit codes: 0 approved (with a command: the command's own), 1 denied, 2 wrong usage or refused, 3 expired or withdrawn,
4 unavailable or still pending, 5 approved but no longer usable (revoked, lapsed, used, receipt invalid).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sayso.client import Approval, Decision, Sayso, ended_as
from sayso.errors import (
    Denied,
    Expired,
    InvalidRequest,
    NotApproved,
    NotDone,
    ReceiptInvalid,
    Refused,
    SaysoError,
    StillPending,
    TrustError,
    Unavailable,
    Withdrawn,
)

APPROVED, DENIED, USAGE, ENDED, UNAVAILABLE, UNUSABLE = range(6)
NOT_STARTED = 127  #: as shells have it
_TOLD = ("request", "reason", "changes", "field", "remedy", "retry_after")  #: what --json says of an error, where known

#: the first that fits
_EXITS: list[tuple[type[SaysoError], int]] = [
    (Denied, DENIED),
    (Expired, ENDED),
    (Withdrawn, ENDED),
    (StillPending, UNAVAILABLE),
    (Unavailable, UNAVAILABLE),
    (InvalidRequest, USAGE),
    (Refused, USAGE),
    (TrustError, USAGE),
    (ReceiptInvalid, UNUSABLE),
    (NotApproved, UNUSABLE),
    (NotDone, NOT_STARTED),
]


class Failed(Exception):
    """The command ended with this code and may have done some of its work: carried out of `spend`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the command ended with {code}")
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words, command = _split(list(sys.argv[1:] if argv is None else argv))
    options = _parser().parse_args(words)
    options.command = command
    try:
        return asyncio.run(_WORK[options.work](options))
    except Failed as exc:
        return exc.code
    except SaysoError as exc:
        _print_error(exc, as_json=options.json)
        return exit_code(exc)
    except KeyboardInterrupt:
        return 130


def exit_code(error: SaysoError) -> int:
    """The exit code for an error."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), UNAVAILABLE)


async def _ask(options: argparse.Namespace) -> int:
    async with _connect(options) as client:
        pending = await client.ask_nowait(
            options.kind,
            target=options.target,
            arguments=_arguments(options),
            call=options.call,
            because=options.because,
            within=options.within,
            principal=options.principal,
            audience=options.audience,
            supersedes=options.supersedes,
            cancel_on_disconnect=options.cancel_on_disconnect,
        )
        if options.nowait:
            _print({"request": pending.request, "call": pending.call}, pending.request, options)
            return APPROVED
        if not options.json:
            sys.stderr.write(f"waiting for people to answer {pending.request}\n")
        approval = await pending.decision(options.timeout)
        if options.command:
            return await _run(approval, options.command)
        _print(_approval(approval), f"approved by {', '.join(map(str, approval.by))}", options)
        return APPROVED


async def _wait(options: argparse.Namespace) -> int:
    async with _connect(options) as client:
        decision = await client.decision_of(options.request, timeout=options.timeout)
    _print(_decision(decision), f"{decision.status} by {', '.join(map(str, decision.by)) or 'nobody'}", options)
    return APPROVED if decision.status == "approved" else exit_code(ended_as(decision.status))


_WORK: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, int]]] = {"ask": _ask, "wait": _wait}


async def _run(approval: Approval, command: list[str]) -> int:
    """Run the command on the approved action; another exit code than 0 may mean that it was partly done: unknown."""
    async with approval.spend() as action:
        environment = {**os.environ, "SAYSO_ACTION": json.dumps(action.document(), ensure_ascii=False)}
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except OSError as exc:
            raise NotDone(f"{command[0]} cannot be started: {exc.strerror}") from exc
        code = await process.wait()
        if code != 0:
            raise Failed(code if code > 0 else 128 - code)
    return 0


def _connect(options: argparse.Namespace) -> Sayso:
    if options.url is None:
        raise InvalidRequest("no Redis to ask through", field="url", remedy="pass --url or set SAYSO_REDIS_URL")
    return Sayso.connect(options.url, agent=options.agent, trust=options.trust, issuer=options.issuer)


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    arguments = dict(_pair(pair, "--arg") for pair in options.arg)
    for pair in options.arg_json:
        name, value = _pair(pair, "--arg-json")
        try:
            arguments[name] = json.loads(value)
        except ValueError as exc:
            raise InvalidRequest(f"{name} is not JSON", field="--arg-json", remedy="quote it for the shell") from exc
    return arguments


def _pair(pair: str, option: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise InvalidRequest(f"{pair!r} is not NAME=VALUE", field=option, remedy="write it like amount=12400.00")
    return name, value


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "status": "approved",
        "request": approval.request,
        "call": approval.call,
        "action": approval.action.document(),
        "audience": approval.audience,
        "by": [by.model_dump(exclude_none=True) for by in approval.by],
        "decided_at": approval.decided_at,
        "use_by": approval.use_by,
        "receipt": approval.receipt,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "status": decision.status,
        "request": decision.request,
        "by": [by.model_dump(exclude_none=True) for by in decision.by],
        "decided_at": decision.decided_at,
        "reason": decision.reason,
        "changes": decision.changes,
        "use_by": decision.use_by,
    }


def _print(document: dict[str, Any], sentence: str, options: argparse.Namespace) -> None:
    sys.stdout.write((json.dumps(document, ensure_ascii=False) if options.json else sentence) + "\n")


def _print_error(error: SaysoError, *, as_json: bool) -> None:
    if as_json:
        document = {"error": type(error).__name__, "message": str(error)}
        document |= {name: getattr(error, name) for name in _TOLD if getattr(error, name, None) is not None}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"sayso: {error}\n")


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and the command after it."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sayso", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="work", required=True)
    ask = commands.add_parser("ask", help="ask for one action; with -- COMMAND, run it on a yes")
    ask.add_argument("kind", help="the kind of action, like payments.release")
    ask.add_argument("--target", required=True, help="who or what it is done to")
    ask.add_argument("--arg", action="append", default=[], metavar="NAME=TEXT", help="an argument that is text")
    ask.add_argument("--arg-json", action="append", default=[], metavar="NAME=JSON", help="an argument that is JSON")
    ask.add_argument("--because", help="the agent's words, shown to people")
    ask.add_argument("--within", help="give up after this long, like 30m")
    ask.add_argument("--call", help="this step of this run; asking again with it joins the same request")
    ask.add_argument("--principal", help="for whom the agent acts")
    ask.add_argument("--audience", help="the tool that will check the receipt")
    ask.add_argument("--supersedes", metavar="REQUEST", help="the denied request that this one answers")
    ask.add_argument("--cancel-on-disconnect", action="store_true", help="take it back when this command is gone")
    ask.add_argument("--nowait", action="store_true", help="print the request id and go")
    wait = commands.add_parser("wait", help="wait for what was decided about a request")
    wait.add_argument("request", help="the request id")
    for command in (ask, wait):
        _common(command)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agent", required=True, help="the agent's registered name")
    parser.add_argument("--url", default=os.environ.get("SAYSO_REDIS_URL"), help="Redis (or SAYSO_REDIS_URL)")
    parser.add_argument(
        "--trust", default=os.environ.get("SAYSO_TRUST"), help="JWKS file or https URL (or SAYSO_TRUST)"
    )
    parser.add_argument("--issuer", default=os.environ.get("SAYSO_ISSUER"), help="pin the issuer (or SAYSO_ISSUER)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop waiting; the request lives on")
    parser.add_argument("--json", action="store_true", help="print JSON")


if __name__ == "__main__":
    raise SystemExit(main())
