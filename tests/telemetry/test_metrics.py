"""What is counted while requests live, and that nobody's words become a label."""

from __future__ import annotations

import json

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from approvals.errors import ChatRefused, ChatUnavailable, NotConfirmed, SignerUnavailable, StoreUnavailable
from approvals.ports import Queue
from bot.clock import Clock
from bot.courier import Courier
from bot.loops import Loop
from bot.telemetry.labels import word
from bot.telemetry.metrics import Metrics, metrics_route
from tests.approvals.make import AGENT, MINUTE, NONCE, a_rule, an_action
from tests.bot.chat import Chat
from tests.bot.test_courier import until_quiet
from tests.loopback import served
from tests.telemetry.watched import a_watched_house


async def test_a_life_is_counted_status_by_status() -> None:
    watched = await a_watched_house()
    request = await watched.house.approved()
    await watched.house.spend(request)
    await watched.house.report(request)

    for status in ("pending", "approved", "spent", "succeeded"):
        assert watched.value("sayso_requests_total", kind="payments.release", status=status) == 1, status
    assert watched.value("sayso_requests_asked_total", agent=AGENT) == 1
    assert watched.value("sayso_votes_total", answer="approve") == 1


async def test_the_time_to_a_decision_is_from_asking_to_deciding() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked()
    watched.house.wait(4 * MINUTE)
    await watched.house.click(request, "alice")

    assert watched.value("sayso_time_to_decision_seconds_sum", kind="payments.release") == 240
    assert watched.value("sayso_time_to_decision_seconds_count", kind="payments.release") == 1


async def test_what_a_rule_decides_at_once_is_counted_as_asked_and_decided() -> None:
    watched = await a_watched_house(rules=[a_rule(effect="deny")])
    await watched.house.asked()

    assert watched.value("sayso_requests_total", kind="payments.release", status="pending") == 1
    assert watched.value("sayso_requests_total", kind="payments.release", status="denied") == 1
    assert watched.value("sayso_time_to_decision_seconds_count", kind="payments.release") == 1


async def test_asking_the_same_again_counts_nothing_twice() -> None:
    watched = await a_watched_house()
    await watched.house.asked()
    await watched.house.asked()

    assert watched.value("sayso_requests_total", kind="payments.release", status="pending") == 1


async def test_a_commit_that_is_not_confirmed_counts_once_and_is_told_apart() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked()
    watched.house.store.unconfirmed = True
    await watched.house.click(request, "alice")
    watched.house.store.unconfirmed = False
    await watched.house.approvals.publish(request.id)

    assert watched.value("sayso_requests_total", kind="payments.release", status="approved") == 1
    assert watched.value("sayso_redis_not_confirmed_total") >= 1
    assert watched.value("sayso_redis_errors_total", operation="update") == 0


async def test_the_lag_of_a_timer_and_of_an_announcement() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked()
    watched.house.wait(request.terms.within + 3_000)
    await Clock(watched.store, watched.house.approvals).timers()

    assert await watched.house.status(request) == "expired"
    assert watched.value("sayso_timer_lag_seconds_sum") == 3
    assert watched.value("sayso_announcement_lag_seconds_count") == 1

    watched.house.signer.down = True
    other = await watched.house.asked("run-118/other")
    await watched.house.click(other, "alice")
    watched.house.signer.down = False
    watched.house.wait(7_000)
    await watched.house.approvals.publish(other.id)

    assert watched.value("sayso_announcement_lag_seconds_sum") == 7
    assert watched.value("sayso_signer_errors_total") == 1


async def test_redis_errors_are_counted_by_operation_and_passed_on() -> None:
    watched = await a_watched_house()
    watched.house.store.down = True
    with pytest.raises(StoreUnavailable):
        await watched.store.get("0-whatever")

    assert watched.value("sayso_redis_errors_total", operation="get") == 1
    assert watched.value("sayso_redis_seconds_count", operation="get") == 1


