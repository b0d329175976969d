"""A defended model that learned nothing is named, from its training alone."""

from pathlib import Path

import pytest

from ray_defense.core.files import write_json
from ray_defense.stages.usefulness import why_useless
from tests.support.steps import plan_context, publish_step


def reason(tmp_path: Path, accuracy: float | None, counts: list[int]) -> str | None:
    context = plan_context(tmp_path)
    metrics = {"history": [] if accuracy is None else [{"trusted_accuracy": accuracy}]}
    step = publish_step(
        context, "d_st", lambda directory: write_json(directory / "metrics.json", metrics)
    )
    return why_useless("d_st", step.artifact, counts)


@pytest.mark.parametrize(
    ("accuracy", "counts", "is_useless"),
    [
        (0.17, [40] * 10, True),  # chance is 0.1
        (0.25, [40] * 10, False),
        (0.49, [50, 50], True),
        (0.51, [50, 50], False),
        (0.51, [90, 10], False),  # never more than half is asked for
        (None, [50, 50], False),
        (0.1, [0, 0], False),
    ],
)
def test_a_model_hardly_better_than_the_most_frequent_class_is_useless(
    accuracy: float | None, counts: list[int], is_useless: bool, tmp_path: Path
) -> None:
    found = reason(tmp_path, accuracy, counts)
    assert (found is not None) == is_useless
    if found is not None:
        assert found.startswith(f"d_st predicts only {accuracy:.0%}")
        assert "do not use this model" in found
