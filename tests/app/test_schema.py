"""The committed SDL is the schema, and the schema is read-only towards the phone's records."""

from pathlib import Path

import pytest
from graphql import GraphQLObjectType, build_schema

from backend.schema import OneMutationRule, schema

SDL = Path(__file__).parents[2] / "app" / "schema.graphql"
# What a phone or an operator may change; none of it changes or exports a record.
MUTATIONS = {
    "registerDevice",
    "requestVerificationCode",
    "verifyCode",
    "startImport",
    "uploadChunk",
    "createReminder",
    "redrive",
}


def test_committed_sdl_is_the_schema() -> None:
    assert SDL.read_text(encoding="utf-8") == f"{schema.as_str()}\n", "run: python manage.py export_schema"


def test_no_mutation_changes_a_record() -> None:
    assert set(_type("Mutation").fields) == MUTATIONS


def test_no_query_exports_records() -> None:
    assert set(_type("Query").fields) == {"importProgress", "aggregates", "anchor", "anchors"}


def _type(name: str) -> GraphQLObjectType:
    found = build_schema(SDL.read_text(encoding="utf-8")).type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def test_known_document_is_not_validated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[str] = []
    monkeypatch.setattr(OneMutationRule, "enter_operation_definition", lambda *_: validated.append("once"))
    for _ in range(3):
        schema.execute_sync("query known { __typename }")
    assert validated == ["once"]
