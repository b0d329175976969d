"""evaluation --report--> report.html: gathers from the artifacts what the page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.core.config import to_plain
from ray_defense.core.errors import RunError
from ray_defense.core.files import write_bytes
from ray_defense.data.sources.listing import SOURCE_CHANGED
from ray_defense.data.sources.protocol import Source
from ray_defense.detectors.protocol import Detector
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.evaluation import EVALUATION, SAMPLES
from ray_defense.stages.ingest import INGEST
from ray_defense.stages.summary import summarize_run
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    from ray_defense.reports.run_page import Example, ReportData, Suspect

REPORT = "report"
REPORT_FILE = "report.html"
VERSION = 2
NUM_SUSPECTS = 40
NUM_EXAMPLES = 10


@dataclass(frozen=True)
class ReportInputs:
    """What the report of a run takes."""

    recipe: Any  # the recipe, for its name, its seed and the configuration that is shown
    detector: Detector  # whose scores were split
    source: Source
    artifacts: Mapping[str, Artifact]  # by stage


def report_step(
    recipe: Any,
    detector: Detector,
    source: Source,
    *,
    needs: Mapping[str, Step],
    context: PlanContext,
) -> Step:
    """Returns the step that writes the report of a run.

    Args:
        recipe: The recipe of the run.
        detector: The detector whose scores were split.
        source: The clean images, for examples.
        needs: The steps of the run by stage.
        context: The surroundings of the plan.
    """
    artifact = context.locate(REPORT, VERSION, recipe, needs)
    artifacts = {stage: step.artifact for stage, step in needs.items()}
    inputs = ReportInputs(recipe, detector, source, artifacts=artifacts)
    work = FunctionWork(partial(_write_report, inputs))
    return Step(artifact, needs=tuple(needs.values()), work=work)


def _write_report(inputs: ReportInputs, artifact: Artifact, executor: Executor) -> None:
    from ray_defense.reports.run_page import render_run_page

    result = summarize_run(inputs.recipe.name, inputs.recipe.seed, inputs.artifacts)
    result["report"] = str(artifact.path / REPORT_FILE)
    page = render_run_page(gather_report(result, inputs))
    write_bytes(artifact.work / REPORT_FILE, page.encode())


def gather_report(result: dict[str, Any], inputs: ReportInputs) -> "ReportData":
    """Returns all that the page of a run shows.

    Args:
        result: The content of `result.json`.
        inputs: Where the rest comes from.
    """
    from ray_defense.reports.run_page import ReportData, Round

    samples = _Samples(inputs)
    scores = samples.scores
    is_trusted = samples.part == "trusted"
    is_flagged = samples.part == "flagged"
    rounds = []
    d_br = result["models"].get("d_br")
    if d_br is not None:
        for number, rates in enumerate(d_br["rounds"] or []):
            rounds.append(Round(number + 1, rates["acc"], rates["asr"]))
    return ReportData(
        result=result,
        config=to_plain(inputs.recipe),
        scores=scores,
        poisoned=samples.poisoned,
        trusted_threshold=float(scores[is_trusted].max(initial=scores.min())),
        flagged_threshold=float(scores[is_flagged].min(initial=scores.max())),
        trusted_class_counts=result["score"]["trusted_class_counts"],
        suspects=samples.suspects(),
        poisoned_examples=samples.poisoned_examples(),
        rounds=tuple(rounds),
        class_names=samples.dataset.class_names,
    )


class _Samples:
    """The samples of a run as the report shows them."""

    def __init__(self, inputs: ReportInputs):
        from ray_defense.data.suspect_dataset import MANIFEST, SuspectDataset
        from ray_defense.data.table_file import read_table

        suspect = inputs.artifacts[INGEST].path
        self.inputs = inputs
        self.dataset = SuspectDataset(suspect)
        self.origins = read_table(suspect / MANIFEST, columns=["origin"])["origin"]
        table = read_table(inputs.artifacts[EVALUATION].path / SAMPLES)
        self.scores: np.ndarray = table["score"].to_numpy()
        self.part = np.array(table["split"].to_pylist())
        self.poisoned: np.ndarray | None = None
        if "poisoned" in table.column_names:
            self.poisoned = table["poisoned"].to_numpy()
            self.true_labels: np.ndarray = table["true_label"].to_numpy()

    def suspects(self) -> "tuple[Suspect, ...]":
        """Returns the samples with the highest scores."""
        order = np.argsort(-self.scores, kind="stable")[:NUM_SUSPECTS]
        suspects = []
        for number, position in enumerate(order.tolist()):
            suspects.append(self._suspect(number + 1, position))
        return tuple(suspects)

    def _suspect(self, rank: int, position: int) -> "Suspect":
        from ray_defense.reports.run_page import Suspect

        image = self._image(position)
        index = self.dataset.index[position : position + 1]
        poisoned = None if self.poisoned is None else bool(self.poisoned[position])
        return Suspect(
            index=int(index[0]),
            rank=rank,
            score=float(self.scores[position]),
            label=self.dataset.class_names[self.dataset.labels[position]],
            image=image,
            transformed=self._transformed(image, index),
            poisoned=poisoned,
            origin=self.origins[position].as_py(),
        )

    def _transformed(self, image_HWC: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Returns the first transformed view that the detector saw of an image, uint8."""
        import torch

        from ray_defense.detectors.sample_batch import draw_key
        from ray_defense.training.views import to_float
        from ray_defense.transforms.compose import apply_all

        images_BCHW = to_float(torch.from_numpy(image_HWC[None]))
        key = draw_key(self.inputs.recipe.seed, 0)
        view_BCHW = apply_all(self.inputs.detector.tau, images_BCHW, key, index)
        levels = (view_BCHW[0].permute(1, 2, 0) * 255).round().clamp(0, 255)
        transformed: np.ndarray = levels.byte().numpy()
        return transformed

    def poisoned_examples(self) -> "tuple[Example, ...]":
        """Returns the first poisoned samples beside their clean originals."""
        if self.poisoned is None:
            return ()
        positions = np.flatnonzero(self.poisoned)[:NUM_EXAMPLES]
        return tuple(self._example(position) for position in positions.tolist())

    def _example(self, position: int) -> "Example":
        from ray_defense.reports.run_page import Example

        index = int(self.dataset.index[position])
        clean = self.inputs.source.read("train", index, index + 1)
        if not len(clean.images):
            raise RunError(SOURCE_CHANGED)
        names = self.dataset.class_names
        return Example(
            index=index,
            label=names[self.dataset.labels[position]],
            original_label=names[self.true_labels[position]],
            image=self._image(position),
            clean_image=clean.images[0],
        )

    def _image(self, position: int) -> np.ndarray:
        image: np.ndarray = self.dataset.read_images(np.array([position]))[0]
        return image
