"""What the rules need from the outside, in the rules' own words. Adapters live in storage/, handlers/ and bot/."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from approvals.card import Card
from approvals.freeze import Freeze
from approvals.indices import Query
from approvals.limits import Limits
from approvals.notes import Note
from approvals.policy import Policy
from approvals.policy_file import IdentityEntry
from approvals.request import Request
from approvals.rows import Row
from approvals.windows import Share


@dataclass(frozen=True)
class Account:
    """An account on a chat platform, as the platform itself vouched for it at a click."""

    via: str  #: the platform: slack, teams
    tenant: str  #: its workspace or tenant
    user: str

    @property
    def id(self) -> str:
        """The spelling used in policy: slack:T0SAYSO:U0DANA."""
        return f"{self.via}:{self.tenant}:{self.user}"


@dataclass(frozen=True)
class Entry:
    """One entry of an intake stream, as it lies there.

    `owner` is the agent or, with `tool` true, the audience whose stream it is: identity comes from there alone.
    """

    partition: int
    owner: str
    tool: bool
    id: str
    type: str | None
    body: bytes | None
    deliveries: int = 1


@dataclass(frozen=True)
class Trouble:
    """What somebody did to their own intake stream: `erased`, `blocked`, `flooded` or `replaced`, and how much of it.

    `at` is when it was noticed, in ms.
    """

    owner: str
    tool: bool
    what: str
    much: str
    at: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """An intake entry that was refused and kept aside; `body` is what was kept of it, `at` when that was, in ms."""

    owner: str
    entry: str
    reason: str
    type: str
    body: bytes
    at: int


@dataclass(frozen=True)
class Answer:
    """One message on an out stream; `type` and `body` as docs/reference/redis-contract.md has them."""

    type: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A commit as a pure function computed it.

    `request` is the state that follows, `record` what the journal keeps (no argument values, no nonce). It may be
    committed from `not_before` until before `not_after` (ms of the store's clock), in partitions whose epoch is
    `epoch`. `decides` marks the commit whose journal number the receipt will name; `announce` asks for the decision
    document to be published; `show` for the cards to be brought up to date.
    """

    request: Request
    record: Mapping[str, Any]
    epoch: str
    not_before: int = 0
    not_after: int | None = None
    decides: bool = False
    announce: bool = False
    show: bool = True


class Queue(StrEnum):
    """Work that the memory hands out under a lease."""

    TIMERS = "timers"  #: requests that time itself changes
    CARDS = "cards"  #: requests whose cards may not be current
    ANNOUNCEMENTS = "announcements"  #: decisions committed but not yet published
    SILENT = "silent"  #: agents (not requests) that were to be heard of again by now


@dataclass(frozen=True)
class Post:
    """A card at one destination: first only intended, then posted with the platform's reference."""

    destination: str
    state: Literal["intended", "posted", "failed"]
    at: int
    reference: Mapping[str, str] = field(default_factory=dict)
    shown: str = ""  #: digest of the rendering there now
    problem: str = ""
    shared: str = ""  #: the message that it shares with other requests, of which it is one row
    tries: int = 0  #: how often the platform refused it


@dataclass(frozen=True)
class Stored:
    """A request with the store's time at which it was read, and its posts by destination."""

    request: Request
    now: int
    posts: Mapping[str, Post] = field(default_factory=dict)


@dataclass(frozen=True)
class JournalEntry:
    """An entry as it stands in the journal; `record` is the exact text the chain covers."""

    number: int
    at: int
    record: bytes


@dataclass(frozen=True)
class Page:
    """A part of a list; `cursor` leads to the next part, None: there is none."""

    requests: Sequence[Request]
    cursor: str | None


@dataclass(frozen=True)
class Kept:
    """A small document as it lies on the shelf; `version` counts how often it was put down."""

    name: str
    document: Mapping[str, Any]
    version: int


