"""What one person alone sees: modals, answers to commands and to clicks, the home tab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from approvals.request import Request
from handlers.slack.blocks import APPROVE, CHANGES, DENY, DETAILS, MORE, PAUSE, REPORT, REVIEW
from handlers.slack.replies import ASK
from handlers.slack.review import CODE, WHY
from sandbox.views import View
from tests.e2e.gallery.camera import Camera
from tests.e2e.gallery.plot import ALICE, BOB, CAROL, DANA, GUS, MALLORY, MARA, Shot
from tests.e2e.gallery.stage import DATA, DEPLOYS, PAYMENTS, SECURITY, Stage

NEXT = "Next page"
Made = Mapping[str, Request]

#: Who types what, where; [name] stands for the code of the request that was made under that caption.
COMMANDS = (
    (BOB, SECURITY, "help"),
    (BOB, SECURITY, "pending"),
    (BOB, SECURITY, "history"),
    (ALICE, PAYMENTS, "show [one of two]"),
    (BOB, SECURITY, "show [succeeded]"),
    (BOB, SECURITY, "why [waits]"),
    (ALICE, PAYMENTS, "retract [one of two]"),
    (ALICE, DEPLOYS, "extend [a diff] 20m"),
    (BOB, SECURITY, "revoke [approved, not used yet]"),
    (BOB, SECURITY, "resolve [outcome unknown] succeeded seen in the console"),
    (BOB, SECURITY, "freeze kind payments.*"),
    (BOB, SECURITY, "freeze kind reports.* too many of them"),
    (BOB, SECURITY, "unfreeze"),
    (BOB, SECURITY, "unfreeze kind reports.*"),
    (BOB, SECURITY, "report [hostile] the payee is not ours"),
    (ALICE, DEPLOYS, "break-glass [asked anew, changed]"),
    (BOB, SECURITY, "review [break-glass, not reviewed] right call"),
    (CAROL, DATA, "delegate @bob until friday for data.*"),
    (CAROL, DATA, "delegations"),
    (CAROL, DATA, "quiet 22:00-07:00 Europe/Berlin"),
    (CAROL, DATA, "link"),
    (MALLORY, PAYMENTS, "freeze all"),
    (MALLORY, DATA, "show [waits]"),
    (BOB, SECURITY, "pendign"),
)


async def commands(stage: Stage, camera: Camera, made: Made) -> None:
    """Every command, answered."""
    for user, channel, words in COMMANDS:
        said = words
        for caption, request in made.items():
            said = said.replace(f"[{caption}]", request.code)
        answer = await stage.command(user, said, channel)
        await camera.messages([Shot(f"/sayso {said}", channel, answer.ts)], user)


async def answers(stage: Stage, camera: Camera, made: Made) -> None:
    """What those are told who press a button that counts, that comes too late, or that is not theirs to press."""
    for caption, user, request, action in (
        ("a yes that does not decide yet", ALICE, made["waits"], APPROVE),
        ("the same again", ALICE, made["waits"], APPROVE),
        ("by whom the agent acts for", DANA, made["hostile"], APPROVE),
        ("by somebody who is not asked", MALLORY, made["a diff"], APPROVE),
        ("of the team that asks", GUS, made["a time to look"], DENY),
    ):
        await _told(stage, camera, caption, user, request, action)
    hostile, small = made["hostile"], made["only if it still holds"]
    report = await stage.menu(hostile, REPORT)
    await _told(stage, camera, "report as suspicious", MALLORY, hostile, MORE, choose=report)
    await _told(stage, camera, "a yes that decides", ALICE, small, APPROVE)
    await _told(stage, camera, "a yes that comes too late", BOB, small, APPROVE)
    await stage.show()


async def _told(
    stage: Stage, camera: Camera, caption: str, user: str, request: Request, action: str, **options: Any
) -> None:
    """Somebody presses a button; what they alone are told then."""
    channel, _ = await stage.where(request)
    told = partial(stage.world.sandbox.ephemerals, user, channel)
    before = len(told())
    await stage.click(user, request, action, **options)
    answer = (await stage.world.sandbox.wait_for(lambda: told()[before:]))[-1]
    await camera.messages([Shot(caption, channel, answer.ts)], user)


async def modals(stage: Stage, camera: Camera, made: Made) -> None:
    """Every form, the pages of a review, and what a form says afterwards."""
    for caption, user, request, action in (
        ("deny, with the policy's reasons", ALICE, made["waits"], DENY),
        ("deny", BOB, made["a diff"], DENY),
        ("ask for changes", BOB, made["a diff"], CHANGES),
        ("review, first page", BOB, made["does not fit"], REVIEW),
        ("review, by who may only read", MALLORY, made["a time to look"], REVIEW),
        ("review, with a time to look", CAROL, made["a time to look"], REVIEW),
        ("details of what waits", BOB, made["one of two"], DETAILS),
    ):
        await stage.use(user, request, action)
        await _look(stage, camera, caption, user)
    await stage.use(BOB, made["a diff"], MORE, choose=await stage.menu(made["a diff"], PAUSE))
    await _look(stage, camera, "deny and pause", BOB)
    await _last_page(stage, camera, made["does not fit"])
    await _wrong_code(stage, camera, made["code and reason"])
    await _record(stage, camera, made["break-glass, reviewed"])


async def _look(stage: Stage, camera: Camera, caption: str, user: str, *, close: bool = True) -> View:
    view = await stage.view(user)
    await camera.modal(caption, user, SECURITY)
    if close:
        await stage.close(user)
    return view


async def _last_page(stage: Stage, camera: Camera, request: Request) -> None:
    """Turn the pages of a review until there is none left, and approve."""
    view = await stage.use(ALICE, request, REVIEW)
    while turns := [one for one in _buttons(view.blocks) if one["text"]["text"] == NEXT]:
        await stage.world.sandbox.click_in_view(ALICE, view.id, turns[0]["action_id"])
        view = await stage.view(ALICE)
    await _look(stage, camera, "review, last page", ALICE, close=False)
    await stage.fill(ALICE, {})
    await _look(stage, camera, "after the review", ALICE)


async def _wrong_code(stage: Stage, camera: Camera, request: Request) -> None:
    """A careful approval, first as it is asked for, then with a code that is not the one shown."""
    await stage.use(BOB, request, REVIEW)
    await _look(stage, camera, "review, with code and reason", BOB, close=False)
    await stage.fill(BOB, {WHY: "The store is empty since May", CODE: "0000"})
    await _look(stage, camera, "not the code that was shown", BOB)


async def _record(stage: Stage, camera: Camera, request: Request) -> None:
    """The shortcut on a message, and the form of the first button that asks for words."""
    channel, ts = await stage.where(request)
    await stage.world.sandbox.shortcut(BOB, "sayso:record", channel, ts)
    view = await _look(stage, camera, "show approval record", BOB, close=False)
    for button in _buttons(view.blocks):
        if button["action_id"].startswith(ASK):
            await stage.world.sandbox.click_in_view(BOB, view.id, button["action_id"])
            await _look(stage, camera, "words for a command", BOB)
            break
    await stage.close(BOB)


def _buttons(blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for block in blocks if block["type"] == "actions" for one in block["elements"]]


async def homes(camera: Camera) -> None:
    """The home tab of somebody who is asked, of one who hands over, and of one whom nothing concerns."""
    for caption, user in (
        ("home, of an approver", BOB),
        ("home, of a manager", MARA),
        ("home, of a newcomer", MALLORY),
    ):
        await camera.home(caption, user)
