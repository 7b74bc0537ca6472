"""What the world reaches: the mail provider's webhook and the links of mails, without Airflow.

`app.py` adds the dashboard and is mounted by Airflow. This one can run alone, on a host of its own:

    python -m uvicorn --factory winback.web.public_app:create_app
"""

from __future__ import annotations

from fastapi import FastAPI

from winback.web import opt_in_page, preferences_page, unsubscribe_page, webhook_route

ROUTERS = (
    webhook_route.router,
    unsubscribe_page.router,
    preferences_page.router,
    opt_in_page.router,
)


def create_app() -> FastAPI:
    """Puts the routes together below `/winback`; touches neither database nor settings."""
    app = FastAPI(title="winback", docs_url=None, redoc_url=None, openapi_url=None)
    for router in ROUTERS:
        app.include_router(router, prefix="/winback")
    return app
