"""Orders: those that the shop reports in files."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from referral.actions.importing import Imported, check_orders, import_orders
from referral.cli.output import answer, json_option, opened, progress
from referral.errors import Unavailable
from referral.orders.files import Fault, OrderFile

FAULTS_SHOWN = 50


@click.group("orders")
def orders_group() -> None:
    """Orders and refunds that the shop reports."""


@orders_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Only say what is wrong with it; keep nothing.")
@json_option
def import_command(file: Path, check: bool, as_json: bool) -> None:
    """Keep the orders and refunds of FILE, and pay for them.

    FILE is a CSV in UTF-8. Its first line names the columns, in any order: external_id and amount,
    and of kind, customer_id, member_id, phone, coupon, via, currency, at, gtins and order those
    that are used. See docs/orders.md.

    Each line is kept by itself. Wrong ones are told on standard error and left out; put them right
    and read the file again: nothing is kept twice. Exits with 1 if a line was wrong.
    """
    work = check_orders if check else import_orders
    with opened() as deployment, file.open("rb") as stream:
        whole = OrderFile(stream)
        at = 0
        with progress("Checking orders" if check else "Reading orders") as tell:

            def note(done: int, total: int) -> None:
                nonlocal at
                at = done
                tell(done, total)

            try:
                found = work(deployment, whole, note)
            except Unavailable as problem:
                raise click.ClickException(
                    f"{problem.title} Stopped at line {at + 1}; what stands before it is kept. "
                    "Read the file again."
                ) from None
    for line in _faults(found):
        print(line, file=sys.stderr)
    answer(_told(found, check), as_json, _words(found, check))
    if found.wrong:
        sys.exit(1)


def _told(found: Imported, check: bool) -> dict[str, object]:
    return {**asdict(found), "checked_only": check}


def _faults(found: Imported) -> Iterator[str]:
    for fault in found.faults[:FAULTS_SHOWN]:
        yield _sentence(fault)
    if found.wrong > FAULTS_SHOWN:
        yield f"... and {found.wrong - FAULTS_SHOWN:,} more lines."


def _sentence(fault: Fault) -> str:
    column = f", {fault.column}" if fault.column else ""
    return f"Line {fault.line}{column}: {fault.title} {fault.advice}"


def _words(found: Imported, check: bool) -> str:
    new = f"{_count(found.orders, 'order')} and {_count(found.refunds, 'refund')}"
    if check:
        said = f"Nothing was kept. {new} would be new"
    else:
        said = f"{new} kept, {_count(found.rewards, 'reward')} granted"
    said += f"; {found.already:,} had been reported before"
    return f"{said}; {_count(found.wrong, 'line')} wrong." if found.wrong else f"{said}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
