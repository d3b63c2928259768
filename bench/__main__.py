"""`python -m bench [NAME ...]`: measure everything in this folder, or what is named; one table."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import bench
from bench.measure import Row, machine, on_one_core, print_table


def main(names: list[str]) -> int:
    found = benchmarks()
    wrong = set(names) - set(found)
    if wrong:
        print(
            f"There is no {', '.join(sorted(wrong))}; there is {', '.join(found)}.", file=sys.stderr
        )
        return 2
    on_one_core()
    rows = [row for name in names or found for row in measured(name)]
    print(machine())
    print_table(rows)
    return 0


def benchmarks() -> list[str]:
    """The modules of this folder that have rows to give."""
    names = [module.name for module in iter_modules(bench.__path__) if module.name != "__main__"]
    return [name for name in names if hasattr(import_module(f"bench.{name}"), "rows")]


def measured(name: str) -> Iterator[Row]:
    print(f"Measuring {name} ...", file=sys.stderr)
    yield from import_module(f"bench.{name}").rows()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
