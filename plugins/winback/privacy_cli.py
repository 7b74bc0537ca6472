"""`./winback erase`: what is asked and printed; the work is done in `privacy/erasure.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from winback.terminal import line, user_name


def erase(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="A customer_key, or the id at your source.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask; it cannot be taken back.")
    ] = False,
) -> None:
    """Erase a person for good: from every table and list, under every customer number they had.

    The addresses stay suppressed as keyed hashes, proof of their consents is kept apart until its
    deadline, and no figure changes. The next loads leave the person out, whatever the source
    delivers. Given again it finishes what an interrupted run left. Works while winback is down.

    Example:

        ./winback erase 10042
    """
    from winback.extract.snapshot import chosen_dataset
    from winback.privacy.erasure import erase as erase_person
    from winback.server.instance_command import work_inside
    from winback.settings import settings

    work_inside()
    if not yes:
        typer.confirm("Erase this person for good? It cannot be taken back", abort=True)
    config = settings()
    erased = erase_person(customer, chosen_dataset(config), user_name(), config)
    if not erased.is_new:
        line(f"erased before (erasure {erased.erasure_id}); the lists were looked at again")
    else:
        line(
            f"erased (erasure {erased.erasure_id}): {sum(erased.n_rows.values()):,} rows of"
            f" {len(erased.n_rows)} tables; the marts are built anew by the next winback_ingest"
        )
    if erased.namesakes:
        line(
            f"{erased.namesakes} other customers have the same address: ./winback erase them as"
            " well if they are the same person"
        )
    for path in erased.foreign_files:
        line(f"{path} holds the person and is not ours: delete it, or the row")
    line("erase the person at your sources, your mail provider and in your backups as well")
