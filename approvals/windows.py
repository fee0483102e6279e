"""Windows: what was asked lately comes to, so that a limit cannot be passed in small steps.

A rule's condition asks for them with `window_sum("amount", "24h")` and `window_count("1h")`. A window belongs to its
rule: it counts every request that the rule's `match` covers, whatever else the condition says. The arguments are
literal texts, so that every window of a policy is known when it is loaded.
"""

from __future__ import annotations

from approvals.action import Frozen


class Share(Frozen):
    """What a request takes of one window: an amount in millionths (money.py), or 1 of a count."""

    window: str  #: its name; it tells nothing of what is counted
    amount: int
    length: int  #: of the window, in ms
