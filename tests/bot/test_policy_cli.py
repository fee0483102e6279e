"""The commands about policies as their author types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from approvals.action import request_id
from approvals.lifecycle import Status
from approvals.request import Spend
from bot.cli import app
from bot.policies import read_policy
from bot.settings import load
from bot.signing import create_key
from storage.redis import RedisStore
from tests.approvals.make import MINUTE, a_question, account
from tests.build import AGENT, DIGEST, NOW, a_change, a_document, a_request, an_action, policy_mapping
from tests.repository.files import ROOT
from tests.servers import Server

SCENES = ROOT / "examples/policies/five-scenes.yaml"
LARGE = {
    "id": "large",
    "match": {"arguments": {"amount": {">": "10000"}}},
    "factors": [{"from": ["finance"], "approvals": 2}],
}


def run(*arguments: object) -> Result:
    """One command."""
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def words(result: Result) -> str:
    """What it printed, without the line ends that depend on the terminal's width."""
    return " ".join(result.output.split())


def a_policy_in(folder: Path, name: str = "policy.yaml", **sections: Any) -> Path:
    """A policy file."""
    path = folder / name
    path.write_text(yaml.safe_dump(policy_mapping(**sections), sort_keys=False))
    return path


def a_question_in(folder: Path, **arguments: Any) -> Path:
    """A request as its agent sends it, and who that is."""
    path = folder / "request.json"
    document = a_document(action=an_action(arguments=arguments)).model_dump(exclude_none=True)
    path.write_text(json.dumps(document | {"agent": AGENT}))
    return path


# -- check --------------------------------------------------------------------------------------------------------


