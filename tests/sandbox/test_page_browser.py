"""The page in a real browser: read, click, fill in, switch user; hostile text stays text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.e2e.browser import ARGUMENTS, CHROMIUM
from tests.sandbox.conftest import APPROVE_CARD, Clock, button, card, over_socket, unhurried, web_client

Json = dict[str, Any]
#: one loop for the whole file, so that one browser serves every test
LOOP: Final = "module"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope=LOOP),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="NOT TESTED: the page needs Debian's package `chromium`"),
]


@pytest_asyncio.fixture(loop_scope=LOOP)
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with unhurried(clock) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope=LOOP)
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncWebClient]:
    async with web_client(sandbox) as client:
        yield client


@pytest_asyncio.fixture(loop_scope=LOOP, scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope=LOOP)
async def page(browser: Browser, sandbox: Sandbox) -> AsyncIterator[Page]:
    """A page open as alice in #payments; any script error or violated policy fails the test."""
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto(f"{sandbox.url}/#U0ALICE/C0PAYMENTS")
    await expect(page.locator("#place h1")).to_have_text("payments")
    yield page
    await page.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope=LOOP)
async def app(sandbox: Sandbox, client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    bolt = AsyncApp(client=client)
    async with over_socket(sandbox, bolt):
        yield bolt


async def post(client: AsyncWebClient, blocks: list[Json], channel: str = "C0PAYMENTS") -> str:
    return str((await client.chat_postMessage(channel=channel, text="card", blocks=blocks))["ts"])


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


async def be(page: Page, user: str) -> None:
    await page.locator("#who").click()
    await page.locator(f"#who-menu [data-user={user}]").click()
    await expect(page.locator("#who")).to_have_attribute("data-user", user)


async def test_a_card_appears_live_is_clicked_and_changes_in_place(
    page: Page, client: AsyncWebClient, app: AsyncApp
) -> None:
    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        done = [{"type": "section", "text": {"type": "mrkdwn", "text": f"Approved by <@{body['user']['id']}>"}}]
        channel, ts = body["container"]["channel_id"], body["container"]["message_ts"]
        await client.chat_update(channel=channel, ts=ts, text="done", blocks=done)
        await ack()

    ts = await post(client, APPROVE_CARD)
    approve_button = page.locator(f'button[data-action-id=approve][data-ts="{ts}"][data-channel=C0PAYMENTS]')
    await expect(approve_button).to_have_text("Approve")
    await approve_button.click()
    message = page.locator(f'article[data-ts="{ts}"]')
    await expect(message).to_contain_text("Approved by @alice")
    await expect(message).to_contain_text("(edited)")
    await expect(message.locator("button[data-action-id]")).to_have_count(0)


async def test_a_click_nobody_answers_shows_slacks_warning(
    sandbox: Sandbox, page: Page, client: AsyncWebClient
) -> None:
    ts = await post(client, APPROVE_CARD)
    await page.locator("[data-action-id=approve]").click()
    warning = page.locator(f'article[data-ts="{ts}"] [role=alert]')
    await expect(warning).to_contain_text("This app did not respond")
    sandbox.faults.add(delivery="block_actions", drop=True)
    await page.locator("[data-action-id=deny]").click()
    await expect(warning).to_have_text("This app did not respond.")


async def test_hostile_text_stays_text(page: Page, client: AsyncWebClient) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> <https://evil.example|see> *bold* @here"
    blocks: list[Json] = [
        {"type": "header", "text": plain("<b>head</b>")},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<javascript:alert(1)|click> &lt;b&gt;safe&lt;/b&gt;"}},
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": hostile}]}],
        },
        {"type": "actions", "elements": [button("<i>no</i>", "x")]},
    ]
    ts = await post(client, blocks)
    message = page.locator(f'article[data-ts="{ts}"]')
    await expect(message.locator("pre")).to_have_text(hostile)
    await expect(message.locator("h3")).to_have_text("<b>head</b>")
    await expect(message.locator(".block-section")).to_have_text("click <b>safe</b>")
    await expect(message.locator("button[data-action-id=x]")).to_have_text("<i>no</i>")
    assert await message.locator("img, script, b, i, a, pre strong").count() == 0


