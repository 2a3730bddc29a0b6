"""Every error as a problem document (RFC 9457). The only place where errors become statuses."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from flags.errors import (
    AlreadyExists,
    ApprovalNeeded,
    Busy,
    Conflict,
    Denied,
    FlagsiteError,
    InUse,
    Invalid,
    NotFound,
    SecondFactorNeeded,
    StaleChange,
)

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:flagsite:problem:"

# The first class that an error is an instance of says its status and the last part of its type.
_STATUS: list[tuple[type[FlagsiteError], int, str]] = [
    (ApprovalNeeded, 403, "approval-needed"),
    (SecondFactorNeeded, 403, "second-factor-needed"),
    (Denied, 403, "denied"),
    (NotFound, 404, "not-found"),
    (AlreadyExists, 409, "already-exists"),
    (InUse, 409, "in-use"),
    (StaleChange, 409, "stale"),
    (Conflict, 409, "conflict"),
    (Invalid, 422, "invalid"),
    (Busy, 503, "busy"),
]
_NAMES = {
    400: "malformed",
    401: "not-signed-in",
    403: "denied",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    411: "length-required",
    412: "precondition-failed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    503: "busy",
}


class PreconditionFailed(exceptions.APIException):
    """What `If-Match` names is not what is there."""

    status_code = 412
    default_code = "precondition_failed"


class BadQuery(exceptions.APIException):
    """A query parameter that is none or has a wrong value; `problems` says which."""

    status_code = 400

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("a parameter of the address is wrong")
        self.problems = problems


class Unprocessable(exceptions.APIException):
    """A request that is well formed and cannot be what was meant."""

    status_code = 422


class TryAgain(exceptions.APIException):
    """What is needed is not there at this moment."""

    status_code = 503


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: any error whatever becomes a problem document."""
    set_rollback()
    request: Request = context["request"]
    if isinstance(error, InterfaceError | OperationalError):
        logger.warning("management_api.database_away error=%s", type(error).__name__)
        away = "the database cannot be reached at this moment; try again"
        return problem(503, "busy", away, headers={"Retry-After": "5"})
    if isinstance(error, FlagsiteError):
        return _domain_problem(error, request)
    if isinstance(error, Http404):
        error = exceptions.NotFound("there is nothing at this address")
    if isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.ValidationError):
        return problem(
            422, "invalid", "the body is not what is expected", problems_in(error.detail)
        )
    if isinstance(error, exceptions.APIException):
        return _framework_problem(error)
    logger.exception("management_api.failed", extra={"path": request.path})
    return problem(500, "failed", "something went wrong here; it is in the log")


def problem(
    status: int,
    name: str,
    detail: str,
    problems: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document; `name` is the last part of its type."""
    document = {
        "type": TYPE_PREFIX + name,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "problems": problems or [],
        **members,
    }
    return Response(document, status=status, headers=headers, content_type=MEDIA_TYPE)


def problems_in(detail: Any, path: str = "") -> list[dict[str, str]]:
    """The errors of a serializer, flat, each with the place it is about."""
    return [{"path": where, "message": message} for where, message in _flat(detail, path)]


def _flat(detail: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            if name == "non_field_errors":
                yield from _flat(inner, path)
            elif isinstance(name, int):
                yield from _flat(inner, f"{path}[{name}]")
            else:
                yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, str):
        yield path, str(detail)
    elif isinstance(detail, Sequence):
        for index, inner in enumerate(detail):
            # A list of messages is about the place itself; a list of objects is about its elements.
            yield from _flat(inner, path if isinstance(inner, str) else f"{path}[{index}]")


def _domain_problem(error: FlagsiteError, request: Request) -> Response:
    status, name = next((s, n) for cls, s, n in _STATUS if isinstance(error, cls))
    if isinstance(error, StaleChange) and "If-Match" in request.headers:
        # The race was lost after the header had been compared: the answer is the same.
        status, name = 412, "precondition-failed"
    if isinstance(error, Invalid):
        problems = [{"path": row.path, "message": row.message} for row in error.problems]
        return problem(status, name, "the change is refused as it stands", problems)
    if isinstance(error, ApprovalNeeded):
        return problem(status, name, str(error), environments=error.environments)
    headers = {"Retry-After": "1"} if isinstance(error, Busy) else None
    return problem(status, name, str(error), headers=headers)


def _framework_problem(error: exceptions.APIException) -> Response:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    detail = error.detail if isinstance(error.detail, str) else str(error.default_detail)
    return problem(
        error.status_code,
        _NAMES.get(error.status_code, "failed"),
        str(detail),
        getattr(error, "problems", None),
        headers,
    )
