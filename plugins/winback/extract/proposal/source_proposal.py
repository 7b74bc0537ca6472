"""`./winback sources init`: from an address to the text of a sources file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from winback.errors import SourceError
from winback.extract.proposal.file_catalog import folder_tables
from winback.extract.proposal.postgres_catalog import postgres_tables, without_password
from winback.extract.proposal.proposal import SourceTable, propose
from winback.extract.proposal.proposal_text import proposal_text
from winback.extract.sources.source_connection import postgres_url


def propose_sources(address: str, dataset: str) -> str:
    """The text of a sources file with one dataset, proposed from what is found at an address.

    Args:
        address: A PostgreSQL's address, a folder or file, or the id of an Airflow connection.
        dataset: Name of the dataset.

    Raises:
        SourceError: There is nothing that could be read.
    """
    path = Path(address).expanduser()
    if address.startswith(("postgres://", "postgresql://")):
        connection = f"{dataset}_database"
        tables = postgres_tables(address, connection)
        place = without_password(address)
        login = [
            "",
            "winback logs in there through an Airflow connection; a login that may only read is",
            "enough. Add it in Airflow under Admin, Connections, or set before `./winback up`:",
            "",
            f"  export AIRFLOW_CONN_{connection.upper()}='{place}'",
        ]
    elif path.exists():
        path = path.resolve()
        tables, place, login = folder_tables(path), str(path), []
    elif "://" in address:
        # not repeated: it may hold a password
        raise SourceError(
            "--from takes postgres://user:password@host:5432/database, a folder, or the id of an "
            "Airflow connection of type Postgres"
        )
    else:
        url = postgres_url(address)
        tables, login = postgres_tables(url, address), []
        place = f"the Airflow connection {address}"
    introduction = _introduction(place, dataset, tables)
    return proposal_text(dataset, [*introduction, *login, ""], propose(tables))


def _introduction(place: str, dataset: str, tables: list[SourceTable]) -> list[str]:
    return [
        f"Proposed on {date.today()} by `./winback sources init` from {len(tables)} tables of",
        f"{place}",
        "",
        "It goes by names and types alone: look at every line, first at those with a remark, then",
        f"run `./winback sources check` with `dataset: {dataset}` in config/winback.yaml. In",
        "config/sources.yaml it goes below the `datasets:` that is there. docs/sources.md explains",
        "every key.",
    ]
