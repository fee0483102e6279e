"""How long to wait for what, in seconds; the defaults suit production, tests pass their own."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations in seconds."""

    block: float = 10.0  #: one blocking read; when it ends with nothing, the decision keys are looked at
    heartbeat: float = 30.0  #: while a request with `cancel_on_disconnect` is open; 90 s of silence withdraw it
    repair: float = 300.0  #: after this silence about a request, it is submitted again
    grace: float = 30.0  #: past the deadline, before no answer means Unavailable
    patience: float = 86_400.0  #: the deadline of a request that has none and was never acknowledged
    submit: float = 15.0  #: for Redis to take a request: longer than a usual failover
    spend: float = 10.0  #: for the bot to grant a spend; never beyond the receipt's own end
    collect: float = 10.0  #: for the bot to send a fresh receipt
    report: float = 10.0  #: for the bot to write down an outcome
    resend: float = 3.0  #: between two sendings of the same spend, report or collect
    first_backoff: float = 0.05  #: after the first lost connection
    most_backoff: float = 5.0  #: after many

    def backoff(self, failures: int) -> float:
        """A pause before the next connection, with full jitter, so that a thousand agents do not come back at once."""
        most = min(self.most_backoff, self.first_backoff * 2.0 ** min(failures, 20))
        return random.uniform(0, most)
