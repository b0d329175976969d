"""The color operations of torchvision, by the numbers that `transforms.color` gives them."""

from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.color import BRIGHTNESS, CONTRAST, HUE, SATURATION

ADJUST = {
    BRIGHTNESS: tv.adjust_brightness,
    CONTRAST: tv.adjust_contrast,
    SATURATION: tv.adjust_saturation,
    HUE: tv.adjust_hue,
}
