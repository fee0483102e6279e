"""Takes the pictures of docs/reference/cards.md, as the sandbox draws them: `python -m tests.e2e.gallery`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from approvals.request import Request
from tests.e2e.browser import a_browser
from tests.e2e.gallery import plot, private
from tests.e2e.gallery.camera import LOOKS, Camera, Captured
from tests.e2e.gallery.second import second_look
from tests.e2e.gallery.sheet import sheet
from tests.e2e.gallery.stage import a_stage
from tests.e2e.processes import ROOT

IMAGES = ROOT / "docs" / "images" / "cards"


async def main(images: Path = IMAGES) -> None:
    """Let it all happen, and look."""
    made: dict[str, Request] = {}
    async with a_stage() as stage, a_browser() as browser:
        camera = Camera(browser, stage.world)
        ended = await plot.cards(stage, plot.ENDED, made)
        waiting = await plot.cards(stage, plot.WAITING, made)
        waiting += [await plot.superseded(stage, made), await plot.burst(stage)]
        await camera.messages(waiting)
        _keep(camera.roll(), "waiting", images)
        await camera.messages(ended)
        _keep(camera.roll(), "ended", images)
        again = await second_look(browser, stage.world.sandbox, [*waiting, *ended])
        sheet(again, LOOKS[0].columns, images / "second-look.png")
        await private.modals(stage, camera, made)
        _keep(camera.roll(), "modals", images)
        await private.answers(stage, camera, made)
        await camera.messages(plot.beside(stage), plot.PRIYA)
        await camera.messages(plot.letters(stage), plot.DANA)
        _keep(camera.roll(), "beside", images)
        await private.commands(stage, camera, made)
        _keep(camera.roll(), "commands", images)
        await private.homes(camera)
        _keep(camera.roll(), "home", images)


def _keep(taken: Captured, name: str, images: Path) -> None:
    for look in LOOKS:
        sheet(taken[look.name], look.columns, images / f"{name}-{look.name}.png", look.scheme)


if __name__ == "__main__":
    asyncio.run(main())
