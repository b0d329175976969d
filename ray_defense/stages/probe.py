"""suspect dataset --probe--> a model trained for a few epochs only to score samples."""

from ray_defense.detectors.probe import ProbeConfig, ProbeInputs
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.execution.steps import Step, work_of_job
from ray_defense.models.file_names import WEIGHTS
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact

PROBE = "probe"
VERSION = 1


def probe_step(
    config: ProbeConfig, suspect: Step, context: PlanContext, pretrained: Step | None = None
) -> Step:
    """Returns the step that trains the probe.

    Args:
        config: The probe.
        suspect: The step of the dataset.
        context: The surroundings of the plan.
        pretrained: The step of the weights that it starts from; None for random ones.
    """
    needs = {"suspect": suspect}
    if pretrained is not None:
        needs["pretrained"] = pretrained
    artifact = context.locate(PROBE, VERSION, config, needs, normalization=context.normalization)
    inputs = ProbeInputs(
        config=config,
        seed=context.seed,
        suspect=suspect.artifact,
        normalization=context.normalization,
        start=None if pretrained is None else pretrained.artifact.path / WEIGHTS,
    )
    job = TrainJob(
        program=_train,
        artifact=artifact,
        inputs=inputs,
        workers=config.workers,
        num_epochs=config.num_epochs,
    )
    return Step(artifact, needs=tuple(needs.values()), work=work_of_job(job))


def _train(worker: Worker, artifact: Artifact, inputs: ProbeInputs) -> None:
    from ray_defense.detectors.probe_training import train_probe

    train_probe(worker, artifact, inputs)
