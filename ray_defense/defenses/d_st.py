"""D-ST (Algorithm 3): SS-CTL trains an extractor from scratch (Eq. 2), then MCE a linear classifier on it, frozen (Eq. 3)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ray_defense.core.checks import at_least
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.core.random import stream
from ray_defense.data.split_table import read_split
from ray_defense.data.training_set import Share, TrainingSet, open_training_set
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.losses import mixed_cross_entropy, semi_supervised_contrastive
from ray_defense.models import MODELS, ProjectionHead, ResNet18NoPool, build_model, save_weights, seeded
from ray_defense.training.loop import Mean, Metrics, autocast, run_epochs, sgd_step, to_device
from ray_defense.training.schedules import set_rate, warmup_cosine
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.views import view
from ray_defense.transforms import AUGMENTATIONS, Contrastive, CropFlip


@dataclass(frozen=True)
class SecureTraining:
    """D-ST; defaults are the paper's for CIFAR-10."""

    name: ClassVar[str] = "d_st"

    model: Any = choice(MODELS, default=ResNet18NoPool())
    epochs: int = 200  # e_e, of SS-CTL
    batch_size: int = 512  # over all workers
    sgd: Sgd = Sgd(0.5, weight_decay=1e-4)
    warmup_epochs: int = 10
    warmup_rate: float = 0.01
    final_rate_fraction: float = 1e-3  # the cosine ends at this fraction of the learning rate
    temperature: float = 0.1  # T
    loss_scale: float = 1.0  # the authors' code multiplies the loss by T / 0.07
    positives: Literal["paper", "authors"] = "paper"  # D3
    labels_used: Literal["trusted", "none", "all"] = "trusted"  # SS-CTL; Table 3's CTL and S-CTL take nobody's, everybody's
    projection_dim: int = 128
    augmentation: Any = choice(AUGMENTATIONS, default=Contrastive())
    classifier_epochs: int = 10  # e_c, of MCE
    classifier_batch_size: int = 512
    classifier_sgd: Sgd = Sgd(5.0, weight_decay=0.0)
    classifier_augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())
    poisoned_weight: float = 0.001  # lambda_p
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        for name in ("epochs", "projection_dim", "classifier_epochs", "classifier_batch_size"):
            at_least(f"d_st.{name}", getattr(self, name), 1)
        for name in ("warmup_epochs", "warmup_rate", "final_rate_fraction", "poisoned_weight", "loss_scale"):
            at_least(f"d_st.{name}", getattr(self, name), 0)
        at_least("d_st.batch_size", self.batch_size, 2)
        at_least("d_st.temperature", self.temperature, 1e-6)

    @property
    def num_epochs(self) -> int:
        """Epochs of both stages, for the progress display."""
        return self.epochs + self.classifier_epochs


class Extractor(torch.nn.Module):
    """A model's features projected to the unit sphere: what SS-CTL trains; [B, 3, H, W] -> [B, projection_dim]."""

    def __init__(self, model: torch.nn.Module, projection_dim: int):
        super().__init__()
        self.model = model
        self.head = ProjectionHead(model.feature_dim, projection_dim)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        features_BD, _ = self.model(x_BCHW)
        return self.head(features_BD)


def train(worker: Worker, job: TrainJob) -> None:
    """Trains D-ST from scratch: `model.safetensors` (extractor and classifier) and `metrics.json`.

    Inputs: suspect, split. Settings: normalization. The model's own classifier takes no part in SS-CTL.
    """
    config: SecureTraining = job.config
    table = read_split(job.inputs["split"].path / "split.parquet")
    trusted, poisoned = table.members("trusted"), table.members("poisoned")
    if not len(trusted):
        raise Refused("the trusted split is empty: D-ST has nothing to learn labels from; raise split.clean_fraction")
    num_classes = read_json(job.inputs["suspect"].path / "dataset.json")["num_classes"]
    model = to_device(build_model(config.model, num_classes, stream(job.seed, "d_st", "weights")), worker.device)
    for parameter in model.classifier.parameters():
        parameter.requires_grad_(False)
    head_seed = stream(job.seed, "d_st", "head")
    extractor = to_device(seeded(lambda: Extractor(model, config.projection_dim), head_seed), worker.device)
    optimizer = config.sgd.build([p for p in extractor.parameters() if p.requires_grad])
    classifier_optimizer = config.classifier_sgd.build(model.classifier.parameters())
    data = open_training_set(worker, job)
    labeled = open_training_set(worker, job, np.concatenate((trusted, poisoned)))
    attracting = {"trusted": trusted, "none": trusted[:0], "all": data.index}[config.labels_used]
    contrastive = _Contrastive(worker, job, worker.wrap(extractor), optimizer, data, attracting)
    classify = _Classify(worker, job, model, classifier_optimizer, labeled, trusted, poisoned)
    epochs = [partial(contrastive, number) for number in range(config.epochs)]
    epochs += [partial(classify, number) for number in range(config.classifier_epochs)]
    parts = {"extractor": extractor, "optimizer": optimizer, "classifier_optimizer": classifier_optimizer}
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(job.artifact.work / "model.safetensors", model)
        write_json(job.artifact.work / "metrics.json", {"history": history})


