"""Lists come in pages that name the next one; a page never shifts while somebody reads on."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from flags.management_api.errors import BadQuery


class Pages(CursorPagination):
    """50 things a page unless `page_size` says otherwise, up to 200."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering: tuple[str, ...] = ("key",)

    @classmethod
    def by(cls, *ordering: str) -> "type[Pages]":
        """Pages in this order."""
        return type("Pages", (cls,), {"ordering": ordering})

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return self.ordering

    def decode_cursor(self, request: Request) -> Any:
        try:
            return super().decode_cursor(request)
        except NotFound as error:
            raise BadQuery(
                [{"path": "cursor", "message": "is not a cursor that a page named"}]
            ) from error

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": address, "previous": address, "results": schema},
        }