async def test_mrkdwn_and_rich_text_are_drawn(page: Page, client: AsyncWebClient) -> None:
    text = (
        ":large_orange_circle: *bold* _italic_ ~gone~ `code` <@U0DANA> <!subteam^S0SRE> <#C0DATA> "
        "<https://example.com|link> <!date^1800000000^{date_num} {time}|soon> "
        "snake_case_name 2*3*4 :nonsense:\n> quoted"
    )
    ts = await post(client, [{"type": "section", "text": {"type": "mrkdwn", "text": text}}])
    link = (await client.chat_getPermalink(channel="C0PAYMENTS", message_ts=ts))["permalink"]
    linked = await client.chat_postMessage(channel="C0PAYMENTS", text=f"see <{link}|that>")
    inside = page.locator(f'article[data-ts="{linked["ts"]}"] a')
    await expect(inside).to_have_attribute("href", "#U0ALICE/C0PAYMENTS")
    drawn = page.locator(f'article[data-ts="{ts}"] .text')
    await expect(drawn.locator("strong")).to_have_text("bold")
    await expect(drawn.locator("em")).to_have_text("italic")
    await expect(drawn.locator("s")).to_have_text("gone")
    await expect(drawn.locator("code")).to_have_text("code")
    await expect(drawn.locator(".mention")).to_have_text(["@dana", "@sre", "#data"])
    await expect(drawn.locator("a[target=_blank]")).to_have_attribute("href", "https://example.com/")
    await expect(drawn.locator("time")).to_contain_text("2027-01-15")
    await expect(drawn.locator("blockquote")).to_have_text("quoted")
    await expect(drawn).to_contain_text("🟠")
    await expect(drawn).to_contain_text("snake_case_name 2*3*4 :nonsense:")


REASON: Json = {
    "type": "modal",
    "callback_id": "reason",
    "title": plain("Deny"),
    "submit": plain("Send"),
    "close": plain("Not now"),
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Why?"),
            "element": {"type": "plain_text_input", "action_id": "t", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "when",
            "optional": True,
            "label": plain("When?"),
            "element": {
                "type": "radio_buttons",
                "action_id": "r",
                "options": [{"text": plain("Later"), "value": "later"}],
            },
        },
        {"type": "actions", "elements": [button("Details", "details")]},
    ],
}


async def test_a_modal_is_filled_in_refused_stacked_and_sent(
    sandbox: Sandbox, page: Page, client: AsyncWebClient, app: AsyncApp
) -> None:
    sent: list[Json] = []

    @app.action("deny")
    async def deny(ack: AsyncAck, body: Json) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=REASON)
        await ack()

    @app.action("details")
    async def details(ack: AsyncAck, body: Json) -> None:
        view = {"type": "modal", "title": plain("Details"), "blocks": [{"type": "section", "text": plain("bytes")}]}
        await client.views_push(trigger_id=body["trigger_id"], view=view)
        await ack()

    @app.view("reason")
    async def reason(ack: AsyncAck, view: Json) -> None:
        sent.append(view["state"]["values"])
        if len(sent) == 1:
            await ack(response_action="errors", errors={"why": "Say more, please."})
        else:
            await ack()

    await post(client, APPROVE_CARD)
    await page.locator("[data-action-id=deny]").click()
    modal = page.locator("#modal")
    await expect(modal.locator("h2")).to_have_text("Deny")
    await expect(modal.locator("textarea")).to_be_focused()
    await modal.locator("[data-modal=submit]").click()
    await expect(modal.locator(".input-error")).to_have_text("Please complete this required field.")
    assert sent == []

    await modal.locator("textarea").fill("no")
    await modal.get_by_label("Later").check()
    await modal.locator("[data-modal=submit]").click()
    await expect(modal.locator(".input-error")).to_have_text("Say more, please.")

    await modal.locator("[data-action-id=details]").click()
    await expect(modal.locator("h2")).to_have_text("Details")
    await page.keyboard.press("Escape")
    await expect(modal.locator("h2")).to_have_text("Deny")
    await expect(modal.locator("textarea")).to_have_value("no")

    await modal.locator("textarea").fill("the vendor is unknown")
    await modal.locator("[data-modal=submit]").click()
    await expect(modal).to_be_hidden()
    assert sent[-1]["why"]["t"]["value"] == "the vendor is unknown"
    assert sent[-1]["when"]["r"]["selected_option"]["value"] == "later"


