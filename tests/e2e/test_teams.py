"""People in Microsoft's Agents Playground before the real bot, with tokens checked; and in Slack at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

import sayso
from tests.e2e.browser import CHROMIUM
from tests.e2e.playground import PACKAGE
from tests.e2e.teams import DEPLOYS, PAYMENTS, PERSONAL, Teams, in_teams
from tests.e2e.world import ALICE, BOB
from tests.fakes.entra import person_id
from tests.node import needs

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="NOT TESTED: the page needs Debian's package `chromium`"),
    needs(PACKAGE),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def teams() -> AsyncIterator[Teams]:
    """One bot, one Playground and one page for all; opening a conversation tells the bot that it is installed there."""
    async with in_teams() as made:
        await made.go(DEPLOYS)
        await made.go(PAYMENTS)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def agent(teams: Teams) -> AsyncIterator[sayso.Sayso]:
    async with teams.world.agent() as client:
        yield client


async def test_a_yes_in_a_channel_lets_the_agent_act(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    asked = await teams.ask(agent, "payments.release")
    card = await teams.card(asked, "INV-2093", "12400.00")
    await card.get_by_role("button", name="Approve").click()

    approval = await asked.decision()
    assert [by.person for by in approval.by] == ["alice"]
    async with approval.spend():
        pass
    await teams.card(asked, "Payment released", "approved by alice", "succeeded in")
    await expect(card.get_by_role("button")).to_have_count(0)


async def test_a_new_card_calls_those_who_are_asked_and_an_edit_nobody(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    asked = await teams.ask(agent, "payments.large")
    await teams.card(asked, "Alice, Bob, Carol")
    called = (await teams.sent(asked, "0 of 2")).card["msteams"]["entities"]
    assert [one["mentioned"]["id"] for one in called] == [person_id(name) for name in ("alice", "bob", "carol")]

    await teams.press("bob", asked)
    await teams.card(asked, "waiting for finance 1 of 2 (alice or carol)")
    assert "entities" not in (await teams.sent(asked, "1 of 2")).card["msteams"]


async def test_a_no_in_a_group_chat_needs_a_reason(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(DEPLOYS)
    asked = await teams.ask(agent, "payments.small")
    card = await teams.card(asked)
    await card.get_by_role("button", name="Deny").click()
    form = card.locator(".ac-container").filter(has=teams.page.locator("textarea:visible")).last
    await form.get_by_role("button", name="Deny").click()
    await expect(card).to_contain_text("Say it in a few words: it is needed.")
    assert not asked.done

    await form.locator("textarea").fill("The account is new to us.")
    await form.get_by_role("button", name="Deny").click()
    with pytest.raises(sayso.Denied) as denied:
        await asked.decision()
    assert denied.value.reason == "The account is new to us."
    await teams.card(asked, "Not released", "denied by alice", "The account is new to us.")


async def test_what_should_be_different_reaches_the_agent(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(DEPLOYS)
    asked = await teams.ask(agent, "payments.small")
    card = await teams.card(asked)
    await card.get_by_role("button", name="Ask for changes").click()
    await card.locator("textarea:visible").fill("Split it in two.")
    await card.get_by_role("button", name="Deny, and ask").click()

    with pytest.raises(sayso.ChangesRequested) as changes:
        await asked.decision()
    assert changes.value.changes == "Split it in two."


async def test_what_is_behind_more_asks_for_words_and_reports_or_denies(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(DEPLOYS)
    asked = await teams.ask(agent, "payments.small")
    card = await teams.card(asked)
    await card.get_by_role("button", name="More").click()
    await card.get_by_role("button", name="Report as suspicious").click()
    await expect(card).to_contain_text("Say it in a few words: it is needed.")
    await card.locator("textarea:visible").fill("Nobody planned this.")
    await card.get_by_role("button", name="Report as suspicious").click()
    await expect(teams.page.get_by_text("Reported. The operators are told")).to_be_visible()
    assert not asked.done

    await card.get_by_role("button", name="More").click()
    await card.locator("textarea:visible").fill("Nobody planned this.")
    async with teams.page.expect_response("**/invoke") as answered:  # its words go where everybody's card comes at once
        await card.get_by_role("button", name="Deny and pause this agent").click()
    assert "The agent is not paused. The policy lets nobody freeze." in await (await answered.value).text()
    with pytest.raises(sayso.Denied) as denied:
        await asked.decision()
    assert denied.value.reason == "Nobody planned this."
    await teams.card(asked, "Not released", "denied by alice", "Nobody planned this.")
    await teams.said("Deny and pause", "The agent is not paused. The policy lets nobody freeze.")


async def test_two_people_are_needed_and_each_sees_the_other_at_once(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    asked = await teams.ask(agent, "payments.large")
    card = await teams.card(asked, "0 of 2")
    await card.get_by_role("button", name="Approve").click()
    await teams.card(asked, "waiting for finance 1 of 2")
    await teams.sent(asked, "1 of 2")

    assert "approved by alice and bob" in await teams.press("bob", asked)
    await teams.card(asked, "approved by alice and bob")
    assert [by.person for by in (await asked.decision()).by] == ["alice", "bob"]


async def test_an_outsider_is_told_so_and_changes_nothing(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    asked = await teams.ask(agent, "payments.foreign")
    card = await teams.card(asked)
    await card.get_by_role("button", name="Approve").click()

    await expect(teams.page.get_by_text("You are not among those asked here: treasury.")).to_be_visible()
    assert "You are not among those asked here" in await teams.press("mallory", asked)
    await expect(card.get_by_role("button", name="Approve")).to_be_visible()
    assert not asked.done
    assert await teams.world.events(asked.request) == ["asked", "click_refused", "click_refused"]


async def test_a_late_click_is_told_who_decided(teams: Teams, agent: sayso.Sayso) -> None:
    asked = await teams.ask(agent, "payments.release")
    still_on_screen = await teams.sent(asked)
    await teams.press("bob", asked)
    await asked.decision()

    assert "bob approved this" in await teams.press("carol", asked, "Deny", on=still_on_screen, reason="too late")
    assert [by.person for by in (await asked.decision()).by] == ["bob"]


async def test_an_invoke_that_comes_again_changes_nothing(teams: Teams, agent: sayso.Sayso) -> None:
    asked = await teams.ask(agent, "payments.large")
    await teams.press("bob", asked)
    heard = [activity for activity, _ in teams.framework.heard if activity["type"] == "invoke"]
    status, answer = await teams.framework.deliver(heard[-1])

    assert (status, answer["statusCode"]) == (200, 200)
    assert not asked.done
    assert await teams.world.events(asked.request) == ["asked", "voted"]


async def test_pending_is_answered_in_the_persons_own_chat_also_when_mentioned(
    teams: Teams, agent: sayso.Sayso
) -> None:
    await teams.go(PERSONAL)
    asked = await teams.ask(agent, "payments.waiting")
    await teams.sent(asked)
    await teams.write("pending")
    await expect(teams.page.locator(".ac-adaptiveCard").filter(has_text=asked.action.target)).to_be_visible()

    await teams.go(PAYMENTS)
    await teams.write(" pending", mention=True)
    await expect(teams.page.get_by_text("I answered you in our own chat")).to_be_visible()
    await expect(teams.page.locator(".ac-adaptiveCard").filter(has_text=asked.action.target)).to_have_count(0)
    await teams.go(PERSONAL)
    listed = teams.page.locator(".ac-adaptiveCard").filter(has_text=asked.action.target)
    await expect(listed).to_have_count(2)
    await listed.last.get_by_role("button", name="Show", exact=True).first.click()
    await expect(teams.page.get_by_text("Approval record")).to_be_visible()


async def test_whoever_decides_on_one_platform_settles_the_card_on_the_other(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    here, there = await teams.ask(agent, "both.small"), await teams.ask(agent, "both.small")
    card = await teams.card(here)
    await card.get_by_role("button", name="Approve").click()
    await teams.in_slack(here, "Approved", "alice")
    await teams.approve_in_slack(BOB, there)
    await teams.card(there, "approved by bob")

    assert [by.via for by in (await here.decision()).by] == ["teams"]
    assert [by.via for by in (await there.decision()).by] == ["slack"]


async def test_a_person_counts_once_whichever_accounts_they_use(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    asked = await teams.ask(agent, "both.large")
    await teams.approve_in_slack(ALICE, asked)
    card = await teams.card(asked, "1 of 2")
    await card.get_by_role("button", name="Approve").click()
    await expect(card).to_contain_text("Your approval counts: 1 of 2.")
    assert not asked.done

    await teams.press("bob", asked)
    decided = await asked.decision()
    assert [(by.person, by.via) for by in decided.by] == [("alice", "slack"), ("bob", "teams")]
    await teams.in_slack(asked, "Approved")


async def test_after_a_restart_the_bot_still_knows_where_it_is_installed(teams: Teams, agent: sayso.Sayso) -> None:
    await teams.go(PAYMENTS)
    heard = len(teams.framework.heard)
    await teams.world.bots[-1].stop()
    await teams.bot()
    asked = await teams.ask(agent, "payments.release")
    await teams.card(asked)

    assert len(teams.framework.heard) == heard
    assert "approved by bob" in await teams.press("bob", asked)
    await teams.card(asked, "approved by bob")
