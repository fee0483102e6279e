"""Finds credentials in texts with the patterns of Yelp's detect-secrets: nothing is asked over the network.

Which of its detectors work here, and which do not, was measured over what requests are made of (digests, ids, dates,
addresses, paths, prose; tests/bot/test_credentials.py): one that takes those for credentials would soon be off
everywhere. Some of its patterns take quadratic time, so that a long text is looked at in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.filters import heuristic
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.keyword import DENYLIST, KeywordDetector

#: Left out, with what they take for a credential.
LEFT_OUT: Final = {
    "ArtifactoryDetector": "ids that begin with AP and a letter from A to F",
    "HexHighEntropyString": "every commit and every digest",
    "IPPublicDetector": "every address on the internet",
    "TelegramBotTokenDetector": "one in a hundred Teams accounts: digits, a colon, an id",
}
#: Bits for each character above which a text is taken for random: base64 of 32 random bytes has about 4.9; UUIDs, hex
#: digests and ids of 21 characters have less.
ENTROPY: Final = 4.5
SHORTEST: Final = 6  #: characters of anything that is taken for a credential
PIECE: Final = 1_024  #: characters that are looked at in one go
OVERLAP: Final = 256
LONGEST_TOKEN: Final = 4_096  #: characters of a text in which a JSON Web Token may be longer than a piece

_PLAIN: Final = re.compile(r"[\s\d.,:;+/-]*")  # numbers, dates, amounts
_REFERENCE: Final = re.compile(r"[a-z][a-z0-9+.-]*:[^\s@]*")  # secret://prod/db, arn:aws:…: where one lies
_CALLED_SO: Final = re.compile("|".join(DENYLIST), re.IGNORECASE)
_ENDS_SO: Final = re.compile(rf"({'|'.join(DENYLIST)})s?$", re.IGNORECASE)  # db_password, not password_policy
_NO_VALUE: Final = (
    heuristic.is_templated_secret,
    heuristic.is_prefixed_with_dollar_sign,
    heuristic.is_not_alphanumeric_string,
    heuristic.is_sequential_string,
)


class KnownCredentials:
    """A SecretDetector."""

    def first_in(self, texts: Sequence[tuple[str, str]]) -> int | None:
        """The place of the first text that holds a credential, each given after its name; None where none does."""
        worth_it = [(place, name, text) for place, (name, text) in enumerate(texts) if _may_hold(text)]
        suspicious = _suspicious(piece for _, _, text in worth_it for piece in _pieces(text))
        found = (place for place, name, text in worth_it if _holds(text, name, closely=suspicious))
        return next(found, None)


def _may_hold(text: str) -> bool:
    return len(text) >= SHORTEST and not _PLAIN.fullmatch(text)


def _holds(text: str, name: str, *, closely: bool) -> bool:
    """Whether a text holds a credential; not `closely` where all texts together were looked at and none has one."""
    if _is_named(text, name) or _is_long_token(text):
        return True
    return closely and any(_matches(piece) or _assigns(piece) for piece in _pieces(text))


def _suspicious(pieces: Iterable[str]) -> bool:
    """Whether any of them may hold a credential: looked at together, each on a line, so that it takes one pass."""
    lines = "\n".join(f'"{piece}"' for piece in pieces)
    return _matches(lines) or _CALLED_SO.search(lines) is not None


def _matches(text: str) -> bool:
    """Whether a pattern knows something in it, or a word in quotes looks as if it had been drawn by lot."""
    quoted = f'"{text}"'
    if any(_any(detector.analyze_string(quoted)) for detector in _detectors()):
        return True
    return any(_is_random(word) for word in _entropy().analyze_string(quoted))


def _is_random(word: str) -> bool:
    """With a slash in every sixteen characters it is a path; base64 has one in 64."""
    is_path = word.count("/") * 16 >= len(word)
    return not is_path and _entropy().calculate_shannon_entropy(word) > ENTROPY


def _is_named(text: str, name: str) -> bool:
    """Whether it is called a credential, and is a value: not a placeholder, nor a reference to where one lies."""
    if not _ENDS_SO.search(name) or _REFERENCE.fullmatch(text):
        return False
    return _assigns(f'{name} = "{text[:PIECE]}"')


def _assigns(line: str) -> bool:
    """Whether it gives a value to something that is called a credential: `password = "…"`."""
    if not _CALLED_SO.search(line):
        return False
    found = KeywordDetector().analyze_string(line)
    return any(not any(is_none(value) for is_none in _NO_VALUE) for value in found)


def _is_long_token(text: str) -> bool:
    return PIECE < len(text) <= LONGEST_TOKEN and _any(JwtTokenDetector().analyze_string(text))


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that overlap, so that no credential is cut in each of them."""
    for start in range(0, max(1, len(text) - OVERLAP), PIECE - OVERLAP):
        yield text[start : start + PIECE]


def _any(found: Iterable[str]) -> bool:
    return any(True for _ in found)


@cache
def _detectors() -> tuple[RegexBasedDetector, ...]:
    kinds: Iterable[type[Any]] = get_mapping_from_secret_type_to_class().values()
    wanted = (kind for kind in kinds if issubclass(kind, RegexBasedDetector) and kind.__name__ not in LEFT_OUT)
    return tuple(kind() for kind in wanted)


@cache
def _entropy() -> Base64HighEntropyString:
    return Base64HighEntropyString(limit=ENTROPY)
