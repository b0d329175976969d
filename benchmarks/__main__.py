"""Lists the studies: `python -m benchmarks`."""

import pkgutil
from importlib import import_module
from importlib.util import find_spec

import benchmarks


def study_titles() -> dict[str, str]:
    """Returns the first line of the docstring of each study by its name."""
    titles = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.ispkg:
            package = import_module(f"benchmarks.{module.name}")
            titles[module.name] = str(package.__doc__).splitlines()[0]
    return titles


def runnable_modules(study: str) -> list[str]:
    """Returns the modules of a study that `python -m` runs: the study itself, then its parts."""
    package = import_module(f"benchmarks.{study}")
    names = []
    if find_spec(f"benchmarks.{study}.__main__") is not None:
        names.append(f"benchmarks.{study}")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in getattr(package, "PARTS", ()):
            names.append(f"benchmarks.{study}.{module.name}")
    return names


def main() -> None:
    """Prints one line for each study, and how each is run."""
    titles = study_titles()
    width = max(map(len, titles))
    for name, title in titles.items():
        print(f"{name:<{width}}  {title}")
    print("\nRun one from the root of the repository (--help says how):")
    for name in titles:
        for module in runnable_modules(name):
            print(f"  python -m {module}")


if __name__ == "__main__":
    main()
