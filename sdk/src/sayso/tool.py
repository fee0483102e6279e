"""What a separate tool uses: it is handed a receipt and an action by an agent, and checks before it acts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sayso.action import Action
from sayso.errors import Unavailable
from sayso.keys import TrustedKeys
from sayso.link import Link, RedisLink
from sayso.mailbox import Mailbox
from sayso.pace import Pace
from sayso.spending import Check, Checker, Clock, Spend, SpentMemory
from sayso.trust import Trust, trust_from
from sayso.verifier import Floors, Receipt
from sayso.wire import Address, Deployment, name


class Tool:
    """Carries out other agents' actions, and only approved ones: `async with Tool.connect(…) as tool`."""

    def __init__(
        self,
        link: Link,
        *,
        audience: str,
        trust: Trust,
        floors: Floors | None = None,
        pace: Pace | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.audience = name(audience, "audience")
        self._link = link
        self._pace = pace or Pace()
        self._checker = Checker(trust, floors=floors or Floors(), clock=clock)
        self._memory = SpentMemory(clock)
        self._deployment: Deployment | None = None
        self._mailboxes: dict[int, Mailbox] = {}
        self._opening = asyncio.Lock()

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        audience: str,
        trust: str | Path | TrustedKeys | None,
        issuer: str | None = None,
        floors: Floors | None = None,
        pace: Pace | None = None,
        clock: Clock = time.time,
    ) -> Self:
        """Prepare a tool; `audience` is its registered name, the rest is as in `Sayso.connect`."""
        pace = pace or Pace()
        link = RedisLink(url, block=pace.block)
        trusted = trust_from(trust, issuer=issuer)
        return cls(link, audience=audience, trust=trusted, floors=floors, pace=pace, clock=clock)

    async def __aenter__(self) -> Self:
        """Connect; raises Unavailable when Redis or the bot's configuration in it cannot be read."""
        try:
            config, names = await self._link.config()
            self._deployment = Deployment.read(config)
            self._deployment.check_name(names, self.audience, "audiences")
        except BaseException:
            await self._link.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Disconnect, once reports under way are sent."""
        await asyncio.gather(*(mailbox.aclose() for mailbox in self._mailboxes.values()))
        await self._link.aclose()

    def spend(
        self, receipt: str, action: Action | Mapping[str, Any], *, agent: str, preconditions: Check | None = None
    ) -> ToolSpend:
        """`async with tool.spend(receipt, action, agent="payments-bot") as action:` do exactly `action`, once.

        `action` is what you are about to do (an Action, or its JSON object with the nonce); `agent` is who asks you,
        as you have authenticated them, never as they say. Raises as `Approval.spend` does, before anything is done.
        """
        wanted = action.copy() if isinstance(action, Action) else Action.from_document(action)
        return ToolSpend(self, receipt, wanted, name(agent, "agent"), preconditions)

    async def _begin(self, receipt: str, action: Action, agent: str, preconditions: Check | None) -> Spend:
        async def verify() -> tuple[str, Receipt]:
            checked = await self._checker.check(
                receipt, action, agent=agent, audience=self.audience, preconditions=preconditions
            )
            return receipt, checked

        mailbox = await self._mailbox(agent)
        return Spend(mailbox, action, verify, memory=self._memory, pace=self._pace, clock=self._checker.clock)

    async def _mailbox(self, agent: str) -> Mailbox:
        """The mailbox in the partition of the receipt's agent: one reader for each partition in use."""
        if self._deployment is None:
            raise Unavailable("the tool is not connected; use it inside `async with`")
        partition = self._deployment.partition(agent)
        async with self._opening:
            if partition not in self._mailboxes:
                mailbox = Mailbox(self._link, Address(partition, f"tool:{self.audience}"), self._pace)
                await mailbox.open()
                self._mailboxes[partition] = mailbox
        return self._mailboxes[partition]


class ToolSpend:
    """One use of a receipt by a tool; see Spend."""

    def __init__(self, tool: Tool, receipt: str, action: Action, agent: str, preconditions: Check | None) -> None:
        self._tool = tool
        self._receipt = receipt
        self._action = action
        self._agent = agent
        self._preconditions = preconditions
        self._spend: Spend | None = None

    async def __aenter__(self) -> Action:
        """See Spend."""
        self._spend = await self._tool._begin(self._receipt, self._action, self._agent, self._preconditions)
        return await self._spend.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See Spend."""
        if self._spend is not None:
            await self._spend.__aexit__(kind, error, trace)
