"""The one screen of a gate run: the task's log and `./winback gate show` say the same lines.

What failed, where, how many, why it matters, examples, and what can be done about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from textwrap import wrap

from rich.text import Text

from winback.gate.records import GateRun
from winback.gate.subject import Finding

WIDTH = 98
_LABEL = 14  # columns up to the end of a label
GO_ON = {
    "raw": "./winback run winback_model",
    "marts": "./winback run winback_outreach",
}
_STOPPED = {
    "raw": "Nothing is built on it, and nobody is written to.",
    "marts": "Nobody is selected from it, and nobody is written to.",
}


def lines(run: GateRun, findings: Sequence[Finding], page: Path) -> Iterator[Text]:
    """The screen, line by line.

    Args:
        run: The run.
        findings: What it found.
        page: Its page.
    """
    failed = [finding for finding in findings if not finding.is_met]
    yield from _verdict(run, findings)
    if run.is_passed:
        yield from _met(findings)
    for number, finding in enumerate(failed, 1):
        yield Text()
        yield from _failed(number, finding)
    yield from _not_judged(findings)
    yield Text()
    if not run.is_passed:
        yield from _what_to_do(run, failed)
    yield Text.assemble(_footer("page"), str(page))


def _verdict(run: GateRun, findings: Sequence[Finding]) -> Iterator[Text]:
    n_later = sum(finding.not_judged is not None for finding in findings)
    if run.is_passed:
        verdict, style = "passed", "bold green"
    elif run.accepted_by is not None:
        verdict, style = "FAILED, and was let pass on purpose", "bold yellow"
    else:
        verdict, style = "FAILED", "bold red"
    yield Text.assemble(
        (f"gate {run.gate} {verdict}", style),
        f"   run {run.gate_run_id}, snapshot {run.snapshot_id} of {run.as_of} ({run.purpose})",
    )
    counted = f"{run.n_expectations - run.n_failed} of {run.n_expectations} expectations are met"
    yield Text(counted + (f", {n_later} can not be judged yet" if n_later else ""))
    if run.accepted_by is not None:
        when = f"{run.accepted_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if run.accepted_at else ""
        earlier = f" (as run {run.accepted_run})" if run.accepted_run != run.gate_run_id else ""
        text = f"accepted on purpose by {run.accepted_by}, {when}{earlier}, because {run.reason}"
        yield from (Text(part, "yellow") for part in wrap(text, WIDTH))
    elif not run.is_passed:
        yield Text(_STOPPED[run.gate])


def _met(findings: Sequence[Finding]) -> Iterator[Text]:
    judged = [f for f in findings if f.not_judged is None and f.column is not None]
    for subject in dict.fromkeys(finding.subject for finding in judged):
        yield Text()
        yield Text(subject, "bold")
        for finding in judged:
            if finding.subject == subject:
                seen = finding.observed.partition(" (")[0]
                yield Text.assemble((f"{seen:>16}  ", "green"), finding.expected)


def _failed(number: int, finding: Finding) -> Iterator[Text]:
    yield Text.assemble(
        (f"{number:>3}  ", "bold red"),
        (finding.subject, "bold"),
        (f"  {finding.column or finding.expectation}", "dim"),
    )
    yield from _labelled("expected", finding.expected)
    yield from _labelled("seen", finding.observed, "bold red")
    yield from _labelled("why", finding.why)
    yield from _labelled("from", finding.source)
    yield from _examples(finding)
    if finding.rows:
        # in one line, so that it can be copied
        yield Text.assemble(
            (f"     {'all of them':<{_LABEL - 3}}  ", "dim"),
            f'./winback sql --owner "{finding.rows}"',
        )


def _labelled(label: str, text: str, style: str = "") -> Iterator[Text]:
    for n, part in enumerate(wrap(text, WIDTH - _LABEL - 4)):
        shown = label if n == 0 else ""
        yield Text.assemble((f"     {shown:<{_LABEL - 3}}  ", "dim"), (part, style))


def _examples(finding: Finding) -> Iterator[Text]:
    if not finding.examples:
        return
    names = list(finding.examples[0])
    widths = {n: max(len(n), *(len(row[n]) for row in finding.examples)) for n in names}
    header: Mapping[str, str] = {name: name for name in names}
    for n, row in enumerate([header, *finding.examples]):
        shown = "such as" if n == 0 else ""
        cells = "  ".join(f"{row[name]:<{widths[name]}}" for name in names).rstrip()
        yield Text.assemble(
            (f"     {shown:<{_LABEL - 3}}  ", "dim"), (cells, "dim" if n == 0 else "")
        )
    n_more = (finding.n_unexpected or 0) - len(finding.examples)
    if n_more > 0:
        yield from _labelled("", f"and {n_more:,} more", "dim")


def _not_judged(findings: Sequence[Finding]) -> Iterator[Text]:
    reasons = Counter(f.not_judged for f in findings if f.not_judged is not None)
    if not reasons:
        return
    yield Text()
    yield Text("not judged yet", "dim")
    for reason, n in reasons.most_common():
        names = [f"{f.subject} {f.column}" for f in findings if f.not_judged == reason]
        text = f"{reason}: " + (names[0] if n == 1 else f"{n} expectations, such as {names[0]}")
        yield from (Text(f"     {part}", "dim") for part in wrap(text, WIDTH - 5))


def _what_to_do(run: GateRun, failed: Sequence[Finding]) -> Iterator[Text]:
    if run.accepted_by is not None:
        yield Text.assemble(_footer("goes on with"), (GO_ON[run.gate], "bold"))
        return
    yield Text.assemble(
        _footer("mend it"),
        "at the source or in config/sources.yaml, then run ",
        ("./winback run winback_ingest", "bold"),
    )
    if run.purpose != "live":
        return
    if all(finding.can_be_accepted for finding in failed):
        yield Text.assemble(
            _footer("let it pass"),
            (f'./winback gate accept {run.gate_run_id} --reason "…"', "bold"),
        )
    else:
        yield Text.assemble(
            _footer("let it pass"), "not possible: something was not checked at all"
        )


def _footer(label: str) -> tuple[str, str]:
    return f"{label:<{_LABEL + 4}}", "dim"
