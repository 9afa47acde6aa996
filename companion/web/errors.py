"""How errors look: ``{"error": {"code", "msg"}}`` with a fitting status."""

from fastapi.responses import JSONResponse


class ApiError(Exception):
    """Becomes an answer with that status, code and message."""

    def __init__(self, status: int, code: str, msg: str) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg


def error_response(status: int, code: str, msg: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "msg": msg}}, status_code=status)
