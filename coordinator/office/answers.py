"""How the office answers: what was found, what a command came to, one line where something is refused."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse, Response

from coordinator.live.running_firm import RunningFirm
from coordinator.shown import finite

Json = dict[str, Any]
WAIT = 10.0  # s that a command may take before its answer is `pending`


def known(firm: RunningFirm, department: str) -> str:
    """A department's name; others are answered by 404."""
    if department not in firm.departments:
        raise HTTPException(404, f"DEPARTMENT must be one of {', '.join(firm.departments)}")
    return department


def answer(found: Any) -> Response:  # noqa: ANN401
    """What was found; numbers that are not finite are null."""
    return JSONResponse(finite(found))


def carried(came: Json) -> Response:
    """What a command came to."""
    if came["state"] == "refused":
        return refusal(409, came["message"])
    return JSONResponse(came, 202 if came["state"] == "pending" else 200)


def refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """One line."""
    return JSONResponse({"error": " ".join(reason.split())}, status, headers)
