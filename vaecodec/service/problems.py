"""Why a request has no answer, as application/problem+json (RFC 9457) with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Problem(HTTPException):
    """retry: seconds after which the same request may have success."""

    def __init__(self, status: int, detail: str, retry: int | None = None) -> None:
        super().__init__(status, detail, {} if retry is None else {"Retry-After": str(retry)})


def problem(error: HTTPException) -> Response:
    title = HTTPStatus(error.status_code).phrase
    facts = {"type": "about:blank", "title": title, "status": error.status_code, "detail": error.detail}
    headers: Mapping[str, str] | None = error.headers
    return JSONResponse(facts, error.status_code, headers, "application/problem+json")


def on_problem(_: Request, error: Exception) -> Response:
    """Of Starlette's own: no such path, method not allowed."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        error.detail = "there is nothing at this path; / says what there is"
    elif error.status_code == 405:
        error.detail = f"this path takes {(error.headers or {}).get('Allow')}"
    return problem(error)


def on_bug(_: Request, error: Exception) -> Response:
    return problem(Problem(500, "an error of the service, which its log has"))
