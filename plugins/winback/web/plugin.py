"""Airflow's way in: mounts the web app under /winback and adds the tab to the navigation.

This is the only file below `plugins/` that Airflow imports by itself (see `.airflowignore`).
"""

from airflow.plugins_manager import AirflowPlugin

from winback.web.app import create_app


class WinbackPlugin(AirflowPlugin):
    """The Win-back tab, the event webhook and the pages that messages link to."""

    name = "winback"
    fastapi_apps = [{"app": create_app(), "url_prefix": "/winback", "name": "Win-back"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Win-back",
            "href": "/winback/dashboard",
            "url_route": "winback",
            "destination": "nav",
        }
    ]
