"""split (and backdoored model) --defend--> a model without the backdoor: the jobs of D-BR and D-ST."""

from ray_defense.defenses import BackdoorRemoval, SecureTraining, d_br, d_st
from ray_defense.execution.protocols import TrainJob
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact

VERSION = 1


def removal_job(
    config: BackdoorRemoval, suspect: Artifact, backdoored: Artifact, split: Artifact, trained: Backdoor, context: Context
) -> TrainJob:
    """Returns the job of D-BR on the model that `trained` says how to build."""
    inputs = {"suspect": suspect, "backdoored": backdoored, "split": split}
    artifact = context.place(config.name, VERSION, config, inputs, **context.settings)
    settings = {"model": trained.model, "augmentation": trained.augmentation, **context.settings}
    return TrainJob(d_br.train, config, context.seed, artifact, inputs, settings, config.num_epochs)


def secure_training_job(config: SecureTraining, suspect: Artifact, split: Artifact, context: Context) -> TrainJob:
    """Returns the job of D-ST."""
    inputs = {"suspect": suspect, "split": split}
    artifact = context.place(config.name, VERSION, config, inputs, **context.settings)
    return TrainJob(d_st.train, config, context.seed, artifact, inputs, context.settings, config.num_epochs)
