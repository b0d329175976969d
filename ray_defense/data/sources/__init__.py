"""Sources of labeled images, one dataset or file format a module; `SOURCES` names them."""

from ray_defense.core.registry import Registry
from ray_defense.data.sources.protocol import Source

SOURCES: Registry[type[Source]] = Registry(
    "ray_defense.data.sources",
    {
        "archive": "archive_images.ArchiveImages",
        "arrays": "arrays.Arrays",
        "backdoorbench": "backdoorbench.BackdoorBench",
        "beton": "beton.Beton",
        "cifar10": "cifar.Cifar10",
        "cifar100": "cifar.Cifar100",
        "digits": "digits.Digits",
        "image_folder": "image_folder.ImageFolder",
        "imagenet200": "imagenet200.ImageNet200",
        "parquet": "parquet.Parquet",
        "saved_dataset": "saved_dataset.SavedDataset",
        "table": "table.Table",
        "with_trusted": "with_trusted.WithTrusted",
    },
)
