"""The web app: dashboard for people logged in to Airflow; webhook and links of mails for all.

Airflow mounts it outside its own login, so every route that shows data asks for the user itself.
"""

from __future__ import annotations

from fastapi import FastAPI

from winback.web import (
    dashboard,
    opt_in_page,
    preferences_page,
    unsubscribe_page,
    webhook_route,
)


def create_app() -> FastAPI:
    """Puts the routes together; touches neither database nor settings."""
    app = FastAPI(title="winback", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(webhook_route.router)
    app.include_router(unsubscribe_page.router)
    app.include_router(preferences_page.router)
    app.include_router(opt_in_page.router)
    app.include_router(dashboard.router)
    return app