async def test_a_confirm_dialog_stands_before_the_click(
    sandbox: Sandbox, page: Page, client: AsyncWebClient, app: AsyncApp
) -> None:
    clicks: list[str] = []

    @app.action("wipe")
    async def wipe(ack: AsyncAck, body: Json) -> None:
        clicks.append(body["user"]["id"])
        await ack()

    sure = {"title": plain("Wipe it?"), "text": plain("For ever."), "confirm": plain("Wipe"), "deny": plain("Keep")}
    await post(client, card(button("Wipe", "wipe", style="danger", confirm=sure)))
    await page.locator("[data-action-id=wipe]").click()
    await expect(page.locator("#confirm h2")).to_have_text("Wipe it?")
    await page.locator("#confirm [data-confirm=no]").click()
    await expect(page.locator("#confirm")).to_be_hidden()
    await page.locator("[data-action-id=wipe]").click()
    await page.locator("#confirm [data-confirm=yes]").click()
    await sandbox.wait_for(lambda: clicks)
    assert clicks == ["U0ALICE"]


async def test_people_switch_and_see_only_what_is_theirs(page: Page, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel="C0PAYMENTS", user="U0ALICE", text="only alice")
    await expect(page.locator("article.ephemeral")).to_contain_text("Only visible to you")
    await be(page, "U0BOB")
    await expect(page.locator("#place h1")).to_have_text("payments")
    await expect(page.locator("article")).to_have_count(0)
    await be(page, "U0ALICE")
    await expect(page.locator("article.ephemeral")).to_contain_text("only alice")


async def test_a_command_typed_in_the_composer_reaches_the_app(
    page: Page, client: AsyncWebClient, app: AsyncApp
) -> None:
    @app.command("/sayso")
    async def command(ack: AsyncAck, body: Json) -> None:
        await ack(f"you said {body['text']}")

    composer = page.locator("#composer-text")
    await composer.fill("/say")
    await page.locator("[data-command='/sayso']").click()
    await composer.press_sequentially("pending")
    await composer.press("Enter")
    await expect(page.locator("article.ephemeral")).to_contain_text("you said pending")
    await composer.fill("/nonsense")
    await composer.press("Enter")
    await expect(page.locator(".toast")).to_contain_text("/nonsense is not a valid command")


async def test_people_talk_and_answer_in_threads(sandbox: Sandbox, page: Page) -> None:
    await page.locator("#composer-text").fill("hello *all*")
    await page.keyboard.press("Enter")
    await expect(page.locator("article strong").last).to_have_text("all")
    (message,) = sandbox.messages("C0PAYMENTS")
    await page.locator("article").hover()
    await page.locator(f'[data-reply="{message.ts}"]').click()
    await page.locator(".thread input").fill("an answer")
    await page.keyboard.press("Enter")
    await expect(page.locator(".thread article")).to_contain_text("an answer")
    await expect(page.locator("[data-thread]")).to_contain_text("1 reply")
    assert sandbox.messages("C0PAYMENTS")[1].thread_ts == message.ts


