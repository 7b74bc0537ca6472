"""Dynamic templates: `PUT /sandbox/templates/{id}` puts one there, and the provider's way shows it.

How one is filled is `rendering`.
"""

from __future__ import annotations

import hmac
import json

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from winback.sandbox.faults import FaultSwitch
from winback.sandbox.journal import Journal
from winback.sandbox.send import errors, faulty, unauthorized
from winback.sandbox.value_rules import Problem


class Template(BaseModel):
    """A template as a test or a person puts it there; its one version is the active one."""

    model_config = ConfigDict(extra="forbid")

    subject: str = ""
    html_content: str = ""
    plain_content: str = ""
    generation: str = "dynamic"
    active: int = 1


def templates_router(journal: Journal, faults: FaultSwitch, api_key: str) -> APIRouter:
    """The routes by which templates are put there and shown."""
    router = APIRouter()
    authorization = f"Bearer {api_key}".encode()

    @router.put("/sandbox/templates/{template_id}", status_code=204)
    def put(template_id: str, template: Template) -> None:
        versions = [
            {"id": f"version-of-{template_id}", "template_id": template_id, "name": "made up"}
            | {"updated_at": "2026-01-01 00:00:00"}
            | template.model_dump(exclude={"generation"})
        ]
        content = {
            "id": template_id, "name": "made up", "generation": template.generation,
            "updated_at": "2026-01-01 00:00:00", "versions": versions,
        }  # fmt: skip
        with journal.transaction() as connection:
            connection.execute(
                "insert or replace into template values (?, ?)", (template_id, json.dumps(content))
            )

    @router.get("/v3/templates/{template_id}")
    def show(request: Request, template_id: str) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, authorization):
            return unauthorized()
        fault = faults.take(accepted=False, request="templates")
        if fault is not None:
            return faulty(fault, {})
        rows = journal.read("select content from template where template_id = ?", (template_id,))
        if not rows:
            return errors(404, [Problem("Template not found", "template_id")])
        return JSONResponse(json.loads(rows[0]["content"]))

    return router
