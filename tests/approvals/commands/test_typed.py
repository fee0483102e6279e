"""What people type is read as it was meant, or they are told how it is written."""

from __future__ import annotations

import pytest

from approvals.care import Hours
from approvals.commands import typed
from approvals.commands.typed import Misunderstood, Which, parse

ID = "0-" + "a" * 24


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", typed.Help()),
        ("  HELP ", typed.Help()),
        ("pending", typed.Pending(Which())),
        ("pending mine kind:payments.* OVERDUE", typed.Pending(Which(mine=True, kind="payments.*", overdue=True))),
        (f"pending channel agent:payments-bot after:1780000000000-{ID}",
         typed.Pending(Which(here=True, agent="payments-bot", after=f"1780000000000-{ID}"))),
        ("history mine", typed.History(Which(mine=True))),
        ("show 7f3k9q", typed.Show("7F3K-9Q")),
        ("show OIL0-1a", typed.Show("0110-1A")),
        (f"show {ID}", typed.Show(ID)),
        ("retract 7F3K-9Q", typed.Retract("7F3K-9Q")),
        ("extend 7F3K-9Q 30m", typed.Extend("7F3K-9Q", 1_800_000)),
        ("revoke 7F3K-9Q the vendor  was hacked", typed.Revoke("7F3K-9Q", "the vendor was hacked")),
        ("revoke 7F3K-9Q --sure hacked", typed.Revoke("7F3K-9Q", "hacked", sure=True)),
        ("resolve 7F3K-9Q FAILED", typed.Resolve("7F3K-9Q", "failed")),
        ("freeze agent payments-bot it lies", typed.Freeze("agent", "payments-bot", "it lies")),
        ("freeze all --sure an incident", typed.Freeze("all", "", "an incident", sure=True)),
        ("unfreeze kind payments.*", typed.Unfreeze("kind", "payments.*")),
        ("unfreeze", typed.Frozen()),
        ("why 7F3K-9Q", typed.Why("7F3K-9Q")),
        ("report 7F3K-9Q a new account", typed.Report("7F3K-9Q", "a new account")),
        ("break-glass 7F3K-9Q --saw:0abc now", typed.BreakGlass("7F3K-9Q", "now", "0abc")),
        ("review 7F3K-9Q all well", typed.Review("7F3K-9Q", "all well")),
        ("delegate slack:T:U until 3 days", typed.Delegate("slack:T:U", "3 days")),
        ("delegate bob UNTIL friday for payments.*, deploy.run",
         typed.Delegate("bob", "friday", ("payments.*", "deploy.run"))),
        ("delegations", typed.Delegations()),
        ("undelegate d-1", typed.Undelegate("d-1")),
        ("link", typed.Link()),
        ("quiet", typed.Quiet()),
        ("quiet off", typed.Quiet(off=True)),
        ("quiet 22:00-7:30 Europe/Berlin", typed.Quiet(Hours(begin=1320, end=450, zone="Europe/Berlin"))),
        ("link ABCDE-FGHIJ", typed.Link("ABCDE-FGHIJ")),
        ("link confirm teams:t:o", typed.Confirm("teams:t:o")),
        ("unlink teams:t:o", typed.Unlink("teams:t:o")),
    ],
)  # fmt: skip
def test_a_command_is_read(text: str, command: object) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "near", "usage"),
    [
        ("pendign", "pending", ""),
        ("xyzzy", "", ""),
        ("pending mien", "mine", "pending"),
        ("pending agent:", "agent:", "pending"),
        ("pending after:yesterday", "", "pending"),
        ("history overdue", "", "history"),
        ("show", "", "show"),
        ("show me the money", "", "show"),
        ("show 7F3K-9Q now", "", "show"),
        ("extend 7F3K-9Q a while", "", "extend"),
        ("extend 7F3K-9Q", "", "extend"),
        ("resolve 7F3K-9Q succeded", "succeeded", "resolve"),
        ("freeze payments-bot", "", "freeze"),
        ("freeze agent", "", "freeze"),
        ("freeze agent --sure", "", "freeze"),
        (f"freeze agent {'x' * 129}", "", "freeze"),
        ("unfreeze kind {payments}", "", "unfreeze"),
        ("unfreeze everything", "", "unfreeze"),
        ("delegate bob", "", "delegate"),
        ("delegate until friday", "", "delegate"),
        ("delegate bob until", "", "delegate"),
        ("delegate bob until friday for", "", "delegate"),
        ("undelegate", "", "undelegate"),
        ("quiet at night", "", "quiet"),
        ("quiet 24:00-07:00", "", "quiet"),
        ("quiet 22:00-07:00 <b>", "", "quiet"),
        ("unlink", "", "unlink"),
        ("link a b", "", "link"),
    ],
)
def test_what_is_no_command_says_what_may_be_meant(text: str, near: str, usage: str) -> None:
    wrong = parse(text)
    assert isinstance(wrong, Misunderstood)
    assert (wrong.near, wrong.usage) == (near, usage)


def test_every_command_that_can_be_typed_is_explained() -> None:
    assert typed.USAGE.keys() == typed.PARSERS.keys()


def test_a_reason_is_kept_up_to_its_limit() -> None:
    command = parse("revoke 7F3K-9Q " + "x" * 900)
    assert isinstance(command, typed.Revoke)
    assert len(command.reason) == typed.REASON


def test_the_words_of_a_list_are_read_as_the_same_list() -> None:
    which = Which(mine=True, here=True, agent="payments-bot", kind="payments.*", overdue=True)
    assert parse(f"pending {which.words}") == typed.Pending(which)
