"""Which index a query needs, by Firestore's rules, and whether infra/ has it.

Firestore serves a query from one index that holds the fields asked to be equal, in any order, and after them those that
it is ordered by, each in its direction. Where there is only one field, or only equal ones, the indexes that each field
has by itself are enough. A sum needs its field in the index. (Indexes can also be merged; none of ours has to be.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.cloud.firestore_v1.types import StructuredQuery

from tests.infra.configuration import Configuration

Direction = StructuredQuery.Direction
_EQUAL: Final = StructuredQuery.FieldFilter.Operator.EQUAL
_RANGE: Final = frozenset(
    StructuredQuery.FieldFilter.Operator[name]
    for name in ("LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL")
)
_IS_NULL: Final = StructuredQuery.UnaryFilter.Operator.IS_NULL
_NAME: Final = "__name__"


@dataclass(frozen=True)
class Need:
    """What a query needs: fields that are equal, then fields in order (- is descending), then fields added up."""

    collection: str
    equal: frozenset[str]
    ordered: tuple[str, ...] = ()
    summed: frozenset[str] = frozenset()

    @property
    def composite(self) -> bool:
        fields = len(self.equal) + len(self.ordered) + len(self.summed)
        return fields > 1 and bool(self.ordered or self.summed)

    @property
    def single_fields(self) -> frozenset[str]:
        """collection/field of the single-field indexes that serve it."""
        if self.composite:
            return frozenset()
        return frozenset(f"{self.collection}/{name.lstrip('-')}" for name in (*self.equal, *self.ordered, *self.summed))


@dataclass(frozen=True)
class Index:
    """A composite index: its fields in order (- is descending)."""

    name: str
    collection: str
    fields: tuple[str, ...]

    def serves(self, need: Need) -> bool:
        if self.collection != need.collection:
            return False
        first, rest = self.fields[: len(need.equal)], self.fields[len(need.equal) :]
        if {name.lstrip("-") for name in first} != need.equal:
            return False
        ordered, summed = rest[: len(need.ordered)], rest[len(need.ordered) :]
        return ordered == need.ordered and {name.lstrip("-") for name in summed} == need.summed


def need_of(query: StructuredQuery, sums: Iterable[str] = ()) -> Need:
    """Raises ValueError for what these rules do not cover, such as OR."""
    (source,) = query.from_
    if source.all_descendants:
        raise ValueError("a query of a collection group")
    equal, ranged = set(), set()
    for one in _filters(query.where):
        (equal if one[1] else ranged).add(one[0])
    ordered = [
        ("-" if order.direction == Direction.DESCENDING else "") + order.field.field_path for order in query.order_by
    ]
    if ranged and not ordered:
        ordered = sorted(ranged)
    if {name.lstrip("-") for name in ordered[:1]} != (ranged or {name.lstrip("-") for name in ordered[:1]}):
        raise ValueError(f"ordered by {ordered} and not first by {ranged}")
    if ordered and ordered[-1].lstrip("-") == _NAME:
        name = ordered.pop()
        if ordered and name.startswith("-") != ordered[-1].startswith("-"):
            raise ValueError("the name in another direction than the field before it")
    return Need(source.collection_id, frozenset(equal), tuple(ordered), frozenset(sums) - equal)


def _filters(where: StructuredQuery.Filter) -> Iterable[tuple[str, bool]]:
    """(field, whether it is asked to be equal) of each condition."""
    if "composite_filter" in where:
        if where.composite_filter.op != StructuredQuery.CompositeFilter.Operator.AND:
            raise ValueError("OR")
        for inner in where.composite_filter.filters:
            yield from _filters(inner)
    elif "field_filter" in where:
        if where.field_filter.op not in (_EQUAL, *_RANGE):
            raise ValueError(f"the operator {where.field_filter.op.name}")
        yield where.field_filter.field.field_path, where.field_filter.op == _EQUAL
    elif "unary_filter" in where:
        if where.unary_filter.op != _IS_NULL:
            raise ValueError(f"the operator {where.unary_filter.op.name}")
        yield where.unary_filter.field.field_path, True


def indexes(configuration: Configuration) -> list[Index]:
    """The composite indexes, as their resources will be made."""
    return [
        Index(str(each.key), each.body["collection"], tuple(_field(one) for one in each.body["fields"]))
        for each in configuration.instances("google_firestore_index")
    ]


def _field(block: dict[str, Any]) -> str:
    """The field of a block; its expressions take a leading - for descending."""
    path = re.fullmatch(r'\$\{trimprefix\("(-?[\w.]+)", "-"\)\}', block["field_path"])
    order = re.fullmatch(r'\$\{startswith\("(-?[\w.]+)", "-"\) \? "DESCENDING" : "ASCENDING"\}', block["order"])
    if path is None or order is None or path[1] != order[1]:
        raise ValueError(f"not understood: {block}")
    return path[1]


def unindexed(configuration: Configuration) -> set[str]:
    """collection/field of all that has no index of its own."""
    return {str(each.key) for each in configuration.instances("google_firestore_field")}


def problems(needs: Iterable[Need], configuration: Configuration) -> list[str]:
    """Queries that nothing serves, and indexes that serve nothing."""
    there, without, asked = indexes(configuration), unindexed(configuration), set(needs)
    servers = {need: [index for index in there if index.serves(need)] for need in asked if need.composite}
    found = [
        f"no index for {sorted(need.equal)} {list(need.ordered)} {sorted(need.summed)} of {need.collection}"
        for need, serving in servers.items()
        if not serving
    ]
    found += [f"{name} is asked for alone and has no index" for need in asked for name in need.single_fields & without]
    found += [f"the index {index.name} is not used" for index in there if [index] not in servers.values()]
    return sorted(found)
