"""The figures and tables of the paper as sweeps over any recipe."""

from dataclasses import dataclass

from ray_defense.attacks import ATTACKS


@dataclass(frozen=True)
class NamedSweep:
    """A figure or table of the paper."""

    shows: str
    axes: tuple[str, ...]  # as `sweeps.grid.parse_axis` reads them
    changes: tuple[tuple[str, str], ...] = ()  # to the recipe, made before the axes


_SCORES_ONLY = (("defenses", "none"), ("backdoored", "none"))
_TRUSTED = "decide.trusted_fraction=0.05,0.1,0.2,0.3,0.4,0.5"
_FLAGGED = "decide.flagged_fraction=0.01,0.02,0.05,0.08,0.1,0.2"
_SMALL_RESNETS = (
    ("probe.model", "small_resnet"),
    ("backdoored.model", "small_resnet"),
    ("d_st.model", "small_resnet"),
)

PAPER_SWEEPS: dict[str, NamedSweep] = {
    "transforms": NamedSweep(
        "App. E, Fig. 11: the 36 pairs of transforms", ("detect.fct.tau=all-pairs",), _SCORES_ONLY
    ),
    "proportions": NamedSweep("App. F: alpha_c x alpha_p", (_TRUSTED, _FLAGGED), _SCORES_ONLY),
    "rates": NamedSweep("App. G: poisoning rates", ("poison.rate=0.01,0.05,0.1,0.2",)),
    "architectures": NamedSweep(
        "App. H: architectures",
        ("probe.model+backdoored.model+d_st.model=small_resnet,resnet18,resnet18_no_pool",),
    ),
    "widths": NamedSweep(
        "App. H: feature dimensionalities of the small ResNet",
        ("probe.model.width+backdoored.model.width+d_st.model.width=4,8,16,32",),
        _SMALL_RESNETS,
    ),
    "d_br": NamedSweep(
        "Fig. 5: unlearning, relearning, both",
        ("d_br.steps=unlearn;relearn;unlearn,relearn",),
        (("d_st", "none"),),
    ),
    "extractor": NamedSweep(
        "Table 3: CTL, S-CTL, SS-CTL", ("d_st.labels_used=none,all,trusted",), (("d_br", "none"),)
    ),
    "lambda_p": NamedSweep(
        "Fig. 6: lambda_p", ("d_st.flagged_weight=0.0,0.001,0.01,0.1,1.0",), (("d_br", "none"),)
    ),
    "attacks": NamedSweep("the tables' attacks", (f"attack={','.join(ATTACKS)}",)),
    "seeds": NamedSweep("what varies from seed to seed", ("seed+poison.seed=0,1,2,3,4",)),
}
