"""The README's examples are Python, and use only names that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sayso

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_compiles_and_names_what_exists(example: str) -> None:
    tree = compile(example, "README.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    compile(example, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sayso":
            assert getattr(sayso, node.attr) is not None


async def test_the_first_example_runs() -> None:
    names: dict[str, object] = {}
    exec(EXAMPLES[0], names)
    release = names["release"]
    assert callable(release)
    async with sayso.testing.approving() as client:
        await release("acme", invoice="INV-2093", amount="12400.00")
    assert client.asked[0].action.arguments["currency"] == "EUR"


def test_every_public_name_can_be_imported() -> None:
    for name in sayso.__all__:
        assert getattr(sayso, name) is not None
    assert set(sayso.__all__) == set(dir(sayso))
    misspelt = "Sasyo"
    with pytest.raises(AttributeError, match="no attribute 'Sasyo'"):
        getattr(sayso, misspelt)
