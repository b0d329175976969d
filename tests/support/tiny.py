"""The whole path on 256 real images in seconds: what the path tests run, locally and on Ray."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ray_defense.attacks.badnets import BadNets
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.parquet import Parquet
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.ingest import IngestConfig
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.crop import Crop

SIZE = 16  # pixels of a side
STAGES = ("ingest", "probe", "evidence", "split", "backdoored", "d_br", "d_st")


def write_digits(folder: Path, num_train: int = 256, num_test: int = 64) -> None:
    """Writes digits as `{train,test}.parquet` of PNG bytes."""
    for split, count in (("train", num_train), ("test", num_test)):
        batch = Digits(size=SIZE).read(split, 0, count)
        images = [png_bytes(image) for image in batch.images]
        table = pa.table({"image": images, "label": batch.labels})
        pq.write_table(table, folder / f"{split}.parquet")


def png_bytes(image: np.ndarray) -> bytes:
    """Returns the PNG of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def recipe(folder: Path, num_workers: int = 1) -> Recipe:
    """Returns a recipe with every stage, over the files of `write_digits`."""
    model = SmallResNet()
    workers = WorkerGroup(num_workers=num_workers, cpus_per_worker=1)
    classifier = SupervisedConfig(
        model, epochs=2, milestones=(1,), batch_size=32, augmentation=Crop(), workers=workers
    )
    d_br = BackdoorRemoval(rounds=2, batch_size=8, sgd=Sgd(1e-3), workers=workers)
    d_st = SecureTraining(
        model,
        epochs=2,
        batch_size=64,
        warmup_epochs=1,
        augmentation=Contrastive(flip=False),
        classifier_epochs=2,
        classifier_batch_size=32,
        classifier_augmentation=Crop(),
        workers=workers,
    )
    return Recipe(
        name="tiny",
        source=Parquet(path=str(folder), size=SIZE, num_classes=10),
        attack=BadNets(),
        attacker=AttackerConfig(
            surrogate=classifier, encoder=SsbaEncoderConfig(epochs=1, workers=workers)
        ),
        ingest=IngestConfig(100),
        normalization=NORMALIZATIONS["half"],
        probe=ProbeConfig(model, epochs=2, intra_epochs=1, batch_size=32, workers=workers),
        detect=DetectConfig(batch_size=25, block_size=50),
        backdoored=classifier,
        defenses=(d_br, d_st),
    )
