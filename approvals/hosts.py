"""Hosts in an action that may not be what they look like: written with letters that pass for others.

A host with letters beyond ASCII is resolved by its ASCII form (IDNA, RFC 3490), so that is what people are shown
beside it. Only for display, like text.py: what is hashed and executed is never touched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from approvals.action import Frozen
from approvals.text import clipped, one_line

#: Full-width and ideographic full stops are dots to a browser (RFC 3490 §3.1).
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_AUTHORITY = re.compile(r"://([^\s/?#\\<>\"']+)")
_MAILBOX = re.compile(r"(?<=[^\s@<>\"'(),;:])@([^\s@<>\"'(),;:/?#\\]+)")
_PUNYCODE = re.compile(r"(^|\.)xn--", re.IGNORECASE)
_LONGEST = 253


class Host(Frozen):
    """A host as it is written and as it is resolved; `scripts` where one of its labels mixes several alphabets."""

    written: str
    resolved: str
    scripts: tuple[str, ...] = ()


def odd_hosts(texts: Iterable[str]) -> tuple[Host, ...]:
    """The hosts of URLs and mail addresses in these texts that are not plain ASCII, each once, in order."""
    found: dict[str, Host] = {}
    for text in texts:
        for host in _hosts(text):
            if host not in found and (not host.isascii() or _PUNYCODE.search(host)):
                found[host] = _told(host)
    return tuple(found.values())


def _hosts(text: str) -> Iterator[str]:
    for authority in _AUTHORITY.findall(text):
        host = authority.rpartition("@")[2]
        yield re.sub(r":\d*$", "", host)
    for host in _MAILBOX.findall(text):
        yield host.rstrip(".")


def _told(host: str) -> Host:
    """Both spellings; of what is written in ASCII, the one that would be drawn."""
    ascii_form = _ascii(host)
    drawn = _unicode(host) if host.isascii() else host
    scripts = sorted({script for label in _DOTS.split(drawn) for script in _mixed(label)})
    return Host(
        written=clipped(one_line(drawn), _LONGEST),
        resolved=clipped(one_line(ascii_form), _LONGEST),
        scripts=tuple(scripts),
    )


def _ascii(host: str) -> str:
    try:
        return host.lower().encode("idna").decode()
    except UnicodeError:
        return "no host at all"


def _unicode(host: str) -> str:
    try:
        return host.lower().encode().decode("idna")
    except UnicodeError:
        return host


def _mixed(label: str) -> frozenset[str]:
    """The alphabets of one label, where there are several."""
    scripts = frozenset(_script(letter) for letter in label if letter.isalpha())
    return scripts if len(scripts) > 1 else frozenset()


def _script(letter: str) -> str:
    """The alphabet a letter belongs to, by the first word of its Unicode name: Latin, Cyrillic, Greek …"""
    return unicodedata.name(letter, "unknown").split(" ", 1)[0].capitalize()
