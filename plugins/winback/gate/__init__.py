"""The step gate: is this batch fit to act on?

What is expected stands in `expectations/`, one module per gate, with the reason for each. dbt
asserts what holds for any row; a gate judges a batch as a whole, keeps the verdict, and raises when
it fails. A person may let that pass on purpose, which is recorded.
"""

from winback.gate.judging import judge
from winback.gate.run import run_gate, warehouse_url
from winback.gate.subject import Batch, Earlier, Finding, Measure, Subject, measured
from winback.gate.verdict import has_passed, require_fit_to_act

__all__ = [
    "Batch",
    "Earlier",
    "Finding",
    "Measure",
    "Subject",
    "has_passed",
    "judge",
    "measured",
    "require_fit_to_act",
    "run_gate",
    "warehouse_url",
]
