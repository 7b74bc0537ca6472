"""The web app: dashboard for people logged in to Airflow; webhook and links of mails for all.

Airflow mounts it outside its own login, so every route that shows data asks for the user itself.
"""

from __future__ import annotations

from fastapi import FastAPI

from winback.web import dashboard
from winback.web.public_app import ROUTERS


def create_app() -> FastAPI:
    """Puts the routes together; touches neither database nor settings."""
    app = FastAPI(title="winback", docs_url=None, redoc_url=None, openapi_url=None)
    for router in (*ROUTERS, dashboard.router):
        app.include_router(router)
    return app
