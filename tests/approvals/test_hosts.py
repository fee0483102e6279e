"""Hosts that may not be what they look like: found in addresses, and told with what they are resolved to."""

from __future__ import annotations

import pytest

from approvals.hosts import odd_hosts


@pytest.mark.parametrize(
    ("text", "written", "resolved", "scripts"),
    [
        ("see https://\u0430pple.com/x", "\u0430pple.com", "xn--pple-43d.com", ("Cyrillic", "Latin")),
        ("bob@p\u0430ypal.com, ok", "p\u0430ypal.com", "xn--pypal-4ve.com", ("Cyrillic", "Latin")),
        ("https://xn--80ak6aa92e.com", "\u0430\u0440\u0440\u04cf\u0435.com", "xn--80ak6aa92e.com", ()),
        ("https://google.com@ev\u0456l.com:80/", "ev\u0456l.com", "xn--evl-khd.com", ("Cyrillic", "Latin")),
        ("https://evil\u3002com/", "evil\u3002com", "evil.com", ()),
        ("https://m\u00fcnchen.de", "m\u00fcnchen.de", "xn--mnchen-3ya.de", ()),
        ("https://a..\u00fc/", "a..\u00fc", "no host at all", ()),
    ],
)
def test_a_host_beyond_ascii_is_told_with_its_ascii_form(
    text: str, written: str, resolved: str, scripts: tuple[str, ...]
) -> None:
    (host,) = odd_hosts([text])
    assert (host.written, host.resolved, host.scripts) == (written, resolved, scripts)


@pytest.mark.parametrize("text", ["https://acme.com/ü", "dana@acme.com", "größe.txt", "a@b", "ratio 3:4 @ ü", ""])
def test_what_is_no_odd_host_is_left_alone(text: str) -> None:
    assert odd_hosts([text]) == ()


def test_each_is_told_once_and_a_long_text_costs_little() -> None:
    assert len(odd_hosts(["https://\u0430.com https://\u0430.com"] * 3)) == 1
    assert odd_hosts(["a" * 65_000, "@" * 65_000, "://" * 20_000]) == ()
