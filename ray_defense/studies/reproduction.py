"""The paper's tables and figures as sweeps: the runs that each needs, its rows and its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ray_defense.core.config import override
from ray_defense.core.errors import InputError, look_up, unknown_name
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS
from ray_defense.studies.departures import DEPARTURES, Variant
from ray_defense.studies.paper_tables import (
    TABLE_1,
    TABLE_1_CIFAR100,
    TABLE_2,
    TABLE_2_CIFAR100,
    TABLE_3,
    TABLE_5,
    PaperTable,
)
from ray_defense.studies.run_readings import Reading
from ray_defense.sweeps.grid import Axis, Trial, grid_trials, parse_axis

Scale = Literal["small", "paper"]
SCALES: tuple[Scale, ...] = ("small", "paper")

_CIFAR10: Mapping[Scale, tuple[str, ...]] = {
    "small": ("cifar10_comparison_small",),
    "paper": ("cifar10_comparison",),
}
_BOTH_SPLITS: Mapping[Scale, tuple[str, ...]] = {
    "small": ("cifar10_comparison_small", "cifar10_comparison_small_robust"),
    "paper": ("cifar10_comparison", "cifar10_comparison_robust"),
}
BACKDOORED = "backdoored"  # the column of the model without a defense
_SEEDS_FIELD = "seed+poison.seed"
_FOUR = ("badnets", "blend_signal", "sig", "label_consistent")
_INTRA_EPOCHS = "probe.intra_epochs"
_BEFORE_AND_AFTER = f"{_INTRA_EPOCHS}=0,10"
# The paper draws these, and our copy of it has no numbers for them.
_DRAWN = ("badnets", "blend_signal")


@dataclass(frozen=True)
class Reproduction:
    """A table or figure of the paper, or a table of variants of its method.

    The rows are attacks. The columns are the models, the values of one field, or variants.
    """

    shows: str
    attacks: tuple[str, ...]
    models: tuple[str, ...]  # whose ACC and ASR are shown: BACKDOORED, and defenses by name
    axis: str | None = None  # what the columns are, as `parse_axis` reads it; None: the models
    variants: tuple[Variant, ...] = ()  # each a column, where the recipe is run in several ways
    paper: PaperTable | None = None  # what stands beside ours
    changes: Mapping[str, str] = field(default_factory=dict)  # to the recipes
    reading: Reading | None = None  # what is drawn or told of the first run of each cell
    recipes: Mapping[Scale, tuple[str, ...]] = field(default_factory=lambda: _CIFAR10)

    @property
    def defenses(self) -> tuple[str, ...]:
        return tuple(model for model in self.models if model != BACKDOORED)


REPRODUCTIONS: dict[str, Reproduction] = {
    "table1": Reproduction(
        "Table 1: secure training, D-ST against SimCLR, SupCon and DBD",
        TABLE_1.attacks,
        TABLE_1.models,
        paper=TABLE_1,
        recipes=_BOTH_SPLITS,
    ),
    "table1_cifar100": Reproduction(
        "Table 1 on CIFAR-100",
        TABLE_1_CIFAR100.attacks,
        TABLE_1_CIFAR100.models,
        paper=TABLE_1_CIFAR100,
        recipes={"paper": ("cifar100_comparison",)},
    ),
    "table2": Reproduction(
        "Table 2: backdoor removal, D-BR against FT, ANP, NAD, MCR and ABL",
        TABLE_2.attacks,
        TABLE_2.models,
        paper=TABLE_2,
        recipes=_BOTH_SPLITS,
    ),
    "table2_cifar100": Reproduction(
        "Table 2 on CIFAR-100",
        TABLE_2_CIFAR100.attacks,
        TABLE_2_CIFAR100.models,
        paper=TABLE_2_CIFAR100,
        recipes={"paper": ("cifar100_comparison",)},
    ),
    "table3": Reproduction(
        "Table 3: the contrastive stage of D-ST without labels, with all, with the trusted ones",
        TABLE_3.attacks,
        ("d_st",),
        axis=PAPER_SWEEPS["extractor"].axes[0],
        paper=TABLE_3,
    ),
    "table5": Reproduction(
        "Table 5: backdoor removal on 200 classes of ImageNet",
        TABLE_5.attacks,
        TABLE_5.models,
        paper=TABLE_5,
        recipes={"paper": ("imagenet200_comparison",)},
    ),
    "fig3": Reproduction(
        "Fig. 3: the scores of clean and of poisoned samples before L_intra",
        _DRAWN,
        (),
        changes={_INTRA_EPOCHS: "0"},
        reading="scores",
    ),
    "fig4": Reproduction(
        "Fig. 4: D-BR after four scores",
        _FOUR,
        ("d_br",),
        axis="detect.detectors=fct,spectral_signatures,symmetric_ce,local_ascent",
    ),
    "fig5": Reproduction(
        "Fig. 5: D-BR by unlearning, by relearning, by both",
        _FOUR,
        ("d_br",),
        axis=PAPER_SWEEPS["d_br"].axes[0],
    ),
    "fig6": Reproduction(
        "Fig. 6: the weight of the flagged samples in D-ST",
        _FOUR,
        ("d_st",),
        axis=PAPER_SWEEPS["lambda_p"].axes[0],
    ),
    "fig7": Reproduction(
        "Fig. 7: the probe's features, before and after L_intra",
        _FOUR,
        (),
        axis=_BEFORE_AND_AFTER,
        reading="features",
    ),
    "fig8": Reproduction(
        "Fig. 8: the scores of clean and of poisoned samples, before and after L_intra",
        ("badnets", "blend_signal", "sig", "trojan", "blend_picture", "label_consistent"),
        (),
        axis=_BEFORE_AND_AFTER,
        reading="scores",
    ),
    "fig11": Reproduction(
        "Fig. 11 and App. E: the 36 pairs of transforms",
        _DRAWN,
        (),
        axis=PAPER_SWEEPS["transforms"].axes[0],
    ),
    "appF": Reproduction(
        "App. F: the proportion that is flagged",
        _DRAWN,
        ("d_br", "d_st"),
        axis=PAPER_SWEEPS["proportions"].axes[1],
    ),
    "appG": Reproduction(
        "App. G: poisoning rates",
        _DRAWN,
        ("backdoored", "d_br", "d_st"),
        axis=PAPER_SWEEPS["rates"].axes[0],
    ),
    "appH": Reproduction(
        "App. H: architectures",
        _DRAWN,
        ("backdoored", "d_br", "d_st"),
        axis=PAPER_SWEEPS["architectures"].axes[0],
    ),
    "appI": Reproduction(
        "App. I: what the two methods cost beside plain training",
        ("badnets",),
        ("backdoored", "d_br", "d_st"),
        reading="seconds",
    ),
    "departures": Reproduction(
        "Departures: the paper's text, one departure at a time, the authors' code, ours",
        _FOUR,
        ("d_br", "d_st"),
        variants=DEPARTURES,
        recipes={"small": ("paper_small",), "paper": ("paper",)},
    ),
}


@dataclass(frozen=True)
class Panel:
    """The runs of a reproduction on one recipe: a sweep."""

    name: str  # of the recipe, and which variant of it
    recipe: Recipe  # that the trials change
    overrides: Mapping[str, str]  # what was changed in the recipe of that name before
    axis: Axis | None
    models: tuple[str, ...]  # whose numbers are shown
    variant: Variant | None
    trials: tuple[Trial, ...]


def plan_reproduction(
    name: str,
    scale: Scale,
    num_seeds: int,
    *,
    attacks: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
) -> list[Panel]:
    """Returns the runs of a table or figure; makes nothing.

    Args:
        name: One of REPRODUCTIONS.
        scale: "small" for two CPU cores, "paper" for the paper's networks and epochs.
        num_seeds: How many seeds each cell has, from 0.
        attacks: The rows, where not all are wanted.
        overrides: Dotted paths and their values, changed in every recipe.

    Raises:
        InputError: For a name, a scale or an attack that there is not.
    """
    reproduction = look_up(REPRODUCTIONS, "table or figure", name)
    if num_seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {num_seeds}")
    if scale not in reproduction.recipes:
        there_are = ", ".join(reproduction.recipes)
        raise InputError(f"{name} has no runs at the scale {scale!r}: take --scale {there_are}")
    for attack in attacks:
        if attack not in reproduction.attacks:
            raise unknown_name(f"row of {name}", attack, reproduction.attacks)
    panels = []
    for recipe_name in reproduction.recipes[scale]:
        changes = {"defenses": ",".join(reproduction.defenses) or "none"}
        if not reproduction.models:
            changes["backdoored"] = "none"  # scores alone are shown
        changes.update(reproduction.changes)
        changes.update(overrides or {})
        base = named_recipe(recipe_name)
        for path, value in changes.items():
            base = override(base, path, value)
        for number, variant in enumerate(reproduction.variants or (None,)):
            panel = Panel(
                name=recipe_name if variant is None else f"{recipe_name}_{number:02d}",
                recipe=base,
                overrides=changes,
                axis=None if reproduction.axis is None else parse_axis(reproduction.axis),
                models=reproduction.models if variant is None else variant.models,
                variant=variant,
                trials=(),
            )
            of_panel = _attacks_of(panel, tuple(attacks) or reproduction.attacks)
            if of_panel:
                axes = _axes_of(panel, of_panel, num_seeds)
                panels.append(replace(panel, trials=tuple(grid_trials(base, axes))))
    return panels


def _attacks_of(panel: Panel, attacks: tuple[str, ...]) -> tuple[str, ...]:
    """Returns those of some attacks on which the variant of a panel differs from the others."""
    if panel.variant is None or not panel.variant.attacks:
        return attacks
    return tuple(attack for attack in attacks if attack in panel.variant.attacks)


def _axes_of(panel: Panel, attacks: tuple[str, ...], num_seeds: int) -> list[Axis]:
    axes = [Axis("attack", attacks)]
    if panel.variant is not None:
        # Changes of a variant come behind the attack, whose fields they may set.
        for path, value in panel.variant.changes.items():
            axes.append(Axis(path, (value,)))
    if panel.axis is not None:
        axes.append(panel.axis)
    axes.append(Axis(_SEEDS_FIELD, tuple(str(seed) for seed in range(num_seeds))))
    return axes
