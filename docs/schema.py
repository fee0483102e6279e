"""Writes the policy's JSON Schema from the models that check it: `python -m docs.schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from approvals.policy_file import PolicyFile

SCHEMA: Final = Path(__file__).parent / "reference" / "policy.schema.json"

#: The policy's only validators that run before a type is checked read durations.
_DURATION: Final = {
    "type": "string",
    "pattern": "^[1-9][0-9]{0,5}[smhd]$",
    "examples": ["90s", "15m", "2h", "1d"],
}


class _Generator(GenerateJsonSchema):
    """Shows durations as they are written in the file, not as the milliseconds they become."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """The schema of a value that is read by a function first."""
        return dict(_DURATION)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The schema without the default: it would be shown in milliseconds."""
        return self.generate_inner(schema["schema"])


def schema() -> str:
    """The schema as text."""
    found = PolicyFile.model_json_schema(schema_generator=_Generator)
    head = {"$schema": _Generator.schema_dialect, "title": "A policy of Sayso"}
    return json.dumps(head | {k: v for k, v in found.items() if k != "title"}, indent=2) + "\n"


def main() -> None:
    """Write the file."""
    SCHEMA.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