def test_a_problem_names_the_file_the_line_the_key_and_the_nearest_right_one(folder: Path) -> None:
    path = folder / "policy.yaml"
    path.write_text(SCENES.read_text().replace("    min_look: 10s", "    min_lok: 10s"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "min_lok" in text)
    found = run("check", path)
    assert found.exit_code == 2
    assert f"{path}:{line}: rules.4.min_lok: there is no such key; did you mean 'min_look'?" in words(found)


def test_a_problem_of_meaning_names_the_line_too(folder: Path) -> None:
    path = folder / "policy.yaml"
    path.write_text(SCENES.read_text().replace("from: [data-owners]", "from: [data-owner]"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "data-owner]" in text)
    said = f"{path}:{line}: rules.exports.factors: there is no group 'data-owner' (did you mean 'data-owners'?)"
    assert said in words(run("check", path))


def test_a_time_zone_that_does_not_exist_is_a_problem(folder: Path) -> None:
    quiet = {"from": "22:00", "to": "07:00", "zone": "Europe/Berlim"}
    path = a_policy_in(folder, attention={"quiet_hours": quiet})
    found = run("check", path)
    assert found.exit_code == 2
    assert "attention.quiet_hours.zone: there is no time zone 'Europe/Berlim'" in words(found)


def test_a_pattern_that_no_listed_kind_is_like_is_a_warning(folder: Path) -> None:
    found = run("check", a_policy_in(folder, rules=[{"id": "a", "match": {"kind": ["payment.*"]}}]))
    assert found.exit_code == 0
    assert "rules.a: no listed kind is like 'payment.*'; list the kinds it is for under kinds" in words(found)


def test_check_says_which_rules_loosen_and_what_is_asked_for_in_sum(folder: Path) -> None:
    groups = policy_mapping()["groups"] | {"leads": {"people": ["bob"]}}
    own = {"id": "own", "match": {"target": ["own:*"]}, "effect": "allow", "exempts": ["defaults"]}
    path = a_policy_in(folder, groups=groups, rules=[own, {"id": "both", "factors": [{"from": ["leads"]}]}])
    found = run("check", path)
    assert found.exit_code == 0
    assert "defaults: not demanded where own applies for certain (exempts)" in words(found)
    assert "rules.both asks, with the defaults, for 1 of leads and 1 of finance; to have it as it stands" in words(
        found
    )


def test_check_names_the_ids_that_init_or_the_documents_wrote(folder: Path) -> None:
    CliRunner().invoke(app, ["init", "."])
    found = run("check", "policy.yaml")
    assert found.exit_code == 0
    said = "C0000000000, T0000000000, U0000000001, U0000000002: placeholders; put your own ids in their place"
    assert f"policy.yaml: {said}" in words(found)
    groups = {"finance": {"slack_usergroup": "S0123ONCALL"}}
    assert "S0123ONCALL: placeholders" in words(run("check", a_policy_in(folder, groups=groups)))


def test_check_takes_no_real_id_for_a_placeholder(folder: Path) -> None:
    people = {"alice": {"accounts": ["slack:T0A1B2C3D4:U0123AB9DEF"]}, "bob": {"accounts": ["slack:T0A1B2C3D4:U0"]}}
    path = a_policy_in(folder, people={**policy_mapping()["people"], **people})
    path.write_text(f"{path.read_text()}# such as U0123ALICE\n")
    assert "placeholders" not in words(run("check", path))


# -- explain ------------------------------------------------------------------------------------------------------


def test_explain_prints_every_rule_what_is_demanded_and_of_whom(folder: Path) -> None:
    other = {"id": "other", "match": {"agent": ["export-bot"]}, "effect": "deny"}
    path = a_policy_in(folder, rules=[LARGE, other])
    found = run("explain", a_question_in(folder, amount="12400.00"), "--policy", path, "--no-ask")
    assert found.exit_code == 0, found.output
    for said in (
        "for dana: people are asked",
        "large: counts: all of it matches",
        "other: does not count: its agent is not export-bot",
        "defaults: counts: no rule exempts from them",
        "2 of person:alice, person:bob (finance)",
        "never counts dana",
        "right now finance alice, bob",
    ):
        assert said in words(found), said
    assert "12400" not in found.output


def test_explain_shows_a_whole_request_to_whoever_gives_a_part_of_one(folder: Path) -> None:
    (folder / "request.json").write_text('{"agent": "payments-bot", "action": {"kind": "payments.release"}}')
    found = run("explain", folder / "request.json", "--policy", a_policy_in(folder), "--no-ask")
    assert found.exit_code == 2
    assert "not a request: v: this member is missing" in words(found)
    (folder / "request.json").write_text(found.stderr.partition("a whole request: ")[2])
    assert run("explain", folder / "request.json", "--policy", a_policy_in(folder), "--no-ask").exit_code == 0


def test_the_request_of_the_documents_is_whole(folder: Path) -> None:
    document = (ROOT / "docs/how-to/write-a-policy.md").read_text().partition("```json\n")[2].partition("```")[0]
    (folder / "request.json").write_text(document)
    assert run("explain", folder / "request.json", "--policy", a_policy_in(folder), "--no-ask").exit_code == 0


def test_explain_says_what_would_be_refused_and_what_to_do(folder: Path) -> None:
    request = a_question_in(folder)
    found = run("explain", request, "--agent", "stranger", "--policy", a_policy_in(folder), "--no-ask")
    assert found.exit_code == 1
    assert "not accepted (unknown_agent)" in words(found)
    assert "under agents add: stranger" in words(found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 1, "agent": "payments-bot"}', '{"terms": 7}'])
def test_explain_says_what_is_wrong_with_a_file(folder: Path, text: str) -> None:
    (folder / "request.json").write_text(text)
    found = run("explain", folder / "request.json", "--policy", a_policy_in(folder), "--no-ask")
    assert found.exit_code == 2
    assert "request.json: " in words(found)


# -- test ---------------------------------------------------------------------------------------------------------


def test_cases_that_hold_end_with_nought() -> None:
    found = run("test", SCENES.with_name("five-scenes.cases.yaml"))
    assert found.exit_code == 0, found.output
    assert "fails" not in found.output


def test_a_case_that_fails_says_what_was_expected_and_what_came(folder: Path) -> None:
    a_policy_in(folder, rules=[LARGE])
    expect = {
        "verdict": "allow",
        "factors": {"finance": 1},
        "enough": [["alice"], ["alice", "dana"]],
        "not_enough": [["alice", "bob"]],
    }
    ask = {"agent": AGENT, "kind": "payments.release", "arguments": {"amount": "12400.00"}}
    (folder / "cases.yaml").write_text(yaml.safe_dump({"cases": [{"name": "one", "ask": ask, "expect": expect}]}))
    found = run("test", folder / "cases.yaml")
    assert found.exit_code == 1
    for said in (
        "verdict should be allow, and is require",
        "factors should be finance 1, and is finance 2",
        "alice should be enough: finance has 1 of 2",
        "dana: This was asked by you",
        "alice and bob should not be enough",
    ):
        assert said in words(found), said


def test_a_file_of_cases_is_read_as_strictly_as_a_policy(folder: Path) -> None:
    (folder / "cases.yaml").write_text("cases:\n- name: one\n  ask: {agent: a, kind: b.c}\n  expect: {verdikt: deny}\n")
    found = run("test", folder / "cases.yaml", "--policy", a_policy_in(folder))
    assert found.exit_code == 2
    assert "cases.yaml:4: cases.0.expect.verdikt: there is no such key; did you mean 'verdict'?" in words(found)


PAID = {
    "payments.release": policy_mapping()["kinds"]["payments.release"]
    | {"money": {"amount": "amount", "currency": "currency"}}
}
MUCH = {"id": "much", "match": {"kind": ["payments.*"]}, "factors": [{"from": ["finance"], "approvals": 2}]}


def much(limit: int) -> dict[str, Any]:
    """A rule about what an agent pays in a day."""
    return MUCH | {"when": f'window_sum("amount", "24h") > money("{limit}")'}


def a_case(rules: list[str], *earlier: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One that pays 4,000 after what was paid earlier."""
    ask = {"agent": AGENT, "kind": "payments.release", "arguments": {"amount": "4000", "currency": "EUR"}}
    return {"name": "one", "ask": ask, "earlier": list(earlier), "expect": {"rules": [*rules, "defaults"]}} | changes


@pytest.mark.parametrize(
    ("earlier", "rules"),
    [
        ([], []),
        ([{"ago": "1h"}], []),
        ([{"ago": "1h", "times": 2}], ["much"]),
        ([{"ago": "1h"}, {"ago": "25h", "times": 9}], []),
        ([{"ago": "1h", "times": 9, "arguments": {"amount": "4000", "currency": "USD"}}], []),
        ([{"ago": "23h", "arguments": {"amount": "6000.01", "currency": "EUR"}}], ["much"]),
    ],
)
def test_a_case_says_what_was_asked_earlier(folder: Path, earlier: list[dict[str, Any]], rules: list[str]) -> None:
    a_policy_in(folder, kinds=PAID, rules=[much(10_000)])
    (folder / "cases.yaml").write_text(yaml.safe_dump({"cases": [a_case(rules, *earlier)]}))
    found = run("test", folder / "cases.yaml")
    assert found.exit_code == 0, found.output


def test_owner_and_stand_in_are_one_in_a_case(folder: Path) -> None:
    people = policy_mapping()["people"] | {"erin": {"accounts": [account("erin").id]}}
    a_policy_in(folder, people=people, rules=[MUCH], roles={"delegate": ["finance"]})
    expect = {"enough": [["erin", "bob"], ["alice", "bob"]], "not_enough": [["erin", "alice"], ["erin"]]}
    case = a_case(["much"], seats=[{"of": "alice", "to": "erin"}], expect=expect)
    (folder / "cases.yaml").write_text(yaml.safe_dump({"cases": [case]}))
    found = run("test", folder / "cases.yaml")
    assert found.exit_code == 0, found.output


# -- diff ---------------------------------------------------------------------------------------------------------


def past(folder: Path, *lines: dict[str, Any]) -> Path:
    """A file of requests."""
    path = folder / "past.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def as_sent(amount: str) -> dict[str, Any]:
    """A request as its agent sent it."""
    document = a_document(action=an_action(arguments={"amount": amount})).model_dump(exclude_none=True)
    return document | {"agent": AGENT}


def test_diff_shows_which_past_requests_would_go_otherwise_and_how(folder: Path) -> None:
    rules = [{"id": "all", "match": {"kind": ["payments.*"]}, "factors": [{"from": ["finance"]}]}]
    old, new = a_policy_in(folder, "old.yaml", rules=rules), a_policy_in(folder, "new.yaml", rules=[*rules, LARGE])
    kept = json.loads(a_request(action=an_action(arguments={"amount": "50000"})).model_dump_json())
    against = past(folder, as_sent("12400.00"), as_sent("5"), kept)
    found = words(run("diff", old, new, "--against", against))
    assert f"{AGENT}: stricter" in found
    assert "- asks 1 of person:alice, person:bob (finance)" in found
    assert "+ asks 2 of person:alice, person:bob (finance)" in found
    assert "3 requests: 2 stricter, 0 looser, 0 different, 1 as before" in found
    assert "3 requests: 0 stricter, 2 looser, 0 different, 1 as before" in words(
        run("diff", new, old, "--against", against)
    )


def test_diff_tells_of_requests_that_would_not_be_accepted_any_more(folder: Path) -> None:
    agents = policy_mapping()["agents"]
    fewer = {AGENT: agents[AGENT] | {"kinds": ["reports.*"]}}
    old, new = a_policy_in(folder, "old.yaml"), a_policy_in(folder, "new.yaml", agents=fewer)
    found = words(run("diff", old, new, "--against", past(folder, as_sent("1"))))
    assert "+ not accepted: kind_not_allowed" in found
    assert "1 requests: 1 stricter" in found


@pytest.mark.redis
def test_diff_finds_the_requests_of_an_exported_journal_in_redis(
    redis: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAYSO_REDIS_URL", redis.url)
    create_key(load().signing_key)
    asyncio.run(_ask_twice(redis))
    old, new = a_policy_in(folder), a_policy_in(folder, "new.yaml", rules=[LARGE])
    journal = folder / "journal.jsonl"
    assert CliRunner().invoke(app, ["audit", "export", "--to", str(journal)]).exit_code == 0
    everything = words(run("diff", old, new))
    assert "2 requests: 1 stricter, 0 looser, 0 different, 1 as before" in everything
    assert words(run("diff", old, new, "--against", journal)) == everything
    with journal.open("a") as file:
        gone = {"event": "asked", "from": None, "request": request_id(AGENT, "long/ago", 1)}
        file.write(json.dumps({"record": json.dumps(gone)}) + "\n")
    assert "1 more are kept no longer and could not be judged" in words(run("diff", old, new, "--against", journal))


def paid(number: int, **changes: Any) -> dict[str, Any]:
    """A payment of 4,000 as Redis keeps it, asked at minute `number`."""
    action = an_action(arguments={"amount": "4000", "currency": "EUR"})
    request = a_request(call=f"pay-{number}", action=action, now=NOW + number * MINUTE, **changes)
    return dict(json.loads(request.model_dump_json()))


def test_diff_works_sums_over_time_out_again_so_that_a_changed_limit_shows(folder: Path) -> None:
    """Of five payments of 4,000 the third and all later ones are beyond 10,000; the fifth alone is beyond 16,000."""
    old = a_policy_in(folder, kinds=PAID, rules=[much(16_000)])
    new = a_policy_in(folder, "new.yaml", kinds=PAID, rules=[much(10_000)])
    against = past(folder, *(paid(number) for number in range(5)))
    found = words(run("diff", old, new, "--against", against))
    assert "5 requests: 2 stricter, 0 looser, 0 different, 3 as before" in found
    assert "5 requests: 0 stricter, 2 looser" in words(run("diff", new, old, "--against", against))


def test_what_came_to_nothing_or_lies_long_back_is_in_no_sum(folder: Path) -> None:
    old = a_policy_in(folder, kinds=PAID, rules=[])
    new = a_policy_in(folder, "new.yaml", kinds=PAID, rules=[much(10_000)])
    denied = a_request().denied_by("x", "", NOW + 3 * MINUTE)
    over = {"status": denied.status, "decision": denied.decision}
    lines = [paid(0), paid(1, **over), paid(2), paid(4), paid(60 * 25)]
    used = paid(0, status=Status.SPENT, decision=denied.decision, spend=Spend(attempt="a", audience=AGENT, at=NOW))
    assert "5 requests: 3 stricter" in words(run("diff", old, new, "--against", past(folder, *lines)))
    lines[0] = used
    assert "5 requests: 3 stricter" in words(run("diff", old, new, "--against", past(folder, *lines)))
    assert "2 requests: 0 stricter" in words(run("diff", old, new, "--against", past(folder, used, paid(60 * 25))))


def test_the_sum_that_was_kept_when_a_request_was_asked_holds(folder: Path) -> None:
    """Others that took part in it may be kept no longer."""
    policy, _ = read_policy(a_policy_in(folder, kinds=PAID, rules=[much(16_000)]))
    action = an_action(arguments={"amount": "4000", "currency": "EUR"})
    (share,) = policy.shares_of(a_question(action=action))
    new = a_policy_in(folder, "new.yaml", kinds=PAID, rules=[much(10_000)])
    against = past(folder, paid(1, sums={share.window: 12_000 * 10**6}))
    assert "1 requests: 1 stricter" in words(run("diff", folder / "policy.yaml", new, "--against", against))


async def _ask_twice(server: Server) -> None:
    """A small payment and a large one."""
    async with await RedisStore.connect(server.url) as store:
        await store.adopt(DIGEST, "version: 1", {"event": "policy"})
        for amount in ("5", "12400.00"):
            request = a_request(now=await store.now(), action=an_action(arguments={"amount": amount}))
            change = a_change(request, record={"event": "asked", "from": None, "request": request.id})
            await store.create(request.id, lambda *_, change=change: change)
