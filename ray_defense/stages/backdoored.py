"""suspect dataset --backdoored--> the backdoored model: ordinary training on what was received.

Source: Algorithm 4, step 2.
"""

from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.execution.steps import Step, work_of_job
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import SupervisedConfig, SupervisedInputs

BACKDOORED = "backdoored"
BACKDOORED_TITLE = "backdoored model"
VERSION = 1


def backdoored_step(config: SupervisedConfig, suspect: Step, context: PlanContext) -> Step:
    """Returns the step that trains the backdoored model."""
    return classifier_step(BACKDOORED, config, suspect, context)


def classifier_step(
    stage: str, config: SupervisedConfig, dataset: Step, context: PlanContext
) -> Step:
    """Returns the step that trains a classifier on a dataset.

    Args:
        stage: The name of the stage; it is part of every random stream.
        config: How the classifier is trained.
        dataset: The step of the dataset.
        context: The surroundings of the plan.
    """
    artifact = context.locate(
        stage, VERSION, config, {"dataset": dataset}, normalization=context.normalization
    )
    inputs = SupervisedInputs(
        config=config,
        seed=context.seed,
        dataset=dataset.artifact,
        normalization=context.normalization,
    )
    job = TrainJob(
        program=_train,
        artifact=artifact,
        inputs=inputs,
        workers=config.workers,
        num_epochs=config.epochs,
    )
    return Step(artifact, needs=(dataset,), work=work_of_job(job))


def _train(worker: Worker, artifact: Artifact, inputs: SupervisedInputs) -> None:
    from ray_defense.training.supervised import train_classifier

    train_classifier(worker, artifact, inputs)