@dataclass
class _Contrastive:
    """An epoch of SS-CTL: two views of every image, the loss over the batch of all workers."""

    worker: Worker
    job: TrainJob
    extractor: torch.nn.Module  # wrapped
    optimizer: torch.optim.Optimizer
    data: TrainingSet
    attracting: np.ndarray  # indices of the samples whose labels are used

    def __call__(self, number: int) -> Metrics:
        config, worker, job = self.job.config, self.worker, self.job
        share = Share(worker.rank, worker.world_size)
        drop_last = len(self.data) >= config.batch_size  # a small batch has other negatives
        steps = self.data.num_steps(config.batch_size, share, drop_last)
        batches = self.data.epoch(stream(job.seed, "d_st", "order", number), config.batch_size, share, drop_last)
        make = partial(view, changes=(config.augmentation,), normalization=job.settings["normalization"])
        mean = Mean(worker)
        self.extractor.train()
        for step, batch in enumerate(batches):
            rate = warmup_cosine(
                config.sgd.learning_rate,
                number + step / steps,
                config.epochs,
                config.warmup_epochs,
                config.warmup_rate,
                config.final_rate_fraction,
            )
            set_rate(self.optimizer, rate)
            index = batch.index.numpy()
            keys = (stream(job.seed, "d_st", "view", number, which) for which in range(2))
            both = torch.cat([make(batch.images, index, key) for key in keys])
            with autocast(worker.device):
                z_WD = self.extractor(both)
            z_BVD = torch.stack(z_WD.float().chunk(2), dim=1)
            attracts = torch.from_numpy(np.isin(index, self.attracting)).to(worker.device)
            loss = config.loss_scale * semi_supervised_contrastive(
                worker.gather(z_BVD),
                worker.gather(batch.labels),
                worker.gather(attracts),
                temperature=config.temperature,
                positives=config.positives,
            )
            sgd_step(loss, self.optimizer)
            mean.add(loss * len(index), len(index))
        worker.synchronize(self.extractor)
        return {"contrastive_loss": mean.value()}


@dataclass
class _Classify:
    """An epoch of MCE on the frozen extractor; the means of Eq. (3) are over the two sets, not over a batch (D9)."""

    worker: Worker
    job: TrainJob
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    data: TrainingSet
    trusted: np.ndarray
    poisoned: np.ndarray
    classifier: torch.nn.Module | None = None  # wrapped at the first call, when SS-CTL no longer wraps the model

    def __call__(self, number: int) -> Metrics:
        config, worker, job = self.job.config, self.worker, self.job
        if self.classifier is None:
            self.model.classifier.requires_grad_(True)
            self.classifier = worker.wrap(self.model.classifier)
        share = Share(worker.rank, worker.world_size)
        batches = self.data.epoch(stream(job.seed, "d_st", "mce order", number), config.classifier_batch_size, share)
        key = stream(job.seed, "d_st", "mce view", number)
        mean, accuracy = Mean(worker), Mean(worker)
        self.model.eval()
        for batch in batches:
            index = batch.index.numpy()
            images = view(batch.images, index, key, (config.classifier_augmentation,), job.settings["normalization"])
            with torch.no_grad(), autocast(worker.device):
                features_BD, _ = self.model(images)
            logits_BN = self.classifier(features_BD.float())
            is_trusted = torch.from_numpy(np.isin(index, self.trusted)).to(worker.device)
            loss = mixed_cross_entropy(
                logits_BN,
                batch.labels,
                is_trusted,
                ~is_trusted,
                poisoned_weight=config.poisoned_weight,
                num_trusted=len(self.trusted),
                num_poisoned=len(self.poisoned),
            )
            sgd_step(loss, self.optimizer)
            mean.add(loss * len(index), len(index))
            accuracy.add((logits_BN.argmax(1) == batch.labels)[is_trusted].sum(), int(is_trusted.sum()))
        return {"mce_loss": mean.value(), "trusted_accuracy": accuracy.value()}
