"""`./winback bench model`: what the step model computes, against the least it could cost."""

from __future__ import annotations

from benchmarks import model_stage, model_value
from benchmarks.measuring import Result


def run(scale: float) -> Result:
    """Measures.

    Args:
        scale: Of the full size; under 1 for a quick look.
    """
    result = Result("model")
    model_value.measure(scale, result)
    model_stage.measure(scale, result)
    return result
