"""Looking after a deployment: whether it is well, and what has to be done now and then."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click
import sqlalchemy as sa

from referral import actions, ledger
from referral.actions import Sifted, Swept
from referral.audit import seals as audit_seals
from referral.cli.intake_checks import intake_checks
from referral.cli.output import Check, answer, json_option, opened, sentence
from referral.cli.spread import in_words
from referral.clock import SLEW, STEP
from referral.config import LANGUAGES, Config, ConfigError
from referral.database_time import DatabaseTime
from referral.db import migration_head, migration_of
from referral.deployment import Deployment, open_deployment
from referral.errors import Problem
from referral.ledger import seals
from referral.limits import Limits
from referral.reports import alarms, risk_health
from referral.reports import batches as batch_reports
from referral.visits import months
from referral.wechat import OfficialAccount
from referral.wechat.tickets import NotGiven

TRANSLATIONS = Path(__file__).resolve().parent.parent / "translations"
FINDINGS_SHOWN_MAX = 20


@click.group("rewards")
def rewards_group() -> None:
    """Rewards."""


@rewards_group.command()
@json_option
def release(as_json: bool) -> None:
    """Make rewards available whose hold is over, expire what nobody spent in time, and give back
    what was paid for vouchers that nobody used.

    To be run daily; running it twice does no harm.
    """
    with opened() as deployment:
        released = actions.release_rewards(deployment)
        expired = actions.expire_rewards(deployment)
        # After the points: what comes back late can still be spent until the next pass.
        unused = actions.expire_vouchers(deployment)
    words = (
        f"{released:,} rewards became available, {expired:,} expired; {unused:,} vouchers that "
        "nobody used gave back what was paid for them."
    )
    answer({"released": released, "expired": expired, "vouchers": unused}, as_json, words)


@click.command()
@json_option
def sweep(as_json: bool) -> None:
    """Drop what is of no use any more, sift openings, seal what was written. To be run every hour.

    Dropped are spent limits, answers, one-time codes, old counts, pictures that no campaign
    shows, and visits that no campaign keeps any more; on PostgreSQL the tables of the next months'
    visits are made. Openings by browsers that ran no page become fetches, see `referral spread
    sift`; what was posted is sealed, see `referral ledger seal`. Purchases of days that are over
    are tallied, the rates of large spreads measured, and what customers are worth worked out.
    """
    with opened() as deployment:
        swept = actions.sweep(deployment)
    words = (
        f"Dropped {swept.limits:,} spent limits, {swept.answers:,} kept answers, "
        f"{swept.sign_in_codes:,} one-time codes, {swept.misses:,} counts of wrong codes, "
        f"{swept.dead_links:,} counts of dead links and {swept.pictures:,} pictures that no "
        f"campaign shows. Sealed {swept.sealed:,} entries of the ledger and "
        f"{swept.sealed_log:,} of the audit log. "
        + in_words(Sifted(swept.to_fetches, swept.to_opens))
        + "".join(f" {line}" for line in _of_visits(swept))
    )
    answer(asdict(swept), as_json, words)


def _of_visits(swept: Swept) -> Iterator[str]:
    if swept.months:
        yield f"Dropped all visits of {', '.join(swept.months)}."
    if swept.visits:
        yield f"Dropped {swept.visits:,} visits that their campaigns do not keep any more."
    if swept.new_months:
        yield f"Ready for the visits of {', '.join(swept.new_months)}."
    if swept.months_put_off:
        yield "Some month's visits were in use; the next sweep sees to them."


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check settings, database, Redis, visits, WeChat, keys, texts, ledger; exit 1 on trouble.

    Wrong codes in unusual numbers are shown as well; they are no trouble of this service.
    """
    checks = list(_checks())
    ok = all(check.ok for check in checks)
    lines = [f"{check.mark:<6}{check.name:<13}{check.words}" for check in checks]
    answer({"ok": ok, "checks": [asdict(check) for check in checks]}, as_json, "\n".join(lines))
    if not ok:
        names = ", ".join(check.name for check in checks if not check.ok)
        raise click.ClickException(f"Something is wrong with: {names}.")


def _checks() -> Iterator[Check]:
    try:
        config = Config.from_env()
    except ConfigError as error:
        yield Check("settings", False, str(error))
        return
    yield Check("settings", True, f"{config.brand} at {config.base_url}, data in {config.data_dir}")
    yield _translations()
    try:
        deployment = open_deployment(config)
    except ConfigError as error:
        yield Check("regions", False, str(error))
        return
    try:
        yield Check("regions", True, deployment.places.source or "unknown, as no file is set")
        if config.redis_url:
            yield _redis(deployment.limits)
        if deployment.wechat:
            yield _wechat(deployment.wechat)
        database = _database(deployment)
        yield database
        if database.ok:
            yield _clock(deployment)
            yield from intake_checks(deployment)
            yield from _months(deployment)
            yield _keys(deployment)
            yield _ledger(deployment)
            yield _seals(deployment)
            yield _audit_log(deployment)
            yield _risk(deployment)
            yield from _wrong_codes(deployment)
    finally:
        deployment.db.close()


