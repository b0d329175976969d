"""The whole path on 256 real images in seconds: what the path tests run, locally and on Ray."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ray_defense.attacks import BadNets
from ray_defense.data.sources import SOURCES, Digits
from ray_defense.defenses import BackdoorRemoval, SecureTraining
from ray_defense.models import SmallResNet
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.stages.attacker.encoder import Encoder
from ray_defense.stages.attacker.prepare import Attacker
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.detect import Score
from ray_defense.stages.ingest import Shard
from ray_defense.stages.probe import Probe
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.views import NORMALIZATIONS
from ray_defense.transforms import Contrastive, Crop

STAGES = ("suspect", "probe", "score", "split", "backdoored", "d_br", "d_st")


def write_digits(folder: Path, train: int = 256, test: int = 64) -> None:
    """Writes digits as `{train,test}.parquet` of PNG bytes."""
    for split, count in (("train", train), ("test", test)):
        batch = Digits().read(split, 0, count)
        table = pa.table({"image": [png(image) for image in batch.images], "label": batch.labels})
        pq.write_table(table, folder / f"{split}.parquet")


def png(image: np.ndarray) -> bytes:
    """Returns the PNG of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def recipe(folder: Path, num_workers: int = 1) -> Recipe:
    """Returns a recipe with every stage, over the files of `write_digits`."""
    model, workers = SmallResNet(), Workers(num_workers=num_workers, cpus_per_worker=1)
    backdoor = Backdoor(model, epochs=2, milestones=(1,), batch_size=32, augmentation=Crop(), workers=workers)
    return Recipe(
        name="tiny",
        source=SOURCES["parquet"](path=str(folder), num_classes=10),
        attack=BadNets(),
        attacker=Attacker(surrogate=backdoor, encoder=Encoder(epochs=1, workers=workers)),
        shard=Shard(100),
        normalization=NORMALIZATIONS["half"],
        probe=Probe(model, epochs=2, intra_epochs=1, batch_size=32, workers=workers),
        score=Score(batch_size=25, block_size=50),
        backdoor=backdoor,
        d_br=BackdoorRemoval(rounds=2, batch_size=8, sgd=Sgd(1e-3), workers=workers),
        d_st=SecureTraining(
            model,
            epochs=2,
            batch_size=64,
            warmup_epochs=1,
            augmentation=Contrastive(flip=False),
            classifier_epochs=2,
            classifier_batch_size=32,
            classifier_augmentation=Crop(),
            workers=workers,
        ),
    )
