"""Complete named runs: each function returns the whole configuration and says what it costs."""

from collections.abc import Callable

from ray_defense.core.errors import look_up
from ray_defense.core.registry import Registry
from ray_defense.pipeline.recipe import Recipe

RECIPES: Registry[Callable[[], Recipe]] = Registry(
    "ray_defense.pipeline.recipes",
    {
        "digits_badnets": "digits.digits_badnets",
        "digits_blend": "digits.digits_blend",
        "digits_baselines": "digits.digits_baselines",
        "cifar10_badnets_small": "cifar.cifar10_badnets_small",
        "cifar10_badnets_robust": "cifar.cifar10_badnets_robust",
        "cifar10_badnets": "cifar.cifar10_badnets",
        "cifar100_badnets": "cifar.cifar100_badnets",
        "imagenet200_badnets": "imagenet200.imagenet200_badnets",
        "imagenet200_badnets_64": "imagenet200.imagenet200_badnets_64",
        "cifar10_comparison_small": "comparison.cifar10_comparison_small",
        "cifar10_comparison_small_robust": "comparison.cifar10_comparison_small_robust",
        "cifar10_comparison": "comparison.cifar10_comparison",
        "cifar10_comparison_robust": "comparison.cifar10_comparison_robust",
        "cifar100_comparison": "comparison.cifar100_comparison",
        "imagenet200_comparison": "comparison.imagenet200_comparison",
        "paper": "variants.paper",
        "authors": "variants.authors",
        "ours": "variants.ours",
        "paper_small": "variants.paper_small",
        "authors_small": "variants.authors_small",
        "ours_small": "variants.ours_small",
        "folder": "own_images.folder",
    },
)


def named_recipe(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        InputError: If there is none; the message suggests the nearest name.
    """
    return look_up(RECIPES, "recipe", name)()
