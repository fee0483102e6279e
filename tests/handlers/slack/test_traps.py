"""The traps of slack-bolt and slack-sdk that were found by running them, each with the test that keeps us out of it.

| trap | kept out by |
| --- | --- |
| 1 an acknowledgement is forgotten when its listener raises right after it | test_clicks.py test_a_click_that_cannot_be_stored_is_not_acknowledged |
| 1 the same, of a command | test_command.py test_where_no_modal_can_be_opened_the_person_sees_that_it_failed |
| 1 nothing follows an acknowledgement | test_traps.py test_the_acknowledgement_is_the_last_thing_a_listener_does |
| 2 bolt keeps no reference to lazy work, and hides its errors | test_traps.py test_work_in_the_background_is_kept_logged_and_waited_for |
| 2 no listener of ours is lazy | test_traps.py test_no_listener_is_lazy |
| 3 with process_before_response nothing is cut off after three seconds | test_clicks.py test_a_click_that_takes_too_long_is_not_acknowledged |
| 3 without it a listener that was slow is passed over for the next that matches | test_clicks.py test_a_click_that_outlasts_slacks_patience_is_never_called_outdated |
| 4 an acknowledgement after three seconds is none | test_command.py test_what_takes_longer_than_slack_waits_is_answered_afterwards |
| 5 a malformed timestamp is answered with 500 | test_http.py test_a_malformed_timestamp_is_unauthorised |
| 5 so is a malformed signature | test_http.py test_a_malformed_or_wrong_signature_is_unauthorised |
| 5 an old signature passes for five minutes, no longer | test_http.py test_an_old_or_early_timestamp_is_unauthorised |
| 6 the default retry posts twice when a connection breaks | test_platform.py test_a_connection_that_breaks_after_posting_does_not_post_twice |
| 6 the retry on server errors posts again | test_platform.py test_a_server_error_is_never_tried_again |
| 7 429 is not retried, or sleeps inside the call | test_platform.py test_a_rate_limit_names_slacks_own_time |
| 8 without a session each call opens a connection | test_traps.py test_all_calls_share_connections |
| 8 with one, the client's own time-out is ignored | test_traps.py test_a_call_that_hangs_ends_in_our_time |
| 9 respond() does not raise where the response URL failed | test_clicks.py test_a_whisper_takes_the_other_way_when_the_response_url_is_used_up |
| 10 auth.test is called inside the first click | test_traps.py test_a_click_asks_slack_nothing_about_ourselves |
| 10 a bad token is known only then | test_socket.py test_a_bad_bot_token_is_known_before_anything_starts |
| 11 an unhandled action is an error to the person | test_clicks.py test_an_unknown_button_is_answered_politely |
| 11 an unhandled event is sent again and again | test_http.py test_an_event_nobody_listens_to_is_taken_and_dropped |
| 12 bolt does not look at the clicker's own team | test_clicks.py test_a_stranger_in_a_shared_channel_may_not_answer |
| 13 the SDK sends some reads as GET and some posts with a query | test_traps.py test_reads_by_get_are_understood |
| deadlines: a trigger lives three seconds and is good for one modal | test_clicks.py test_deny_is_said_to_have_failed_when_the_form_cannot_open |
| deadlines: a click is not sent again, so its button stays usable | test_clicks.py test_a_click_that_cannot_be_stored_is_not_acknowledged |
| deadlines: what is sent twice counts once | test_clicks.py test_clicking_twice_counts_once |
| limits: groups are looked up twenty times a minute | test_load.py test_with_a_cold_directory_at_slacks_limits_no_vote_counts_unchecked_and_everybody_is_told |
| limits: a free plan has no groups to look up | test_directory.py test_what_slack_does_not_say_is_not_guessed |
| limits: about one post a second in a channel | test_platform.py test_a_rate_limit_names_slacks_own_time |
| limits: blocks, their texts and the top-level text | test_blocks.py test_slack_accepts_every_card |
| limits: the same of everything we send, with both second opinions | test_emitted.py test_slacks_own_types_take_every_message_and_every_view |
| limits: a modal carries little | test_clicks.py test_the_form_carries_ids_and_nothing_else |
| limits: three modals on top of each other | test_command.py test_a_form_in_a_modal_stands_on_top_of_it |
| limits: an edit without blocks drops them, metadata stays | test_platform.py test_an_update_keeps_the_metadata_and_changes_the_rest |
| limits: a message of rich text stays one (block_mismatch) | test_blocks.py test_slack_accepts_every_card |
| limits: a message is changed where it was posted, never at a person's id | test_platform.py test_a_person_is_a_destination |
| limits: messages that cannot be changed | test_platform.py test_a_message_that_cannot_be_changed_is_a_refusal |
| limits: only members of a channel are told something there | test_clicks.py test_a_whisper_that_the_channel_does_not_take_comes_as_a_direct_message |
| limits: a response URL is good for five answers | test_clicks.py test_a_whisper_takes_the_other_way_when_the_response_url_is_used_up |
| posting: anybody may read metadata | test_platform.py test_a_card_carries_only_its_request_as_metadata |
| posting: history may be read once a minute | test_platform.py test_while_slack_lets_nobody_look_again_it_is_not_said_that_there_is_nothing |
| posting: without the scope there is no history | test_platform.py test_without_the_scope_nothing_is_found_and_nothing_breaks |
| posting: what nobody could find is adopted | test_clicks.py test_a_card_that_a_crash_orphaned_is_adopted_by_its_first_click |
| posting: a file needs membership, whatever a message needs | test_files.py test_where_it_is_refused_the_request_is_answered_all_the_same |
| text: mrkdwn is parsed, and a fence in a value closes ours | test_blocks.py test_untrusted_text_stands_only_in_literal_text_elements |
| text: what cannot be seen turns text around | test_blocks.py test_hidden_characters_are_announced_before_the_arguments |
| text: links in it are unfurled | test_platform.py test_a_card_carries_only_its_request_as_metadata |
| wild: ghosts take clicks (#1940) | test_socket.py test_a_connected_door_says_so_and_counts_its_connections |
| wild: an idle connection hears nothing any more (#1529) | test_socket.py test_a_half_open_connection_is_noticed_and_opened_anew |
| wild: what was in flight when a connection went is lost (#1071) | test_socket.py test_a_connection_that_slack_ends_is_opened_anew_and_clicks_arrive |
| wild: "Session is closed", before 3.47 | test_traps.py test_the_sdk_is_one_that_opens_its_session_anew |
| socket: a bad app token is tried for ever | test_socket.py test_a_bad_app_token_is_a_clear_error |
| socket: so is the eleventh connection | test_socket.py test_the_eleventh_replica_does_not_start_and_is_told_why |
| socket: a half-open connection looks healthy | test_socket.py test_a_half_open_connection_is_noticed_and_opened_anew |
| socket: Slack ends connections | test_socket.py test_a_connection_that_slack_ends_is_opened_anew_and_clicks_arrive |
| socket: the SDK leaves tasks behind | test_socket.py test_closing_leaves_no_task_behind |
"""  # noqa: E501 - a table

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from structlog.testing import LogCapture

