"""Floor 1: random transforms of image batches: `TRANSFORMS` for tau (App. C.5), `AUGMENTATIONS` for training."""

from ray_defense.transforms.affine import Affine
from ray_defense.transforms.augment import Contrastive, CropFlip, CropFlipRotate, NoAugment, RotateFlip
from ray_defense.transforms.blur import Blur
from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.crop import Crop
from ray_defense.transforms.erase import Erase
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.protocol import Transform
from ray_defense.transforms.rotate import Rotate

TRANSFORMS: dict[str, type[Transform]] = {
    "rotate": Rotate,
    "affine": Affine,
    "flip": Flip,
    "crop": Crop,
    "blur": Blur,
    "erase": Erase,
}

AUGMENTATIONS: dict[str, type[Transform]] = {
    "none": NoAugment,
    "crop_flip": CropFlip,
    "crop": Crop,
    "crop_flip_rotate": CropFlipRotate,
    "rotate_flip": RotateFlip,
    "contrastive": Contrastive,
}

__all__ = [
    "AUGMENTATIONS",
    "TRANSFORMS",
    "Affine",
    "Blur",
    "Contrastive",
    "Crop",
    "CropFlip",
    "CropFlipRotate",
    "Erase",
    "Flip",
    "NoAugment",
    "Rotate",
    "RotateFlip",
    "Transform",
    "apply_all",
]
