"""`cascades`: made-up cascades with the figures of real ones, to be replayed."""

import csv
from pathlib import Path
from random import Random

import click

from referral.cli.output import answer, json_option
from referral.spread import cascades, replay
from referral.spread.cascades import REPRODUCTION_MAX, Shape

TREES_MAX = 10_000_000
DEFAULT = Shape()


@click.command("cascades")
@click.option("--trees", type=click.IntRange(1, TREES_MAX), default=1_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--reproduction",
    type=click.FloatRange(0, REPRODUCTION_MAX),
    default=DEFAULT.reproduction,
    show_default=True,
    help="R: how many nodes a node begets on average.",
)
@click.option(
    "--dispersion",
    type=click.FloatRange(0, 100, min_open=True),
    default=DEFAULT.dispersion,
    show_default=True,
    help="k: the smaller, the more of it comes from a few nodes.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False, writable=True), required=True
)
@json_option
def cascades_command(
    trees: int, seed: int, reproduction: float, dispersion: float, out: Path, as_json: bool
) -> None:
    """Write made-up cascades as a file for `replay`; the same seed gives the same ones."""
    shape = Shape(reproduction=reproduction, dispersion=dispersion)
    drawn = cascades.recorded(Random(seed), trees, shape)  # noqa: S311 - has to be the same again
    count = 0
    with out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(replay.HEADER)
        for count, one in enumerate(drawn, 1):  # noqa: B007 - the last one is the count
            parent = "" if one.parent is None else one.parent
            rows.writerow((one.tree, one.node, parent, f"{one.seconds:.1f}"))
    answer({"trees": trees, "nodes": count}, as_json, f"Wrote {count:,} nodes in {trees:,} trees.")
