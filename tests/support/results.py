"""Results made by hand, for tests of tables and commands."""

from ray_defense.reports.result import ModelResult, Result, ScoreResult

NOTHING_MEASURED = ModelResult(
    title="any model",
    acc=None,
    asr=None,
    num_clean=0,
    num_triggered=0,
    acc_interval=None,
    asr_interval=None,
    acc_target_excluded=None,
)
GOOD_MODEL = ModelResult(
    title="a good model",
    acc=0.981,
    asr=0.006,
    num_clean=397,
    num_triggered=360,
    acc_interval=[0.9623, 0.99],
    asr_interval=[0.0, 0.02],
    acc_target_excluded=0.98,
)


def make_result(
    *,
    truth: bool = True,
    recipe: str = "digits_badnets",
    notes: tuple[str, ...] = (),
    weak: bool | None = None,
) -> Result:
    """Returns the result of a run with a backdoored model and D-BR, and without D-ST.

    Args:
        truth: Whether there is a truth and a test set.
        recipe: The name of the recipe.
        notes: What a reader should doubt.
        weak: Whether the attack is weak.
    """
    if truth:
        score = ScoreResult(0.998, 1.0, 0.95, trusted_class_counts=[20, 31])
        model = GOOD_MODEL
    else:
        score = ScoreResult(None, None, None, trusted_class_counts=[20, 31])
        model = NOTHING_MEASURED
    return Result(
        recipe=recipe,
        seed=0,
        score=score,
        models={"backdoored": model, "d_br": model},
        weak_attack=weak,
        seconds={"ingest": 1.04, "probe": 20.0},
        artifacts={"split": "/s/split/k"},
        report="/s/report.html",
        versions={},
        notes=list(notes),
    )