async def test_look_ups_that_fail_are_counted_and_known_by_their_age() -> None:
    watched = await a_watched_house(groups={"ops": {"slack_usergroup": "S0SEC"}})
    request = await watched.house.asked()
    watched.house.directory.unreachable = {"slack:usergroup:S0SEC"}
    await watched.house.click(request, "alice")

    assert watched.value("sayso_directory_errors_total") == 1
    assert watched.directory.failing_for() is not None
    watched.house.directory.unreachable = set()
    await watched.house.click(request, "alice")
    assert watched.directory.failing_for() is None


async def test_entries_are_counted_by_type_and_refusal_and_strange_types_share_a_label() -> None:
    watched = await a_watched_house()
    await watched.sent("request", _request())
    await watched.sent("request", b"{}")
    await watched.sent("rm -rf /", b"{}")
    await watched.sent(None, b"{}")

    assert watched.value("sayso_intake_entries_total", type="request", came_to="accepted") == 1
    assert watched.value("sayso_intake_entries_total", type="request", came_to="malformed") == 1
    assert watched.value("sayso_intake_entries_total", type="other", came_to="malformed") == 2
    assert watched.value("sayso_dead_letters_total", reason="malformed") == 3
    assert watched.value("sayso_intake_seconds_count", type="request") == 2
    assert "rm -rf" not in watched.text()


async def test_an_agent_that_chooses_its_entry_ids_does_not_bend_the_times() -> None:
    watched = await a_watched_house()
    watched.house.wait(-2 * 86_400_000)
    watched.inbox.append(AGENT, "request", b"{}")
    watched.house.wait(2 * 86_400_000)
    await watched.intake.take()

    assert watched.value("sayso_intake_entries_total", type="request", came_to="malformed") == 1
    assert watched.value("sayso_intake_seconds_count", type="request") == 0


async def test_refused_spends_are_counted_by_reason() -> None:
    watched = await a_watched_house()
    request = await watched.house.approved()
    receipt = watched.house.decision(request)["receipt"]
    for attempt in ("1", "2"):
        body = {"v": 1, "receipt": receipt, "attempt": f"attempt-{attempt * 16}"}
        await watched.sent("spend", json.dumps(body).encode())

    assert watched.value("sayso_intake_entries_total", type="spend", came_to="accepted") == 1
    assert watched.value("sayso_intake_entries_total", type="spend", came_to="already_spent") == 1
    assert watched.value("sayso_spends_refused_total", reason="already_spent") == 1


async def test_a_kind_that_the_policy_does_not_list_is_other_and_no_argument_appears() -> None:
    watched = await a_watched_house()
    hostile = an_action(kind="payments.ignore_all_previous_instructions", arguments={"iban": "DE00SECRET"})
    await watched.house.asked(action=hostile)

    assert watched.value("sayso_requests_total", kind="other", status="pending") == 1
    assert "ignore" not in watched.text()
    assert "SECRET" not in watched.text()


async def test_the_courier_tells_when_cards_are_seen_and_what_failed() -> None:
    watched = await a_watched_house()
    chat = Chat(lambda: watched.house.now)
    courier = Courier(watched.store, {"slack": chat}, watch=watched.kit.courier())
    chat.meets("post", ChatUnavailable("busy"))
    request = await watched.house.asked(posted=False)
    await until_quiet(courier)
    watched.house.wait(5_000)
    await until_quiet(courier)
    watched.house.wait(60_000)
    await watched.house.click(request, "alice", reference=_reference(chat))
    watched.house.wait(2_000)
    await until_quiet(courier)

    assert watched.value("sayso_time_to_visible_seconds_sum", destination="slack:C0OPS") == 5
    assert watched.value("sayso_time_to_visible_seconds_count", destination="slack:C0OPS") == 1
    assert watched.value("sayso_outbox_lag_seconds_sum", destination="slack:C0OPS") == 5 + 2
    assert watched.value("sayso_chat_errors_total", destination="slack:C0OPS", code="unavailable") == 1


