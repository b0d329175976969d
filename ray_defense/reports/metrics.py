"""The one table of metrics: names, titles, directions, and which need neither truth nor test set.

Nothing that chooses (a search, early stopping) may look at a metric that is not label-free.
"""

from dataclasses import dataclass
from typing import Literal

from ray_defense.core.errors import InputError, look_up

Mode = Literal["max", "min"]  # what is better


@dataclass(frozen=True)
class Metric:
    """One number of a run, a column of a sweep's table."""

    name: str
    title: str  # on pages
    better: Mode
    label_free: bool = True  # whether it needs neither the truth nor the test set
    stage: str | None = None  # the training stage whose epochs give it
    epoch_metric: str | None = None  # as those epochs call it

    @property
    def heading(self) -> str:
        """The title of a column on a terminal."""
        return self.title.split(" (")[0]


def _of_scores(name: str, title: str) -> Metric:
    return Metric(name, title, "max", label_free=False)


def _of_epochs(stage: str, epoch_metric: str, better: Mode) -> Metric:
    name = f"{stage}_{epoch_metric}"
    title = name.replace("_", " ")
    return Metric(name, title, better, stage=stage, epoch_metric=epoch_metric)


_ALL = (
    _of_scores("auroc", "AUROC of the score"),
    _of_scores("trusted_precision", "precision of the trusted split (clean-precision)"),
    _of_scores("flagged_precision", "precision of the flagged split (poison-precision)"),
    Metric("flagged_concentration", "flagged concentration", "max"),
    Metric("trusted_balance", "trusted balance", "max"),
    Metric("separation", "separation", "max"),
    _of_epochs("probe", "train_accuracy", "max"),
    _of_epochs("probe", "loss", "min"),
    _of_epochs("probe", "intra_loss", "min"),
    _of_epochs("backdoored", "loss", "min"),
    _of_epochs("d_br", "relearn_loss", "min"),
    _of_epochs("d_br", "trusted_accuracy", "max"),
    _of_epochs("d_br", "flagged_accuracy", "min"),
    _of_epochs("d_st", "contrastive_loss", "min"),
    _of_epochs("d_st", "mce_loss", "min"),
    _of_epochs("d_st", "trusted_accuracy", "max"),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
LABEL_FREE: dict[str, Metric] = {metric.name: metric for metric in _ALL if metric.label_free}

# Metrics that the epochs of a stage give from the first one on, by which trials can be compared
# while they run. A later phase starts when an earlier one, of another length, is over.
RANKING_METRICS: dict[str, dict[str, Mode]] = {
    "probe": {"loss": "min", "accuracy": "max"},
    "backdoored": {"loss": "min", "accuracy": "max"},
    "d_st": {"contrastive_loss": "min"},
}
_SEEING_ENDINGS = ("auroc", "precision", "acc", "asr", "weak_attack")


def rate_metrics(model: str, title: str) -> tuple[Metric, Metric, Metric]:
    """Returns the metrics ACC, ASR and robust accuracy of a model.

    Args:
        model: "backdoored", or the name of a defense.
        title: How tables call the model.
    """
    return (
        Metric(f"{model}_acc", f"{title}, ACC", "max", label_free=False),
        Metric(f"{model}_asr", f"{title}, ASR", "min", label_free=False),
        Metric(f"{model}_robust_acc", f"{title}, robust ACC", "max", label_free=False),
    )


def check_label_free(metric: str, offered: str) -> None:
    """Raises InputError for a metric that needs the truth or the test set.

    Args:
        metric: The name of a metric, known or not.
        offered: What may be asked for instead, for the message.
    """
    if metric.endswith(_SEEING_ENDINGS) and metric not in LABEL_FREE:
        raise InputError(
            f"{metric} needs the truth or the test set, which no choice may look at: "
            f"choose by a metric that does not, {offered}"
        )


def better_mode(metric: str) -> Mode:
    """Returns whether more or less of a label-free metric is better.

    Raises:
        InputError: If the metric is unknown or not label-free.
    """
    check_label_free(metric, f"one of {', '.join(LABEL_FREE)}")
    return look_up(LABEL_FREE, "metric", metric).better