class Shelf(Protocol):
    """Small documents beside the requests: what a review showed, who stands in for whom, where a bot was installed.

    A name is `<folder>/<rest>`. A folder lies in one partition and is listed as a whole: keep those small that are.
    Every method may raise StoreUnavailable.
    """

    async def kept(self, name: str) -> Kept | None:
        """What lies under a name now."""
        ...

    async def keep(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        version: int | None = None,
        ttl: int | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Kept | None:
        """Put a document (JSON) down, for `ttl` ms or for good; `record` goes into the journal in the same step.

        With `version` only where that lies there now (0: nothing); else None, and nothing was done.
        """
        ...

    async def drop(self, name: str, *, version: int | None = None, record: Mapping[str, Any] | None = None) -> bool:
        """Take a document away; `record` is journalled where one was. False: another than `version` lies there."""
        ...

    async def folder(self, folder: str) -> Sequence[Kept]:
        """Everything in a folder, by name."""
        ...


class Errand(StrEnum):
    """What is to be done at a destination, the most urgent first."""

    POST = "post"  #: somebody has not seen a request at all
    EDIT = "edit"  #: a message does not show how things stand
    SAY = "say"  #: somebody is to be told something, under a card or beside it
    FILE = "file"  #: the whole of what a card cannot show is to lie under it as a file, too


@dataclass(frozen=True)
class Lease:
    """The right to serve a destination alone. Each has another `fence`; only the latest counts."""

    destination: str
    fence: int


@dataclass(frozen=True)
class Waiting:
    """An errand in a destination's outbox: what it is about, and a mark that changes when it is added again."""

    subject: str
    mark: int


class Outbox(Protocol):
    """What waits for each destination, in its home partition. Any replica may serve a destination, one at a time.

    Every method may raise StoreUnavailable.
    """

    async def add(self, destination: str, errand: Errand, *subjects: str, delay: int = 0) -> None:
        """Let errands wait, to be due in `delay` ms. What waits already keeps its place and its time."""
        ...

    async def take(self, *, limit: int, lease: int) -> Sequence[Lease]:
        """Destinations where something is due, hidden from others for `lease` ms."""
        ...

    async def look(self, lease: Lease, *, limit: int, extend: int) -> Mapping[Errand, Sequence[Waiting]] | None:
        """What is due, in order, `limit` of each errand at most; extends the lease by `extend` ms. None: it is lost."""
        ...

    async def settle(self, lease: Lease, errand: Errand, *done: Waiting, again: int | None = None) -> None:
        """Take out what is done, or let it be due again in `again` ms, unless it was added again since the look."""
        ...

    async def hand_back(self, lease: Lease, wait: int) -> None:
        """End a lease; what is due may be taken again in `wait` ms, the rest when it is due."""
        ...


class Windows(Protocol):
    """Sums over what was asked lately, one for each window that a policy names. A holder has one share in a window.

    Every method may raise StoreUnavailable; `reserve` also NotConfirmed.
    """

    async def reserve(self, holder: str, shares: Sequence[Share], *, hold: int, token: str) -> Mapping[str, int]:
        """Add a holder's shares, each once, and return what each window comes to with them, by its name.

        A share counts for `hold` ms and the window's own length after that, unless it is released or recounted.
        """
        ...

    async def release(self, holder: str, shares: Sequence[Share], *, token: str) -> None:
        """Take back what was reserved with a token; a share counts while any other token's reservation stands."""
        ...

    async def recount(self, holder: str, shares: Sequence[Share], since: int | None) -> None:
        """Let shares count from an instant (ms) for their windows' lengths, or no more (None), whoever reserved them.

        One that is gone stays away.
        """
        ...


class Store(Protocol):
    """The memory of requests. Every method may raise StoreUnavailable.

    Changes to one request are compare-and-set: of two that race, one is computed again on what the other left.
    """

    partitions: int

    @property
    def shelf(self) -> Shelf:
        """What is kept beside the requests."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What waits for the destinations."""
        ...

    @property
    def windows(self) -> Windows:
        """What requests come to over time."""
        ...

    async def now(self) -> int:
        """The store's time in ms since the epoch: the only clock that decides anything."""
        ...

    async def get(self, request: str) -> Stored:
        """A request as it is now. Raises NotFound."""
        ...

    async def find(self, code: str) -> Sequence[str]:
        """The ids of kept requests with this short code, newest first."""
        ...

    async def create(
        self,
        request: str,
        make: Callable[[int, Sequence[Request]], Change],
        *,
        like: str = "",
        limits: Limits | None = None,
    ) -> tuple[Stored, bool]:
        """Commit `make(now, earlier)` unless a request of this id exists; returns what is stored, and if it is new.

        `earlier` are the newest five requests that were created with the same `like`. A new one takes a turn of its
        agent's `limits`. Raises OverLimit, EpochChanged and OutsideWindow; raises NotConfirmed when the commit stands
        (a rule decided at once) but is not yet safe.
        """
        ...

    async def update(
        self, request: str, change: Callable[[Stored], Change | None], *, known: Stored | None = None
    ) -> Stored:
        """Commit what `change` makes of the current state; None means that nothing is to change.

        `change` may run more than once. `known` saves the first read. Raises NotFound, OutsideWindow, EpochChanged
        and whatever `change` raises; raises NotConfirmed when the commit stands but is not yet safe.
        """
        ...

    async def publish(self, request: Request, document: Mapping[str, Any], *, again: bool = False) -> None:
        """Make a decision known: keep the document for the agent, wake the agent, and end the announcement.

        Idempotent for one version of a request; `again` wakes the agent even though it was published before (the
        agent asked for it). Nothing is changed when the request has moved on from `request.version`.
        """
        ...

    async def list(self, query: Query, cursor: str = "", limit: int = 25) -> Page:
        """Some of the requests that a query covers, newest first, and the cursor of those after them.

        A page costs the same however many there are, so it may hold fewer than `limit`, or none, before the last one.
        Raises ValueError for what is no cursor of ours.
        """
        ...

    async def due(self, queue: Queue, *, limit: int, lease: int) -> Sequence[str]:
        """Requests whose work in `queue` is due now, hidden from others for `lease` ms. At least once, any replica."""
        ...

    async def settle(self, queue: Queue, request: str, version: int) -> bool:
        """End the work in a queue if the request still has `version`; otherwise it is due again at once."""
        ...

    async def postpone(self, queue: Queue, request: str, delay: int) -> None:
        """Give leased work back, to be due again in `delay` ms."""
        ...

    async def intend(self, request: str, destination: str, token: str, *, shared: bool = False) -> Post | None:
        """Record that `token` is about to post a card; returns the post that is already intended or made, if any.

        `shared`: the token names a message in which the request is one row. Raises NotConfirmed while the intention
        could still be lost: then nothing may be posted, for whoever serves next would not know of it.
        """
        ...

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        """Record what is at a destination now, replacing an intention or an older post.

        With `unless_posted` nothing is recorded where a card already is, and that one is returned.
        """
        ...

    async def keep_rendering(self, digest: str, rendering: bytes) -> None:
        """Keep what a card shows, by its digest, before anybody can see it."""
        ...

    async def rendering(self, digest: str) -> bytes | None:
        """What was shown under a digest."""
        ...

    async def may_post(self, destination: str, per_minute: int, burst: int) -> int:
        """Take one turn of a destination's rate, shared by all replicas: 0, or the ms to wait before asking again."""
        ...

    async def hold_posts(self, destination: str, milliseconds: int) -> None:
        """Let nobody post to a destination for a while: the platform said so."""
        ...

    async def note(self, record: Mapping[str, Any], *, partition: int = 0) -> int:
        """Put an entry into the journal that changes no request; returns its number."""
        ...

    async def assure(self, partition: int) -> None:
        """Return when all that a partition holds now is as safe as a decision must be; else raises NotConfirmed."""
        ...

    def journal(self, partition: int, after: int = 0) -> AsyncIterator[JournalEntry]:
        """The journal of a partition in order, from the entry after number `after`."""
        ...

    async def tidy(self, *, limit: int) -> int:
        """Forget requests whose time after the end is over, `limit` in each partition at most; returns how many."""
        ...

    async def mark_exported(self, partition: int, number: int) -> int:
        """Note that a journal lies outside up to an entry; returns how far it does. Raises NotFound."""
        ...

    async def trim_journal(self, partition: int, first: int, head: str) -> int:
        """Drop the entries before `first` and keep its signed head in their place; returns where the journal begins.

        Raises NotExported.
        """
        ...

    async def trimmed(self, partition: int) -> tuple[int, str] | None:
        """The number and the signed head of the entry at which a journal begins; None: it begins with the first."""
        ...

    async def heard(self, agent: str, patience: int) -> None:
        """Note that an agent is there; in `patience` ms it is due in Queue.SILENT unless it is heard of again."""
        ...

    async def gone(self, agent: str, lease: int) -> bool:
        """Expect nothing more of an agent that was `due` as silent under a lease (ms) shorter than its patience.

        False, and nothing is changed, where it was heard of meanwhile: then its next silence counts.
        """
        ...

    async def adopt(self, digest: str, text: str, record: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        """Make a rulebook the epoch of every partition and keep it by its digest; a no-op where it is already.

        With `instead_of`, only where that is the epoch now; else raises EpochChanged.
        """
        ...

    async def epoch(self) -> tuple[str, str] | None:
        """The digest and text of the policy in force, or None before the first was adopted."""
        ...


class Inbox(Protocol):
    """The intake streams. Entries are handed out once, and again when their taker died before answering."""

    async def take(self, *, limit: int, block: int) -> Sequence[Entry]:
        """New entries of any stream, waiting up to `block` ms for the first."""
        ...

    async def reclaim(self, *, idle: int, limit: int) -> Sequence[Entry]:
        """Entries that another taker has held for more than `idle` ms without answering."""
        ...

    async def answer(self, entry: Entry, *answers: Answer, dead_letter: str | None = None) -> None:
        """Answer on the owner's out stream and remove the entry, in one step; keep it aside where it was refused."""
        ...

    async def watch(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        """Take from the streams of exactly these from now on."""
        ...

    async def inspect(self, *, limit: int) -> Sequence[Trouble]:
        """Look at the next `limit` streams for what their owners did to them; it is journalled, and told, once."""
        ...


@dataclass(frozen=True)
class Pace:
    """A rate that calls share, whoever makes them: `per_minute` turns, and `burst` at once."""

    name: str
    per_minute: int
    burst: int


class ChatPlatform(Protocol):
    """A place where people see cards and answer. Raises ChatRefused and ChatUnavailable."""

    name: str

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        """Show a card as a new message; returns the reference by which it can be changed. Never retried inside."""
        ...

    async def update(self, reference: Mapping[str, str], request: Request, card: Card) -> None:
        """Change a message so that it shows this card. Idempotent."""
        ...

    def rows(self, destination: str) -> int:
        """How many requests may share one message at a destination; 1: none may."""
        ...

    async def post_shared(self, destination: str, message: str, rows: Sequence[Row]) -> Mapping[str, str]:
        """Show several requests in a new message, named `message`; only where `rows()` is more than 1."""
        ...

    async def update_shared(self, reference: Mapping[str, str], rows: Sequence[Row | None]) -> None:
        """Change a shared message so that it shows these rows, each in its place (None: forgotten). Idempotent."""
        ...

    async def reply(self, reference: Mapping[str, str], note: Note) -> None:
        """Say something under a message, so that those it is for are notified. Never retried inside."""
        ...

    async def announce(self, destination: str, note: Note) -> None:
        """Say something that stands under no card. Never retried inside."""
        ...

    @property
    def takes_files(self) -> bool:
        """Whether a file can lie under a card here."""
        ...

    async def attach(self, reference: Mapping[str, str], request: Request) -> None:
        """Put the whole action of a request under its card as a file; only where `takes_files`.

        Never retried inside. Nothing rests on it: what an approval needs is shown in the review.
        """
        ...

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        """The reference of our message about a request, or of a shared one, posted after `since` (ms), if found."""
        ...

    def paces(self, errand: Errand, destination: str) -> Sequence[Pace]:
        """The rates of which an errand takes a turn each, the narrowest first."""
        ...


class Directory(Protocol):
    """Who people are. Raises DirectoryUnavailable when it cannot say."""

    async def standing(self, account: Account) -> str | None:
        """None for a full, active, human member of our own workspace; else what it is instead, such as "a guest"."""
        ...

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the account belongs to an approver source of policy, at most 60 s ago."""
        ...


class Rosters(Protocol):
    """Says who is behind a source now, for whoever wants to notify them; who may answer is the Directory's word."""

    async def accounts(self, source: str) -> Iterable[str]:
        """The accounts that a source holds, at most 60 s ago. Raises DirectoryUnavailable."""
        ...


class Identities(Protocol):
    """Checks identity tokens of people. Asks nobody."""

    def subject(self, token: str, identity: IdentityEntry, now: int) -> str | None:
        """The person whom a token names that this issuer signed for this audience; None unless all of it holds now."""
        ...


class SecretDetector(Protocol):
    """Knows a credential when it sees one. Asks nobody."""

    def first_in(self, texts: Sequence[tuple[str, str]]) -> int | None:
        """The place of the first text that holds a credential, each given after its name ("": it has none)."""
        ...


class Verifier(Protocol):
    """Recognises what our keys signed; the public halves are enough."""

    def verify(self, typ: str, token: str) -> Mapping[str, Any] | None:
        """The claims of a JWS that one of our keys signed with this typ, or None. Times are not checked."""
        ...


class Signer(Verifier, Protocol):
    """Signs claims as a compact JWS."""

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A JWS with the header {alg, kid, typ}. Raises SignerUnavailable."""
        ...


class Policies(Protocol):
    """Where the policy in force comes from."""

    def current(self) -> Policy:
        """The policy this process works under."""
        ...

    async def look(self) -> Policy:
        """The policy now in force, for a refusal that must not rest on an older one; changes nothing in the store."""
        ...

    async def refresh(self) -> Policy:
        """The policy the partitions now run under, after EpochChanged."""
        ...

    async def put_freezes(self, freezes: tuple[Freeze, ...], record: Mapping[str, Any], *, instead_of: str) -> None:
        """Put these freezes in force in every partition, where the epoch is `instead_of`; else raises EpochChanged."""
        ...