def _redis(limits: Limits) -> Check:
    if mistake := limits.redis.mistake():
        return Check("redis", False, f"this is {mistake}")
    well = limits.redis_answers()
    return Check("redis", well, "answers" if well else "away; limits use the database")


def _translations() -> Check:
    missing = [
        tag
        for tag in LANGUAGES
        if not (TRANSLATIONS / tag.replace("-", "_") / "LC_MESSAGES" / "messages.mo").is_file()
    ]
    if missing:
        return Check("translations", False, f"not compiled: {', '.join(missing)}; run `make setup`")
    return Check("translations", True, ", ".join(LANGUAGES))


def _wechat(account: OfficialAccount) -> Check:
    try:
        account.new_ticket()
    except NotGiven as refusal:
        return Check("wechat", False, f"{refusal}; docs/wechat.md says what that means")
    return Check("wechat", True, f"{account.settings.app_id} gets what it signs pages with")


def _database(deployment: Deployment) -> Check:
    try:
        with deployment.db.read() as tx:
            current = migration_of(tx)
    except (Problem, sa.exc.SQLAlchemyError) as error:
        return Check("database", False, sentence(error))
    if current != migration_head():
        words = f"is at migration {current or 'none'}, not {migration_head()}"
        return Check("database", False, f"{words}; run `referral db upgrade`")
    kind = "SQLite" if deployment.db.is_sqlite else "PostgreSQL"
    return Check("database", True, f"{kind}, migration {current}")


def _clock(deployment: Deployment) -> Check:
    ahead = DatabaseTime(deployment.db).read().ahead
    if abs(ahead) < STEP:
        return Check("clock", True, "the database's")
    where = "ahead of it" if ahead > timedelta(0) else "behind it"
    off = f"the service is {abs(ahead).total_seconds():,.0f} seconds {where}"
    agree = f"and they agree in {abs(ahead) / SLEW / timedelta(minutes=1):,.0f} minutes"
    return Check("clock", True, f"the database's was set: {off}, {agree}", alarm=True)


def _months(deployment: Deployment) -> Iterator[Check]:
    now = deployment.clock.now()
    soon = {months.month_of(now), months.month_of(now, 1)}
    with deployment.db.read() as tx:
        missing = [month for month in months.missing(tx, now) if month in soon]
    if missing:
        words = f"{', '.join(f'{month:%Y-%m}' for month in missing)} have no table of their own yet"
        yield Check("months", True, f"{words}; run `referral sweep` every hour", alarm=True)
    elif not deployment.db.is_sqlite:
        yield Check("months", True, "visits of this one and the next have their tables")


def _keys(deployment: Deployment) -> Check:
    with deployment.db.read() as tx:
        lost = batch_reports.made_without(tx, deployment.keys.key_ids)
    if lost:
        words = f"batches {', '.join(map(str, lost))} were made with a key that is not in"
        return Check("secret keys", False, f"{words} REFERRAL_SECRET_KEYS")
    return Check("secret keys", True, f"{len(deployment.keys.key_ids)}, covering every batch")


def _ledger(deployment: Deployment) -> Check:
    with deployment.db.read() as tx:
        findings = ledger.verify(tx)
    shown = "; ".join(findings[:FINDINGS_SHOWN_MAX])
    return Check("ledger", not findings, shown or "adds up")


def _seals(deployment: Deployment) -> Check:
    with deployment.db.read() as tx:
        since = seals.oldest_unsealed(tx)
        blocks = seals.head(tx).block
    if since is not None and deployment.clock.now() - since > seals.UNSEALED_MAX:
        words = f"nothing that was posted since {since:%Y-%m-%d %H:%M} UTC is sealed"
        return Check("seals", True, f"{words}; run `referral ledger seal` every night", alarm=True)
    return Check("seals", True, f"{blocks:,} blocks")


def _audit_log(deployment: Deployment) -> Check:
    with deployment.db.read() as tx:
        since, upto = audit_seals.oldest_unsealed(tx), audit_seals.sealed_upto(tx)
    if since is not None and deployment.clock.now() - since > audit_seals.UNSEALED_MAX:
        words = f"nothing that was written since {since:%Y-%m-%d %H:%M} UTC is sealed"
        return Check("audit log", True, f"{words}; run `referral sweep` every hour", alarm=True)
    return Check("audit log", True, f"sealed up to entry {upto:,}")


def _risk(deployment: Deployment) -> Check:
    with deployment.db.read() as tx:
        found = risk_health.health(tx, deployment.keys)
    return Check("risk rules", found.ok, found.words)


def _wrong_codes(deployment: Deployment) -> Iterator[Check]:
    with deployment.db.read() as tx:
        found = alarms.current(tx, deployment.clock.now())
    for alarm in found:
        yield Check("wrong codes", True, alarms.in_words(alarm), alarm=True)
    if not found:
        yield Check("wrong codes", True, "no more than usual")
