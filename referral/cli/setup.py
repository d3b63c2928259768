"""Setting up: the database, staff, API keys, products, campaigns."""

import secrets
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from referral import actions
from referral.catalog import NAME_LENGTH_MAX
from referral.cli.output import answer, json_option, opened
from referral.codes import Labels
from referral.config import Config
from referral.db import migration_head, upgrade
from referral.staff import NAME_LENGTH_MAX as STAFF_NAME_LENGTH_MAX
from referral.staff import Role, UnknownMember, staff_by_email

KEY_NAME_LENGTH_MAX = 80


def storable(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Checks an option or argument, one text or several: the database can keep it."""
    texts: Sequence[str] = [value] if isinstance(value, str) else value or ()
    for text in texts:
        try:
            # PostgreSQL stores every character but this one.
            can_be_kept = b"\0" not in text.encode()
        except UnicodeEncodeError:
            can_be_kept = False  # bytes that are no UTF-8
        if not can_be_kept:
            raise click.BadParameter("it has a character that cannot be stored")
    return value


def text_of(most: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Checks an option or argument: a text of 1 to `most` characters, spaces collapsed."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        storable(context, parameter, value)
        text = " ".join(value.split())
        if not 0 < len(text) <= most:
            raise click.BadParameter(f"it must have 1 to {most} characters")
        return text

    return check


@click.group("db")
def db_group() -> None:
    """The database."""


@db_group.command("upgrade")
@json_option
def db_upgrade(as_json: bool) -> None:
    """Bring the database to this version's newest migration."""
    upgrade(Config.from_env().database_url)
    answer({"migration": migration_head()}, as_json, f"The database is at {migration_head()}.")


@click.group()
def staff() -> None:
    """Who may work in the console."""


@staff.command("add")
@click.argument("email", callback=storable)
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--store", callback=storable, help="A store manager's store, by its short name.")
@click.option("--name", default="", callback=storable, help="What colleagues say.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Make a password up and print it.")
@json_option
def staff_add(
    email: str,
    role: str,
    store: str | None,
    name: str,
    password_stdin: bool,
    generate: bool,
    as_json: bool,
) -> None:
    """Add an account; without an option the password is asked for."""
    if (role == Role.store_manager) != (store is not None):
        raise click.UsageError("--store belongs to --role store_manager, which needs one.")
    if len(name) > STAFF_NAME_LENGTH_MAX:
        raise click.BadParameter(f"at most {STAFF_NAME_LENGTH_MAX} characters", param_hint="--name")
    if password_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other.")
    if generate:
        password = secrets.token_urlsafe(12)
    elif password_stdin:
        password = sys.stdin.read().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with opened() as deployment:
        actions.add_staff(
            deployment, email=email, password=password, role=Role(role), store=store, name=name
        )
    found, words = {"email": email, "role": role}, f"Added {email} as {role}."
    if store:
        found["store"] = store
    if generate:
        found["password"], words = password, f"{words} Password: {password}"
    answer(found, as_json, words)


@staff.command("clear-second-factors")
@click.argument("email", callback=storable)
@json_option
def staff_clear_second_factors(email: str, as_json: bool) -> None:
    """Leave a member with a password alone: for who has lost the phone and the recovery codes.

    The link to single sign-on goes too, and so do passkeys. Make sure first who is asking.
    """
    with opened() as deployment:
        with deployment.db.read() as tx:
            member = staff_by_email(tx, email)
        if member is None:
            raise UnknownMember()
        actions.clear_second_factors(deployment, member.id, by="command")
    words = f"{member.email} gets in with the password alone now."
    answer({"email": member.email}, as_json, words)


@click.group("api-key")
def api_key() -> None:
    """Keys of the API."""


@api_key.command("add")
@click.argument("name", callback=text_of(KEY_NAME_LENGTH_MAX))
@json_option
def api_key_add(name: str, as_json: bool) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    with opened() as deployment:
        key = actions.add_api_key(deployment, name)
    answer({"name": name, "key": key}, as_json, key)


@click.group()
def product() -> None:
    """Products."""


@product.command("add")
@click.option("--gtin", required=True, help="8, 12, 13 or 14 digits.")
@click.option("--name", required=True, callback=text_of(NAME_LENGTH_MAX))
@click.option(
    "--price",
    required=True,
    type=click.IntRange(1, 10**12),
    help="In minor units, such as cents.",
)
@click.option("--currency", default="CNY", show_default=True, help="ISO 4217.")
@click.option(
    "--labels",
    type=click.Choice(Labels),
    default=Labels.single,
    show_default=True,
    help="Whether a package carries one code, or one outside to look it up and one to claim.",
)
@json_option
def product_add(
    gtin: str, name: str, price: int, currency: str, labels: Labels, as_json: bool
) -> None:
    """Add a product."""
    currency = currency.upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise click.BadParameter("a currency has three letters, such as CNY", param_hint="currency")
    with opened() as deployment:
        made = actions.add_product(
            deployment, gtin=gtin, name=name, price=price, currency=currency, labels=labels
        )
    found = {"gtin": made.gtin, "name": made.name, "price": made.price, "currency": made.currency}
    answer(found | {"labels": made.labels}, as_json, f"Added {made.name} as {made.gtin}.")


@click.group()
def campaign() -> None:
    """Campaigns."""


@campaign.command("publish")
@click.argument("slug", callback=storable)
@json_option
def campaign_publish(slug: str, as_json: bool) -> None:
    """Start a campaign that was drafted in the console or by the API."""
    with opened() as deployment:
        made = actions.publish_campaign(deployment, slug)
    found = {"slug": made.slug, "state": made.state, "budget": made.budget}
    answer(
        found | {"starts_at": made.starts_at, "ends_at": made.ends_at},
        as_json,
        f"{made.slug} is published, from {made.starts_at:%Y-%m-%d %H:%M} "
        f"to {made.ends_at:%Y-%m-%d %H:%M} UTC.",
    )
