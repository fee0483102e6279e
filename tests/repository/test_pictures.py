"""The pictures are what the code says, can be drawn, and need nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from approvals.lifecycle import TRANSITIONS, Event, Status
from docs import draw
from tests.repository.files import ROOT, relative

PICTURES = sorted((ROOT / "docs/images").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_of_the_life_is_drawn_from_the_table() -> None:
    assert draw.PICTURE.read_text(encoding="utf-8") == draw.picture(), "run: python -m docs.draw"


def test_the_page_of_the_life_tells_the_table() -> None:
    text = draw.PAGE.read_text(encoding="utf-8")
    assert text == draw.page(text), "run: python -m docs.draw"


def test_every_status_and_every_event_has_a_sentence() -> None:
    assert draw.sentences(Status).keys() == set(Status)
    assert draw.sentences(Event).keys() == set(Event)


def test_the_picture_of_the_life_has_an_arrow_for_each_transition_and_no_other() -> None:
    arrows = ElementTree.parse(draw.PICTURE).iterfind(f"{SVG}path[@class='arrow']/{SVG}title")
    drawn = [arrow.text for arrow in arrows]
    assert sorted(map(str, drawn)) == sorted(
        f"{before} {event} {after}" for (before, event), after in TRANSITIONS.items()
    )


def test_a_page_without_a_place_for_the_tables_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the table of statuses"):
        draw.page("# The life of an approval\n")


@pytest.mark.parametrize("path", PICTURES, ids=relative)
def test_a_picture_has_a_title_works_in_the_dark_and_loads_nothing(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    text = path.read_text(encoding="utf-8")
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in text
    assert "href" not in text
    assert "<script" not in text
