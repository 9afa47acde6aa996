"""``/tokens``: make, list, remove."""

import logging
import re
from collections.abc import Awaitable
from typing import Final, Protocol, TypeVar

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from companion.store import StoreError
from companion.web.errors import ApiError
from companion.web.tokens import ROOT, TokenBook, TokenScope

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


class TokenBody(BaseModel):
    """``POST /tokens``"""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    scope: TokenScope


class HasTokens(Protocol):
    """What the routes need of a companion."""

    @property
    def tokens(self) -> TokenBook: ...


def routes(companion: HasTokens) -> APIRouter:
    """For ``create_app``."""
    router = APIRouter()

    @router.get("/tokens")
    async def tokens() -> JSONResponse:
        rows = await _stored(companion.tokens.rows())
        return JSONResponse(
            [
                {
                    "name": row.name,
                    "scope": row.scope,
                    "created": row.created,
                    "last_used": row.last_used or None,
                }
                for row in rows
            ]
        )

    @router.post("/tokens")
    async def add_token(body: TokenBody) -> JSONResponse:
        if not _NAME.fullmatch(body.name) or body.name == ROOT:
            msg = (
                "the name of a token has 1 to 32 of a-z, 0-9, '.', '_' and '-', a letter or digit "
                f"first, and is not '{ROOT}'"
            )
            raise ApiError(422, "bad_name", msg)
        try:
            token = await _stored(companion.tokens.add(body.name, body.scope))
        except ValueError as error:
            raise ApiError(409, "known", str(error)) from None
        log.info("a token %r was made, good for %s", body.name, body.scope)
        return JSONResponse({"name": body.name, "scope": body.scope, "token": token})

    @router.delete("/tokens/{name}")
    async def remove_token(name: str) -> JSONResponse:
        if not await _stored(companion.tokens.remove(name)):
            raise ApiError(404, "not_found", f"there is no token '{name[:32]}'")
        log.info("the token %r was removed", name)
        return JSONResponse({"name": name})

    return router


T = TypeVar("T")


async def _stored(work: Awaitable[T]) -> T:
    try:
        return await work
    except StoreError as error:
        raise ApiError(503, "no_store", str(error)) from None
