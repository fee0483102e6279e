"""For whom an agent really acts: what an identity token of that person says, beside what the agent says.

The token is looked at once, at intake. It is neither kept nor told.
"""

from __future__ import annotations

from approvals.errors import EntryRefused
from approvals.intake import RequestDocument
from approvals.policy import Policy
from approvals.ports import Identities


def is_vouched(document: RequestDocument, agent: str, policy: Policy, identities: Identities | None, now: int) -> bool:
    """Whether a token says that the agent acts for this principal; without one, nobody does. `now` is in ms.

    Raises EntryRefused for a token that does not say so: it is never as good as none.
    """
    if document.principal_token is None:
        return False
    identity = policy.identity_of(agent)
    if identity is None:
        raise EntryRefused(
            "principal_not_verified",
            f"no issuer of identity tokens is registered for {agent}",
            field="principal_token",
            remedy=f"leave it out, or under agents.{agent} say identity: {{issuer: …, audience: …, jwks: …}}",
        )
    subject = identities.subject(document.principal_token, identity, now) if identities else None
    if subject is None:
        raise EntryRefused(
            "principal_not_verified",
            "this is no valid identity token for us",
            field="principal_token",
            remedy=f"send one of {identity.issuer} for {identity.audience} that has not expired",
        )
    if document.principal is None or subject not in policy.subjects_of(document.principal):
        raise EntryRefused(
            "principal_not_verified",
            "the identity token is not the named principal's",
            field="principal_token",
            remedy="name its person as principal; what tokens call a person stands under people.<id>.subjects",
        )
    return True
