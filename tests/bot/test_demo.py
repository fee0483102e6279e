"""The policy of a demo in a real workspace, where one person answers everything."""

from __future__ import annotations

import yaml

from approvals.policy import Policy
from bot.demo import POLICY, policy_for_one
from tests.build import a_document, an_action


def test_one_person_of_a_real_workspace_is_enough_for_every_scene() -> None:
    mapping = yaml.safe_load(policy_for_one("T0REAL", "U0ME"))
    policy = Policy.parse(mapping, "sha256:x")
    for agent, kind in _scenes():
        asked = a_document(action=an_action(kind=kind), principal="service:demo", started_by=None)
        terms = policy.terms(policy.admit(asked, agent, 0))
        assert {source for factor in terms.factors for source in factor.sources} == {"person:you"}
        assert sum(factor.need for factor in terms.factors) == 1
        assert terms.destinations == ("slack:U0ME",)
        assert "you" not in terms.excluded


def _scenes() -> list[tuple[str, str]]:
    """Every kind of the demo with the agent that asks for it."""
    demo = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    asks = {agent["kinds"][0].split(".")[0]: name for name, agent in demo["agents"].items()}
    return [(asks[kind.split(".")[0]], kind) for kind in demo["kinds"]]
