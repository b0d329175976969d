"""Random transforms of image batches: `TRANSFORMS` for tau (App. C.5), `AUGMENTATIONS` to train."""

from ray_defense.core.registry import Registry
from ray_defense.transforms.protocol import Transform

TRANSFORMS: Registry[type[Transform]] = Registry(
    "ray_defense.transforms",
    {
        "rotate": "rotate.Rotate",
        "affine": "affine.Affine",
        "flip": "flip.Flip",
        "crop": "crop.Crop",
        "blur": "blur.Blur",
        "erase": "erase.Erase",
    },
)

AUGMENTATIONS: Registry[type[Transform]] = Registry(
    "ray_defense.transforms",
    {
        "none": "no_augmentation.NoAugment",
        "crop_flip": "crop_flip.CropFlip",
        "crop": "crop.Crop",
        "crop_flip_rotate": "crop_flip_rotate.CropFlipRotate",
        "rotate_flip": "rotate_flip.RotateFlip",
        "contrastive": "contrastive.Contrastive",
    },
)
