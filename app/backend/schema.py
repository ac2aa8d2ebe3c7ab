"""The GraphQL schema: each app's part, and what bounds a query.

Only the API imports this module; loading strawberry costs a worker memory and start-up time for nothing.
"""

from collections.abc import Sequence
from typing import Any

import strawberry
from graphql import GraphQLError
from graphql.language import FieldNode, OperationDefinitionNode, OperationType
from graphql.validation import ValidationRule
from strawberry.extensions import (
    AddValidationRules,
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    ValidationCache,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext

from accounts.api import AccountsMutation
from backend.limits import MAX_QUERY_ALIASES, MAX_QUERY_DEPTH, MAX_QUERY_TOKENS
from healthkit.api import HealthkitMutation, HealthkitQuery
from reminders.api import RemindersMutation

Query = merge_types("Query", (HealthkitQuery,))
Mutation = merge_types("Mutation", (AccountsMutation, HealthkitMutation, RemindersMutation))


class OneMutationRule(ValidationRule):
    """A mutation has one root field: an error then speaks of the whole request, and no effect hides beside it."""

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Count the root fields; a fragment at the root would hide them, so it is refused too."""
        if node.operation is not OperationType.MUTATION:
            return
        selections = node.selection_set.selections
        if len(selections) != 1 or not isinstance(selections[0], FieldNode):
            self.report_error(GraphQLError("a mutation has exactly one field", node))


class Schema(strawberry.Schema):
    """The schema; what went wrong is logged by the endpoint, with its code and without values."""

    def process_errors(self, errors: Sequence[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Not here: the default would log a trace for every refusal."""


# Made once: the cache of validated documents knows a document by its rules, and rules made per request never hit it.
RULES = (
    *QueryDepthLimiter(max_depth=MAX_QUERY_DEPTH).validation_rules,
    *MaxAliasesLimiter(max_alias_count=MAX_QUERY_ALIASES).validation_rules,
    OneMutationRule,
)

schema = Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(auto_camel_case=True),
    extensions=[
        lambda: MaxTokensLimiter(max_token_count=MAX_QUERY_TOKENS),
        lambda: ParserCache(maxsize=64),
        lambda: AddValidationRules(list(RULES)),
        lambda: ValidationCache(maxsize=64),
    ],
)
