"""The commands about the policy file: is it sound, what does it say of a request, does it still say what it should."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from approvals.errors import EntryRefused, PolicyInvalid
from bot import initial, policy_cases, policy_diff, policy_words
from bot.people_now import people_now
from bot.questions import QuestionInvalid, past_requests, question_in
from bot.terminal import err, fail, out, policy_at, run, settings

policy_app = typer.Typer(no_args_is_help=True, help="Check, explain, test and compare policies.")

_File = Annotated[Path | None, typer.Option("--policy", exists=True, dir_okay=False, help="The policy; the settings'.")]


@policy_app.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="The policy; the settings' by default.")] = None,
) -> None:
    """Check a policy file, and say what it comes to."""
    path = file or settings().policy
    policy = policy_at(path)
    examples = initial.placeholders(path.read_text(encoding="utf-8"))
    warnings = [f"{', '.join(examples)}: placeholders; put your own ids in their place"] if examples else []
    for warning in (*warnings, *policy.warnings):
        err.print(f"[yellow]{escape(f'{path}: {warning}')}[/]", soft_wrap=True)
    out.print(
        f"{escape(str(path))} is sound: {len(policy.agents)} agents, {len(policy.audiences)} tools,"
        f" {policy.digest[:19]}…"
    )
    for remark in policy.remarks:
        out.print(escape(f"  {remark}"), soft_wrap=True)


@policy_app.command("explain")
def explain(
    request: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A request, as an agent sends it.")],
    agent: Annotated[str, typer.Option(help="Who asks; an `agent` in the file otherwise.")] = "",
    policy: _File = None,
    ask: Annotated[bool, typer.Option(help="Ask chat, Entra, on-call services and Redis who may answer now.")] = True,
) -> None:
    """Say what the policy makes of a request: every rule with why it counts or not, what is demanded, and of whom."""
    found = policy_at(policy or settings().policy)
    try:
        question = question_in(request.read_text(encoding="utf-8"), found, agent, int(time.time() * 1000))
    except EntryRefused as refusal:
        out.print(escape(policy_words.refused(refusal)), soft_wrap=True)
        raise typer.Exit(1) from refusal
    except QuestionInvalid as exc:
        fail(f"{request}: {exc}", f"a whole request: {policy_words.example(found)}")
    explanation = found.explain(question)
    out.print(escape(policy_words.explained(question, explanation)), soft_wrap=True)
    if explanation.terms.verdict == "require":
        kind = question.action.kind
        words = people_now(explanation.terms, found, settings() if ask else None, kind)
        out.print(escape(run(words)), soft_wrap=True)


@policy_app.command("test")
def try_cases(
    cases: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Files of cases.")],
    policy: _File = None,
) -> None:
    """Try a policy on cases: what is asked, and what it must come to. The exit code is 1 when one fails."""
    failed = 0
    for path in cases:
        try:
            results = run(policy_cases.tried(path, policy))
        except PolicyInvalid as exc:
            fail(*exc.problems)
        for result in results:
            colour, word = ("red", "fails") if result.problems else ("green", "holds")
            out.print(f"[{colour}]{word}[/]  {escape(result.name)}", soft_wrap=True)
            for problem in result.problems:
                out.print(f"       {escape(problem)}", soft_wrap=True)
        failed += sum(bool(result.problems) for result in results)
        out.print(f"{escape(str(path))}: {len(results)} cases")
    if failed:
        raise typer.Exit(1)


@policy_app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The policy as it is.")],
    new: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The policy as it would be.")],
    against: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="An exported journal, or requests as JSON lines; else Redis'."),
    ] = None,
) -> None:
    """Show which past requests would go otherwise under another policy.

    A journal names requests and holds no arguments: those are read from Redis, as long as it keeps them.
    """
    before, after = policy_at(old), policy_at(new)
    try:
        past = run(past_requests(against.read_text(encoding="utf-8") if against else None, settings))
    except QuestionInvalid as exc:
        fail(f"{against}: {exc}")
    for line in policy_diff.report(before, after, past):
        out.print(escape(line), soft_wrap=True)
