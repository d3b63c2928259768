"""`referral codes print`: labels of a batch as PDF, for small runs."""

import os
from pathlib import Path

import click

from referral.cli.codes import batch_option, codes, end_option, start_option
from referral.cli.output import answer, json_option, opened, progress
from referral.cli.setup import text_of
from referral.codes import Label
from referral.printing import label_files, labels
from referral.printing.labels import BLEED_MAX, MARK_LENGTH_MAX, MODULE_MIN, LabelTerms, Layout
from referral.printing.qr import LEVELS, Level


@codes.command("print")
@batch_option
@start_option
@end_option
@click.option("--label", type=click.Choice(Label), default=Label.inner, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(Layout),
    default=Layout.a4,
    show_default=True,
    help="Sheets to cut, or a page for each label.",
)
@click.option(
    "--module",
    type=float,
    metavar="MM",
    default=MODULE_MIN,
    show_default=True,
    help="How large one module of the QR code is; this is GS1's smallest.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="M",
    show_default=True,
    help="Error correction: Q for caps and for curved or wet packs.",
)
@click.option(
    "--bleed",
    type=click.FloatRange(0, BLEED_MAX),
    metavar="MM",
    default=0.0,
    help="Around single labels, with crop marks.",
)
@click.option("--mark", callback=text_of(MARK_LENGTH_MAX), help="Whom the file is for.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.pdf"
)
@json_option
def print_labels(
    batch_id: int,
    start: int | None,
    end: int | None,
    label: Label,
    layout: Layout,
    module: float,
    level: Level,
    bleed: float,
    mark: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write labels as PDF: QR code, product and code, for small runs on one's own printer.

    Print at 100 %. Whoever has the file has the codes: it is readable by its owner only. Nothing
    is overwritten.
    """
    terms = LabelTerms(layout, module, level, bleed)
    if out.exists():
        raise click.ClickException(f"{out} is there already; choose another name.")
    with opened() as deployment:
        batch = deployment.directory.batch(batch_id)
        last = batch.size if end is None else end
        run = labels.Run(batch, start or 0, last, label, terms, mark or "")
        with progress("Drawing labels") as tell:
            made_at = deployment.local_now()
            base_url = deployment.config.base_url
            made = label_files.print_labels(run, deployment.codes, base_url, made_at, tell)
    _write(out, made.pdf)
    found = {
        "batch": batch.id,
        "label": label.value,
        "start": run.start,
        "end": run.end,
        "count": made.count,
        "pages": made.pages,
        "version": made.version,
        "level": level,
        "module_mm": module,
        "width_mm": round(made.shape.width, 3),
        "height_mm": round(made.shape.height, 3),
        "file": out,
    }
    size = f"{made.shape.width:.1f} x {made.shape.height:.1f} mm"
    pages = f"{made.pages:,} page{'s' if made.pages > 1 else ''}"
    answer(found, as_json, f"{made.count:,} labels of {size} on {pages} in {out}.")


def _write(path: Path, content: bytes) -> None:
    """A new file that only its owner reads; none when it cannot be written whole."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            path.unlink()
            raise
