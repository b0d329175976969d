"""Single departures from the paper and back to its authors, so that each is worth a number.

docs/departures.md says what D1 to D10 are, and which of them have no switch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ray_defense.pipeline.recipes.variants import AS_THE_AUTHORS, AS_WE_WOULD

_CLEAN_LABEL = ("label_consistent",)  # the one of the four attacks that D5 and D6 concern
_OTHERS = ("badnets", "blend_signal", "sig")
_ATTACK_OF_THE_AUTHORS = {"attack.overflow": "wrap", "attack.pgd_sees": "raw"}
_D_BR = ("d_br",)
_D_ST = ("d_st",)


@dataclass(frozen=True)
class Variant:
    """A way to run a recipe: what changes in it, and what that may change."""

    title: str
    changes: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ("d_br", "d_st")
    attacks: tuple[str, ...] = ()  # on which it differs from the other variants; (): on all
    # Which numbers are shown, as the start of their columns in a row of a sweep.
    reading: Literal["", "target_excluded_", "best_round_"] = ""


DEPARTURES: tuple[Variant, ...] = (
    Variant("paper"),
    Variant("D3: positives of the authors", {"d_st.positives": "authors"}, _D_ST),
    Variant("D4: two passes a batch", {"probe.intra_passes": "2"}),
    Variant("D5: cast before clipping", {"attack.overflow": "wrap"}, attacks=_CLEAN_LABEL),
    Variant("D6: PGD sees raw pixels", {"attack.pgd_sees": "raw"}, attacks=_CLEAN_LABEL),
    Variant("D7: the round by test data", models=_D_BR, reading="best_round_"),
    Variant("D8: ACC without the target class", reading="target_excluded_"),
    Variant("D9: means over a batch", {"d_st.mce_means": "batch"}, _D_ST),
    Variant("loss times T / 0.07", {"d_st.loss_scale": AS_THE_AUTHORS["d_st.loss_scale"]}, _D_ST),
    Variant("authors", AS_THE_AUTHORS, attacks=_OTHERS),
    Variant("authors", {**AS_THE_AUTHORS, **_ATTACK_OF_THE_AUTHORS}, attacks=_CLEAN_LABEL),
    Variant("unlearning stops", {"d_br.unlearn_above": "0.02"}, _D_BR),
    Variant("ours", AS_WE_WOULD),
)
