"""Data Docs: the page of each gate run, rendered by Great Expectations, and the list of pages.

The tables are Great Expectations' own; the page around them is ours and needs nothing from another
host. It shows counts and shares, never a row: examples stay in the warehouse.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winback.gate.records import GateRun
from winback.gate.subject import Finding
from winback.settings import settings

PAGES = Path(__file__).parent / "pages"


def page_of(folder: Path, run: GateRun) -> Path:
    """Where the page of a run lies; it may have been cleared away since."""
    verdict = "passed" if run.is_passed else "failed"
    return folder / f"run-{run.gate_run_id}-{run.gate}-{run.as_of}-{verdict}.html"


def write_page(
    folder: Path, run: GateRun, results: Sequence[Any], not_judged: Sequence[Finding]
) -> Path:
    """Writes the page of a run and the list of pages, and clears the oldest away.

    Args:
        folder: Where the pages lie.
        run: The run.
        results: Great Expectations' result of each suite.
        not_judged: What could not be judged yet.

    Returns:
        The page.
    """
    from great_expectations.render.view.view import DefaultJinjaView

    class View(DefaultJinjaView):
        """Great Expectations' way from rendered content to HTML, in our page."""

        _template = "run.html"

        def _validate_document(self, document: Any) -> None:
            """Takes what `_document` makes."""

    view: Any = View(custom_views_directory=str(PAGES))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    page = page_of(folder, run)
    _replace(page, view.render(_document(run, results), run=run, not_judged=not_judged))
    kept = _clear_away(folder, settings().kept_gate_pages)
    _replace(folder / "index.html", view.env.get_template("runs.html").render(pages=kept))
    return page


def _document(run: GateRun, results: Sequence[Any]) -> Any:
    from great_expectations.render.components import RenderedDocumentContent

    return RenderedDocumentContent(
        renderer_type="ValidationResultsPageRenderer",
        page_title=f"Gate {run.gate}, run {run.gate_run_id}",
        sections=[_section(result) for result in results],
    )


def _section(result: Any) -> Any:
    """A suite as a section: Great Expectations' table, and beside each rule where it comes from."""
    from great_expectations.render.components import (
        RenderedHeaderContent,
        RenderedSectionContent,
        RenderedTableContent,
    )

    rows = [_row(each) for each in result.results]
    table = RenderedTableContent(
        table=rows, header_row=["", "expected", "measure", "seen", "why", "from"]
    )
    header = RenderedHeaderContent(header=html.escape(result.suite_name))
    return RenderedSectionContent(section_name=result.suite_name, content_blocks=[header, table])


def _row(result: Any) -> list[Any]:
    from great_expectations.render.renderer.content_block.validation_results_table_content_block import (  # noqa: E501
        ValidationResultsTableContentBlockRenderer,
    )

    config = result.expectation_config
    table: Any = ValidationResultsTableContentBlockRenderer.render(
        [_without_traceback(result)], include_column_name=False
    )
    ((status, expected, seen),) = table.table
    column = config.kwargs.get("column", "")
    texts = [html.escape(text) for text in (column, config.meta["why"], config.meta["source"])]
    return [status, expected, texts[0], seen, *texts[1:]]


def _without_traceback(result: Any) -> Any:
    """A result as it was, but for the program's inside, which is in the task's log."""
    if not result.exception_info or result.exception_info.get("raised_exception") is False:
        return result
    stripped = copy.deepcopy(result)
    for each in [stripped.exception_info, *stripped.exception_info.values()]:
        if isinstance(each, dict) and "exception_traceback" in each:
            each["exception_traceback"] = ""
    return stripped


def _clear_away(folder: Path, n_kept: int) -> list[Path]:
    """Removes all but the newest pages; returns those, newest first."""
    pages = sorted(folder.glob("run-*.html"), key=_number, reverse=True)
    for page in pages[n_kept:]:
        # another gate may be clearing away at the same time
        page.unlink(missing_ok=True)
    return pages[:n_kept]


def _number(page: Path) -> int:
    return int(page.name.split("-")[1])


def _replace(page: Path, text: str) -> None:
    unfinished = page.with_suffix(f".{page.stem}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(page)
