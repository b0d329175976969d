"""Test images that cannot be decoded are counted, and are in no rate."""

from pathlib import Path

from PIL import Image

from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.evaluation import EvaluationConfig
from ray_defense.stages.model_rates import Measurement, measure_model
from ray_defense.training.normalization import NORMALIZATIONS


def save_digits(root: Path, count: int) -> None:
    """Saves the first training digits as class folders of PNG files."""
    batch = Digits().read("train", 0, count)
    for index, image, label in zip(batch.index, batch.images, batch.labels, strict=True):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"{index}.png")


def test_rejected_test_images_are_counted(tmp_path: Path):
    images = tmp_path / "images"
    save_digits(images / "train", 40)
    save_digits(images / "test", 40)
    for file in sorted((images / "test").glob("*/*.png"))[:7]:
        file.write_bytes(b"not an image")
    weights = tmp_path / "any.safetensors"
    save_weights(weights, build_model(SmallResNet(), 10, 0))
    config = EvaluationConfig()
    measurement = Measurement(
        network=SmallResNet(),
        weights=(weights,),
        source=ImageFolder(path=str(images)),
        num_classes=10,
        attack=None,
        normalization=NORMALIZATIONS["half"],
        batch_size=config.batch_size,
        num_threads=config.cpus,
    )
    (counts,) = measure_model(measurement)
    assert counts.num_rejected == 7
    assert counts.num_clean == 33