async def test_unread_channels_are_marked_until_they_are_looked_at(page: Page, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0DATA", text="news")
    place = page.locator("#sidebar [data-channel=C0DATA]")
    await expect(place.locator(".dot")).to_be_visible()
    await place.click()
    await expect(page.locator("article")).to_contain_text("news")
    await page.locator("#sidebar [data-channel=C0PAYMENTS]").click()
    await expect(page.locator("#place h1")).to_have_text("payments")
    await expect(place.locator(".dot")).to_have_count(0)


async def test_the_home_tab_shows_what_the_app_publishes(page: Page, client: AsyncWebClient, app: AsyncApp) -> None:
    @app.event("app_home_opened")
    async def opened(event: Json) -> None:
        blocks: list[Json] = [{"type": "header", "text": plain("Two wait for you")}, APPROVE_CARD[1]]
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    clicked: list[Json] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        clicked.append(body["container"])
        await ack()

    await page.locator("#sidebar [data-channel=D0ALICE]").click()
    await page.locator("[data-tab=home]").click()
    await expect(page.locator("#home h3")).to_have_text("Two wait for you")
    async with page.expect_response("**/page/click-view"):
        await page.locator("#home [data-action-id=approve]").click()
    assert clicked[0]["type"] == "view"


async def test_everything_is_reached_by_keyboard(page: Page, client: AsyncWebClient, app: AsyncApp) -> None:
    clicks: list[str] = []

    @app.action("deny")
    async def deny(ack: AsyncAck, body: Json) -> None:
        clicks.append(body["user"]["id"])
        await ack()

    await post(client, APPROVE_CARD)
    await expect(page.locator("[data-action-id=deny]")).to_be_visible()
    await page.locator("#messages").focus()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await expect(page.locator("[data-action-id=deny]")).to_be_focused()
    async with page.expect_response("**/page/click"):
        await page.keyboard.press("Enter")
    assert clicks == ["U0ALICE"]
    await expect(page.locator("[data-action-id=deny]")).to_be_focused()
    await page.locator("#who").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#who")).to_have_attribute("data-user", "U0BOB")


SIZES: list[ViewportSize] = [{"width": 1280, "height": 900}, {"width": 390, "height": 844}]


@pytest.mark.parametrize("size", SIZES, ids=["desktop", "phone"])
async def test_every_card_fits_without_sideways_scrolling(
    page: Page, client: AsyncWebClient, size: ViewportSize
) -> None:
    await page.set_viewport_size(size)
    for path in sorted((Path(__file__).parent / "cards").glob("*.json")):
        await post(client, json.loads(path.read_text())["blocks"])
    await expect(page.locator("article")).to_have_count(6)
    await expect(page.locator("article").last.locator("button[data-action-id]")).to_have_count(9)
    overflow = await page.evaluate(
        "[document.documentElement, document.getElementById('messages')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert overflow == [0, 0]
    hostile = page.locator("article").first.locator("blockquote")
    await expect(hostile).to_contain_text("<https://evil.example|see invoice> *Approved by CFO*")


async def test_on_a_phone_the_channels_are_behind_a_button(page: Page) -> None:
    await page.set_viewport_size(SIZES[1])
    data = page.locator("#sidebar [data-channel=C0DATA]")
    await expect(data).to_be_hidden()
    await page.locator("#menu").click()
    await data.click()
    await expect(page.locator("#place h1")).to_have_text("data")
    await expect(data).to_be_hidden()


async def test_a_file_in_a_thread_is_opened_and_closed_and_stays_text(page: Page, client: AsyncWebClient) -> None:
    ts = await post(client, [{"type": "section", "text": plain("a long plan")}])
    await client.files_upload_v2(
        channel="C0PAYMENTS", thread_ts=ts, filename="plan.txt", title="The plan <b>", content="<i>one</i>\nline two\n"
    )
    await page.locator(f'[data-thread="{ts}"]').click()
    head = page.locator(".thread .file-head")
    await expect(head).to_contain_text("The plan <b>")
    await expect(page.locator(".file-text")).to_be_hidden()
    await head.click()
    await expect(page.locator(".file-text")).to_have_text("<i>one</i>\nline two\n")
    await page.locator(".thread .file-head").click()
    await expect(page.locator(".file-text")).to_be_hidden()
