"""Measure what this folder has, or what is named, and print one table.

What a single part takes of its own on the command line stands behind its name: `python -m bench
large --visits 1_000_000`. With `--quick` every part is gone through once, with little of
everything: it shows that they work, and nothing else.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import bench
from bench.measure import Row, machine, on_one_core, print_table

ON_DEMAND = {
    "large": "10 million visits: about a quarter of an hour, and 12 GB of disk",
    "tree": "a million customers, twice: some minutes, and 3 GB of disk",
}
"""Parts that are measured only where they are named, and why."""


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(parts())}")
    parser.add_argument("--quick", action="store_true", help="go through it once, with little")
    said, rest = parser.parse_known_args(arguments)
    wrong = set(said.names) - set(parts())
    if wrong:
        parser.error(f"there is no {', '.join(sorted(wrong))}; there is {', '.join(parts())}")
    if rest:
        one = module(said.names[0]) if len(said.names) == 1 else None
        if one is None or not hasattr(one, "options"):
            parser.error(f"unknown: {' '.join(rest)}")
        one.options(rest)
    on_one_core()
    names = said.names or [name for name in parts() if name not in ON_DEMAND]
    rows = [row for name in names for row in measured(name, quick=said.quick)]
    print(machine())
    print_table(rows)
    if not said.names:
        for name, why in ON_DEMAND.items():
            print(f"Not measured: {name} ({why}); `python -m bench {name}` does.")
    return 0


def parts() -> list[str]:
    """The modules of this folder that have rows to give."""
    names = [each.name for each in iter_modules(bench.__path__) if each.name != "__main__"]
    return [name for name in names if hasattr(module(name), "rows")]


def module(name: str) -> ModuleType:
    return import_module(f"bench.{name}")


def measured(name: str, *, quick: bool = False) -> Iterator[Row]:
    print(f"Measuring {name} ...", file=sys.stderr)
    if quick:
        for each in ("measure", *getattr(module(name), "BUILT_ON", ()), name):
            make_quick(module(each))
    yield from module(name).rows()


def make_quick(part: ModuleType) -> None:
    """Set the constants of a module to what its `QUICK` says, which names nothing else."""
    for name, value in part.QUICK.items():
        if not hasattr(part, name):
            raise AttributeError(f"{part.__name__} has no {name}")
        setattr(part, name, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
