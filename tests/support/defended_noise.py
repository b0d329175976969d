"""What defenses are tried on: 36 small images of noise, their split and a backdoored model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import uniform
from ray_defense.data.split_table import SplitTable, write_split
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.defenses.abl import AntiBackdoorLearning
from ray_defense.defenses.anp import NeuronPruning
from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.defenses.dbd import Decoupling
from ray_defense.defenses.ft import FineTuning
from ray_defense.defenses.mcr import ModeConnectivityRepair
from ray_defense.defenses.nad import AttentionDistillation
from ray_defense.defenses.protocol import Defense
from ray_defense.defenses.simclr import SimClr
from ray_defense.defenses.supcon import SupCon
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import load_model, save_weights
from ray_defense.stages.clean_share import CLEAN_SHARE
from ray_defense.stages.context import PlanContext
from ray_defense.stages.decide import VERDICT_FILE
from ray_defense.stages.defend import BackdooredModel, defend_step
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.training.views import make_view
from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.crop_flip import CropFlip
from ray_defense.transforms.protocol import Transform
from tests.support.noise import noise_images
from tests.support.steps import HALF, make_step, plan_context, publish_step

NUM_SAMPLES = 36
NUM_CLASSES = 3
# oneDNN 3.12 with AVX2 corrupts the heap where it trains a strided 1x1 convolution of fewer than
# 8 channels, so the network is no narrower.
MODEL = SmallResNet(width=8)
BACKDOORED_SEED = 1  # of the weights that stand for a backdoored model
INDEX = 10 + 2 * np.arange(NUM_SAMPLES)  # position is not identity
ONE_WORKER = WorkerGroup(cpus_per_worker=1)

REMOVAL = BackdoorRemoval(rounds=2, batch_size=8, sgd=Sgd(0.02), workers=ONE_WORKER)
SECURE = SecureTraining(
    MODEL,
    epochs=2,
    batch_size=12,
    sgd=Sgd(0.1),
    warmup_epochs=1,
    projection_dim=8,
    augmentation=Contrastive(),
    classifier_epochs=2,
    classifier_batch_size=8,
    classifier_sgd=Sgd(0.5, weight_decay=0.0),
    classifier_augmentation=CropFlip(),
    workers=ONE_WORKER,
)
TUNED = FineTuning(epochs=2, batch_size=4, workers=ONE_WORKER)
DISTILLED = AttentionDistillation(
    teacher_epochs=1, epochs=2, batch_size=4, milestones=(1,), workers=ONE_WORKER
)
PRUNED = NeuronPruning(steps=4, batch_size=4, workers=ONE_WORKER)
CURVED = ModeConnectivityRepair(end_epochs=2, curve_epochs=2, batch_size=4, workers=ONE_WORKER)
ISOLATED = AntiBackdoorLearning(
    MODEL,
    tuning_epochs=2,
    isolated_fraction=0.1,
    finetuning_epochs=2,
    milestones=(1,),
    unlearning_epochs=2,
    batch_size=12,
    sgd=Sgd(0.05),
    cutout_fraction=0.2,
    workers=ONE_WORKER,
)


def tiny_contrastive(baseline: type[ContrastiveBaseline]) -> ContrastiveBaseline:
    """Returns a contrastive baseline that is trained in a second."""
    return baseline(
        MODEL,
        epochs=2,
        batch_size=12,
        sgd=Sgd(0.1),
        warmup_epochs=1,
        projection_dim=8,
        classifier_epochs=2,
        classifier_batch_size=12,
        classifier_sgd=Sgd(0.5, weight_decay=0.0),
        workers=ONE_WORKER,
    )


UNLABELED = tiny_contrastive(SimClr)
LABELED = tiny_contrastive(SupCon)
DECOUPLED = Decoupling(
    MODEL,
    epochs=2,
    batch_size=12,
    sgd=Sgd(0.1),
    projection_dim=8,
    classifier_epochs=2,
    classifier_batch_size=12,
    mixmatch_epochs=2,
    mixmatch_steps=3,
    mixmatch_batch_size=6,
    workers=ONE_WORKER,
)
TINY_DEFENSES: dict[str, Defense] = {  # trained in a second
    "d_br": REMOVAL,
    "d_st": SECURE,
    "ft": TUNED,
    "anp": PRUNED,
    "nad": DISTILLED,
    "mcr": CURVED,
    "abl": ISOLATED,
    "simclr": UNLABELED,
    "supcon": LABELED,
    "dbd": DECOUPLED,
}
NUM_CLEAN = 12
CLEAN_INDEX = 1000 + np.arange(NUM_CLEAN)


@dataclass(frozen=True)
class DefendedNoise:
    """A dataset with its split; every defense is trained in the store at `root`."""

    root: Path
    images: np.ndarray  # uint8 [N, 16, 16, 3]
    labels: np.ndarray  # int64 [N]
    part: np.ndarray  # str [N]
    has_verdict: bool = False  # whether the split comes with one
    augmentation: Transform = CropFlip()  # of the backdoored model

    @property
    def context(self) -> PlanContext:
        return plan_context(self.root)

    def plan(
        self, defense: Defense, *, repairable: bool = True, has_clean_share: bool = True
    ) -> Step:
        """Returns the step of a defense.

        Args:
            defense: The defense.
            repairable: Whether there is a backdoored model.
            has_clean_share: Whether some images are known as clean.
        """
        clean = None
        if has_clean_share:
            clean = publish_step(self.context, CLEAN_SHARE, self._write_clean_share)
        backdoored = None
        if repairable:
            config = SupervisedConfig(MODEL, augmentation=self.augmentation, workers=ONE_WORKER)
            step = publish_step(self.context, "backdoored", self._write_backdoored)
            backdoored = BackdooredModel(step, config)
        return defend_step(
            defense,
            publish_step(self.context, "ingest", self._write_dataset),
            publish_step(self.context, "split", self._write_split),
            backdoored=backdoored,
            context=self.context,
            clean=clean,
        )

    def train(self, defense: Defense, executor: Executor | None = None) -> Artifact:
        """Returns the artifact of a defense, trained in this process."""
        return make_step(self.plan(defense), self.context, executor)

    def clean_members(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the normalized images and the labels of the clean share."""
        images = torch.from_numpy(noise_images(7, CLEAN_INDEX))
        view = make_view(images, CLEAN_INDEX, 0, transforms=(), normalization=HALF)
        return view, torch.from_numpy(CLEAN_INDEX % NUM_CLASSES)

    def members(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the normalized images and the labels of one part."""
        is_member = self.part == part
        images = torch.from_numpy(self.images[is_member])
        view = make_view(images, INDEX[is_member], 0, transforms=(), normalization=HALF)
        return view, torch.from_numpy(self.labels[is_member])

    def in_store(self, root: Path) -> "DefendedNoise":
        """Returns the same data in another store."""
        return replace(self, root=root)

    def without_part(self, part: str) -> "DefendedNoise":
        """Returns the data with a split whose part is empty: its samples are uncertain."""
        return replace(self, part=np.where(self.part == part, "uncertain", self.part))

    def relabeled(self, part: str, root: Path) -> "DefendedNoise":
        """Returns data in another store, the samples of one part with other labels."""
        # Not a renaming of the classes, to which Eq. (2) is blind.
        other_labels = (self.labels + 1 + np.arange(NUM_SAMPLES) % 2) % NUM_CLASSES
        labels = np.where(self.part == part, other_labels, self.labels)
        return replace(self, root=root, labels=labels)

    def repainted(self, part: str, root: Path) -> "DefendedNoise":
        """Returns data in another store, the samples of one part with other pixels."""
        is_member = (self.part == part)[:, None, None, None]
        images = np.where(is_member, 255 - self.images, self.images)
        return replace(self, root=root, images=images)

    def _write_dataset(self, directory: Path) -> None:
        parts = []
        for shard, positions in enumerate(np.array_split(np.arange(NUM_SAMPLES), 2)):
            part = write_shard(
                directory,
                shard,
                self.images[positions],
                labels=self.labels[positions],
                index=INDEX[positions],
                origin=[""] * len(positions),
            )
            parts.append(part)
        write_manifest(directory, parts)
        write_json(directory / "dataset.json", {"num_classes": NUM_CLASSES})

    def _write_clean_share(self, directory: Path) -> None:
        part = write_shard(
            directory,
            0,
            noise_images(7, CLEAN_INDEX),
            labels=CLEAN_INDEX % NUM_CLASSES,
            index=CLEAN_INDEX,
            origin=[""] * NUM_CLEAN,
        )
        write_manifest(directory, [part])
        write_json(directory / "dataset.json", {"num_classes": NUM_CLASSES})

    def _write_backdoored(self, directory: Path) -> None:
        save_weights(directory / WEIGHTS, build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED))

    def _write_split(self, directory: Path) -> None:
        write_split(directory, SplitTable(INDEX, np.zeros(NUM_SAMPLES), self.part))
        if self.has_verdict:
            write_json(directory / VERDICT_FILE, {})


def defended_noise(root: Path) -> DefendedNoise:
    """Returns the data, with a store at `root`."""
    labels = (NUM_CLASSES * uniform(1, INDEX, 1)[:, 0]).astype(np.int64)
    in_order = np.array(["trusted"] * 14 + ["flagged"] * 8 + ["uncertain"] * 14)
    part = in_order[np.random.default_rng(5).permutation(NUM_SAMPLES)]
    return DefendedNoise(root, noise_images(0, INDEX), labels, part)


def weights_of(artifact: Artifact) -> dict[str, torch.Tensor]:
    """Returns the weights of a trained model by their names."""
    return load_model(artifact.path / WEIGHTS, MODEL, NUM_CLASSES).state_dict()


def changed_modules(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    """Returns the modules ("extractor", "classifier") of which a bit differs."""
    assert a.keys() == b.keys()
    return {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}


def view_without_augmentation(
    images: torch.Tensor,
    index: np.ndarray,
    key: int,
    transforms: Sequence[Transform],
    normalization: Normalization,
) -> torch.Tensor:
    """Stands for `make_view` in a training whose steps are computed by hand."""
    return make_view(images, index, 0, transforms=(), normalization=normalization)