async def test_a_refusal_of_the_platform_is_counted_by_its_code() -> None:
    watched = await a_watched_house()
    chat = Chat(lambda: watched.house.now)
    chat.meets("post", ChatRefused("not_in_channel", "invite the bot"))
    await watched.house.asked(posted=False)
    await until_quiet(Courier(watched.store, {"slack": chat}, watch=watched.kit.courier()))

    assert watched.value("sayso_chat_errors_total", destination="slack:C0OPS", code="not_in_channel") == 1


async def test_a_failing_loop_is_counted_and_knows_for_how_long() -> None:
    watched = await a_watched_house()
    now = [100.0]
    loop = Loop("timers", _Fails(2), failed=watched.kit.loop_failed, monotonic=lambda: now[0])
    assert loop.failing_for() == 0
    for _ in range(2):
        await loop._once()
        now[0] += 20
    assert loop.failing_for() == 40
    await loop._once()

    assert loop.failing_for() == 0
    assert watched.value("sayso_loop_failures_total", loop="timers") == 2


class _Fails:
    def __init__(self, times: int) -> None:
        self.left = times

    async def __call__(self) -> bool:
        self.left -= 1
        if self.left >= 0:
            raise SignerUnavailable("down")
        return False


async def test_an_observer_that_breaks_costs_a_count_and_no_decision() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked()
    watched.kit.metrics.votes = None  # type: ignore[assignment]  # the worst that a fault of ours could do
    verdict = await watched.house.click(request, "alice")

    assert type(verdict).__name__ == "Counted"
    assert await watched.house.status(request) == "approved"


async def test_every_operation_of_the_store_goes_through_as_it_was() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked()
    raw = watched.house.store

    assert await watched.store.get(request.id) == await raw.get(request.id)
    assert await watched.store.find(request.code) == [request.id]
    assert await watched.store.epoch() == await raw.epoch()
    assert [one.number async for one in watched.store.journal(0)] == [one.number async for one in raw.journal(0)]
    await watched.store.keep_rendering("sha256:1", b"card")
    assert await watched.store.rendering("sha256:1") == b"card"
    assert await watched.store.due(Queue.CARDS, limit=5, lease=1_000) == [request.id]
    await watched.store.postpone(Queue.CARDS, request.id, 0)
    assert await watched.store.settle(Queue.CARDS, request.id, request.version)
    assert await watched.store.may_post("slack:C0OPS", 60, 1) == 0
    await watched.store.hold_posts("slack:C0OPS", 5_000)
    assert await watched.store.may_post("slack:C0OPS", 60, 1) > 0
    assert await watched.store.note({"event": "test"}) > 0


async def test_a_store_that_is_not_confirmed_raises_what_it_raised() -> None:
    watched = await a_watched_house()
    request = await watched.house.approved()
    watched.house.store.unconfirmed = True
    with pytest.raises(NotConfirmed):
        await watched.store.publish(request, {})


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("not_in_channel", "not_in_channel"),
        ("http_503", "http_503"),
        ("Bad Code!", "other"),
        ("a" * 51, "other"),
        ("", "other"),
    ],
)
def test_only_what_looks_like_a_code_becomes_a_label(said: str, shown: str) -> None:
    assert word(said) == shown


async def test_the_page_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.dead_letters.labels("malformed").inc()
    async with served([metrics_route(metrics)]) as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}/metrics") as answer:
            text = await answer.text()
            assert answer.content_type == "text/plain"
        async with http.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
            assert answer.content_type == "application/openmetrics-text"
            assert (await answer.text()).endswith("# EOF\n")
        async with http.post(f"{url}/metrics") as answer:
            assert answer.status == 405
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {"sayso_dead_letters", "sayso_time_to_visible_seconds", "sayso_ready"} <= families


def _request() -> bytes:
    action = {"kind": "payments.release", "target": "bank:acme", "arguments": {}, "preconditions": {}, "nonce": NONCE}
    return json.dumps({"v": 1, "call": "run-1/a", "action": action, "because": "it is due"}).encode()


def _reference(chat: Chat) -> dict[str, str]:
    return {"ts": next(iter(chat.messages))}
