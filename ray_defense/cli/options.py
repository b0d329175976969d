"""The command line as typed data: the commands and their options."""

from dataclasses import dataclass

from ray_defense.execution.protocols import Backend

COMMANDS = {
    "run": "run a recipe; what the store already holds is not done again",
    "demo": "run digits_badnets: the whole path on a small dataset, without a download",
    "score": "run a recipe without the models that its scores and their split do not need",
    "defend": "make the split and the defended models of a recipe, without a look at truth or test set",
    "report": "write the report of a run whose artifacts are all in the store; nothing else is computed",
    "benchmark": "measure images/s of ingest, probe and scoring of a recipe on this machine or cluster",
    "sweep": "run a recipe once for every combination of some values; what trials share is made once",
    "attacks": "look at an attack, or measure whether attacks work",
    "list": "name the recipes, and the units that --set can choose",
    "doctor": "say what this machine has, what is missing, and the line that installs it",
}
ATTACKS_COMMANDS = {
    "preview": "draw what an attack does to eight training images that it may poison, as a PNG",
    "check": "train a model on what each attack poisons and print its ACC and ASR (no name: every attack)",
}


@dataclass(frozen=True)
class Work:
    """The options of every command that runs something: what, from where, where to, and how."""

    recipe: str = "digits_badnets"
    set: tuple[str, ...] = ()  # KEY=VALUE
    store: str = "./store"
    executor: str = "ray"
    backend: Backend = "auto"
    placement: tuple[str, ...] = ()  # KEY=VALUE
    data_root: str | None = None
    quiet: bool = False


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`, `demo` and `score`."""

    work: Work
    print_config: bool = False


@dataclass(frozen=True)
class DefendOptions:
    """The options of `defend`."""

    work: Work


@dataclass(frozen=True)
class ReportOptions:
    """The options of `report`."""

    work: Work


@dataclass(frozen=True)
class BenchmarkOptions:
    """The options of `benchmark`."""

    work: Work
    repeats: int = 3


@dataclass(frozen=True)
class PreviewOptions:
    """The options of `attacks preview`."""

    work: Work
    attack: str
    source: str | None = None  # None: the recipe's
    output: str | None = None  # None: <attack>.png here


@dataclass(frozen=True)
class CheckOptions:
    """The options of `attacks check`."""

    work: Work
    attacks: tuple[str, ...] = ()  # none: all


@dataclass(frozen=True)
class SweepOptions:
    """The options of `sweep`."""

    work: Work
    grid: tuple[str, ...] = ()  # PATH=VALUE,VALUE
    named: str | None = None  # one of `recipes.SWEEPS`
    samples: int | None = None  # trials drawn from the grid; None: all
    search: str | None = None  # who draws them; None: chance
    metric: str | None = None  # that leads the search
    mode: str | None = None  # whether more or less of it is better; None: as it is
    batch: int | None = None  # trials that the search asks for at a time
    asha: str | None = None  # STAGE.METRIC, with :max or :min
    resume: bool = False
    plan: bool = False


Options = RunOptions | DefendOptions | ReportOptions | BenchmarkOptions | PreviewOptions | CheckOptions | SweepOptions
OPTIONS: dict[str, type[Options]] = {
    "run": RunOptions,
    "demo": RunOptions,
    "score": RunOptions,
    "defend": DefendOptions,
    "report": ReportOptions,
    "benchmark": BenchmarkOptions,
    "sweep": SweepOptions,
    "attacks preview": PreviewOptions,
    "attacks check": CheckOptions,
}
POSITIONAL = dict.fromkeys(OPTIONS, "recipe") | {"attacks preview": "attack", "attacks check": "attacks"}  # demo: fixed