from handlers.slack import app
from handlers.slack.api import called
from handlers.slack.blocks import APPROVE
from handlers.slack.errors import ApiSilent
from handlers.tasks import Tasks
from tests.handlers.slack.world import World, a_world
from tests.loopback import served

HERE = Path(__file__).parent
DOOR = Path(app.__file__).parent
ROWS = [line.strip("| ").split(" | ") for line in (__doc__ or "").splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize(("trap", "kept"), ROWS)
def test_every_trap_has_its_test(trap: str, kept: str) -> None:
    file, test = kept.split()
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}, trap


def test_no_trap_is_left_out() -> None:
    parts = {"deadlines:", "limits:", "posting:", "text:", "wild:", "socket:"}
    assert {row[0].split()[0] for row in ROWS} == {*map(str, range(1, 14)), *parts}


def test_the_sdk_is_one_that_opens_its_session_anew() -> None:
    assert tuple(map(int, version("slack_sdk").split(".")[:2])) >= (3, 47)


def listeners() -> Iterator[ast.AsyncFunctionDef]:
    """Every function of the door that acknowledges."""
    for path in DOOR.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and any(one.arg == "ack" for one in node.args.args):
                yield node


def test_the_acknowledgement_is_the_last_thing_a_listener_does() -> None:
    found = list(listeners())
    assert len(found) > 5
    for node in found:
        calls = [
            one for one in ast.walk(node) if isinstance(one, ast.Await) and ast.unparse(one).startswith("await ack(")
        ]
        for call in calls:
            assert isinstance(node.body[-1], ast.Expr), node.name
            assert node.body[-1].value is call, f"{node.name} goes on after its acknowledgement"


def test_no_listener_is_lazy() -> None:
    for path in DOOR.glob("*.py"):
        assert "lazy=" not in path.read_text(encoding="utf-8"), path.name


async def test_work_in_the_background_is_kept_logged_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, done, said = Tasks(), asyncio.Event(), LogCapture()
    monkeypatch.setattr("handlers.tasks.log", structlog.wrap_logger(None, processors=[said]))

    async def works() -> None:
        await asyncio.sleep(0)
        done.set()

    async def fails() -> None:
        raise ZeroDivisionError

    tasks.start(works(), "works")
    tasks.start(fails(), "fails")
    await tasks.drain()
    assert done.is_set()
    assert [type(one["exc_info"]) for one in said.entries if one["task"] == "fails"] == [ZeroDivisionError]


async def test_all_calls_share_connections(http_world: World) -> None:
    seen: set[object] = set()

    async def answer(request: web.Request) -> web.Response:
        seen.add(request.transport)
        return web.json_response({"ok": True})

    async with served([web.route("*", "/api/{method}", answer)]) as url:
        client = http_world.door._client
        client.base_url = f"{url}/api/"
        for _ in range(5):
            await called(client.auth_test())
    assert len(seen) == 1


async def test_a_call_that_hangs_ends_in_our_time(http_world: World) -> None:
    http_world.sandbox.faults.add(method="auth.test", hang=5.0)
    with pytest.raises(ApiSilent, match="TimeoutError"):
        await called(http_world.door._client.auth_test(), timeout=0.05)


async def test_a_click_asks_slack_nothing_about_ourselves() -> None:
    async with a_world("http") as world:
        request = await world.ask()
        before = len(world.sandbox.slack.log.calls)
        assert (await world.click("U0ALICE", request, APPROVE)).ok
        await world.told("U0ALICE")
        asked = {call.method for call in world.sandbox.slack.log.calls[before:]}
        assert not asked & {"auth.test", "bots.info"}


async def test_reads_by_get_are_understood(http_world: World) -> None:
    client = http_world.door._client
    assert (await called(client.users_info(user="U0ALICE")))["user"]["id"] == "U0ALICE"
    assert (await called(client.usergroups_users_list(usergroup="S0SRE")))["users"] == ["U0ALICE", "U0BOB"]
    assert (await called(client.conversations_open(users=["U0ALICE"])))["channel"]["id"].startswith("D")
