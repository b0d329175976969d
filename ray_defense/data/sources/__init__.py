"""Where labeled images come from; a source gives decoded samples by their place in it."""

from ray_defense.data.sources.cifar import Cifar10, Cifar100
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.sources.labels import check_labels
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Batch, Rejected, Source, SourceInfo, Split

__all__ = ["SOURCES", "Batch", "Rejected", "Source", "SourceInfo", "Split", "check_labels"]

SOURCES: dict[str, type[Source]] = {
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "digits": Digits,
    "image_folder": ImageFolder,
    "imagenet200": ImageNet200,
    "parquet": Parquet,
}
