"""Alarms: where more wrong codes are tried than mistyping and chance explain.

The misses of this hour and the one before are held against four measures, and have to be above
each of them:

- `MISSES_LEAST`, so that a few typing errors are no alarm;
- `TIMES_USUAL` times what the week before was usual in as many hours;
- `SHARE_OF_SCANS` of the genuine codes that were scanned for the first time meanwhile: many new
  scans bring many typing errors. Each code counts once, so nobody buys silence by scanning his one
  bottle over and over;
- for a batch, `TIMES_CHANCE` times the share of random guesses that comes to a batch of its size.

Wrong codes at a product's address, and those that were typed without one, are looked at in the same
way, without what was near a batch that has an alarm already.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.catalog import Product
from referral.codes import INDEX_END, Labels
from referral.errors import N_
from referral.gathering import hour_of
from referral.misses import NONE, CodeMisses
from referral.visits import SeenCode

MISSES_LEAST = 50
TIMES_USUAL = 5
SHARE_OF_SCANS = 0.05
TIMES_CHANCE = 3
RECENT = timedelta(hours=1)
"""How much is looked at before the hour that is running."""
EARLIER = timedelta(days=7)
ALARMS_MAX = 50
"""The worst of them are enough to act on."""


class About(StrEnum):
    """What an alarm is about."""

    batch = "batch"
    product = "product"
    typed = "typed"


SAYINGS = {
    About.batch: N_(
        "%(misses)s codes that do not exist were tried near batch %(name)s since %(since)s."
    ),
    About.product: N_(
        "%(misses)s codes that do not exist were tried at the address of %(name)s since %(since)s."
    ),
    About.typed: N_("%(misses)s codes that do not exist were typed since %(since)s."),
}
MEASURES = N_(
    "Usually %(usual)s an hour; meanwhile %(scans)s codes were scanned for the first time."
)
ADVICE = {
    About.batch: N_(
        "Somebody with packages of this batch may be trying others. Wrong codes never pay, and "
        "who tries many is slowed down. Watch the batch's scans and claims; if its print file may "
        "have leaked, void or recall the range."
    ),
    About.product: N_(
        "Look at how this product's packages are printed: a printer's fault makes every scan a "
        "miss. If they are fine, somebody is guessing: wrong codes never pay, and who tries many "
        "is slowed down."
    ),
    About.typed: N_(
        "If a promotion has just begun, people mistype. Otherwise somebody is guessing: wrong "
        "codes never pay, and who tries many is slowed down. If it goes on, look at where the "
        "requests come from in your proxy's log."
    ),
}


Cells = Mapping[tuple[int, int], int]
"""Misses by product and batch."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Alarm:
    """More misses than there should be. `id` and `name` are the batch's or the product's; codes
    that were typed have `NONE` and no name."""

    about: About
    id: int
    name: str
    misses: int
    since: datetime
    usual: float
    """Misses an hour in the week before."""
    scans: int
    """Genuine codes scanned for the first time since."""

    @property
    def saying(self) -> str:
        """What is the matter, to be translated; `facts` go into it."""
        return SAYINGS[self.about]

    @property
    def measures(self) -> str:
        """What it was held against, to be translated; facts go into this as well."""
        return MEASURES

    @property
    def advice(self) -> str:
        """What to do, to be translated."""
        return ADVICE[self.about]


@dataclass(frozen=True)
class _Suspect:
    """A batch, a product or what was typed, and what is known of its misses so far."""

    about: About
    id: int
    name: str
    misses: int
    made_at: datetime
    chance: float = 0.0
    """How many misses random guesses explain."""


class _Window:
    """The hours that are looked at, and the week before them."""

    def __init__(self, tx: Session, since: datetime, now: datetime) -> None:
        self._tx = tx
        self._since = since
        self._hours = (now - since) / _HOUR
        self._earlier: Cells | None = None

    def judge(self, suspect: _Suspect, told: Collection[int] = ()) -> Alarm | None:
        """An alarm, if there are more misses than any measure explains.

        `told` are the batches whose misses an alarm tells of already.
        """
        usual = self._usual(suspect, told)
        explained = max(TIMES_USUAL * usual * self._hours, TIMES_CHANCE * suspect.chance)
        if suspect.misses <= explained:
            return None
        scans = self._scans(suspect)
        if suspect.misses <= SHARE_OF_SCANS * scans:
            return None
        return Alarm(
            suspect.about,
            suspect.id,
            suspect.name,
            suspect.misses,
            self._since,
            usual,
            scans,
        )

    def _usual(self, suspect: _Suspect, told: Collection[int]) -> float:
        """Misses an hour, over the week before or for as long as there could be any."""
        if self._earlier is None:
            self._earlier = _misses(self._tx, self._since - EARLIER, self._since)
        misses = sum(
            count
            for (product_id, batch_id), count in self._earlier.items()
            if (batch_id if suspect.about is About.batch else product_id) == suspect.id
            and batch_id not in told
        )
        return misses / max((min(self._since - suspect.made_at, EARLIER)) / _HOUR, 1)

    def _scans(self, suspect: _Suspect) -> int:
        statement = sa.select(sa.func.count()).where(SeenCode.first_at >= self._since)
        of = sa.select(Batch.id)
        if suspect.about is About.batch:
            of = of.where(Batch.id == suspect.id)
        elif suspect.about is About.product:
            of = of.where(Batch.product_id == suspect.id)
        return self._tx.scalar(statement.where(SeenCode.batch_id.in_(of))) or 0


def current(tx: Session, now: datetime) -> list[Alarm]:
    """The alarms there are now, the most misses first."""
    since = hour_of(now) - RECENT
    window = _Window(tx, since, now)
    cells = _misses(tx, since)
    of_batches = [window.judge(suspect) for suspect in _batches(tx, cells)]
    told = {alarm.id for alarm in of_batches if alarm}
    rest = {(p, b): count for (p, b), count in cells.items() if b not in told}
    others = [window.judge(suspect, told) for suspect in _products(tx, rest)]
    found = [alarm for alarm in of_batches + others if alarm]
    return sorted(found, key=lambda alarm: -alarm.misses)[:ALARMS_MAX]


def in_words(alarm: Alarm) -> str:
    """The whole alarm in English, for operators."""
    facts = {
        "misses": f"{alarm.misses:,}",
        "name": f"{alarm.name} ({alarm.id})" if alarm.id else alarm.name,
        "since": f"{alarm.since:%H:%M} UTC",
        "usual": f"{alarm.usual:,.1f}",
        "scans": f"{alarm.scans:,}",
    }
    return f"{alarm.saying % facts} {MEASURES % facts} {alarm.advice}"


def _misses(tx: Session, start: datetime, end: datetime | None = None) -> Cells:
    columns = (CodeMisses.product_id, CodeMisses.batch_id)
    statement = sa.select(*columns, sa.func.sum(CodeMisses.count)).group_by(*columns)
    statement = statement.where(CodeMisses.hour >= start)
    rows = tx.execute(statement if end is None else statement.where(CodeMisses.hour < end))
    return {(product_id, batch_id): int(count) for product_id, batch_id, count in rows}


def _loud(counts: Counter[int]) -> list[int]:
    """Whose misses reach the least that is an alarm."""
    return [key for key, count in counts.items() if count >= MISSES_LEAST and key != NONE]


def _batches(tx: Session, cells: Cells) -> Iterable[_Suspect]:
    near = Counter[int]()
    for (_, batch_id), count in cells.items():
        near[batch_id] += count
    if not (loud := _loud(near)):
        return []
    pairs = sa.func.sum(Batch.size).filter(Batch.labels == Labels.pair)
    inner, outer = tx.execute(sa.select(sa.func.sum(Batch.size), pairs)).one()
    lands_nowhere = (1 - int(inner or 0) / INDEX_END) * (1 - int(outer or 0) / INDEX_END)
    guesses = near[NONE] / max(lands_nowhere, 0.01)
    columns = (Batch.id, Batch.name, Batch.created_at, Batch.size, Batch.labels)
    return [
        _Suspect(
            About.batch,
            batch_id,
            name,
            near[batch_id],
            made_at,
            chance=guesses * size * (2 if labels == Labels.pair else 1) / INDEX_END,
        )
        for batch_id, name, made_at, size, labels in tx.execute(
            sa.select(*columns).where(Batch.id.in_(loud))
        )
    ]


def _products(tx: Session, cells: Cells) -> Iterable[_Suspect]:
    at = Counter[int]()
    for (product_id, _), count in cells.items():
        at[product_id] += count
    if at[NONE] >= MISSES_LEAST:
        opened_at = tx.scalar(sa.select(sa.func.min(Product.created_at)))
        if opened_at is not None:
            yield _Suspect(About.typed, NONE, "", at[NONE], opened_at)
    if loud := _loud(at):
        columns = (Product.id, Product.name, Product.created_at)
        for product_id, name, made_at in tx.execute(
            sa.select(*columns).where(Product.id.in_(loud))
        ):
            yield _Suspect(About.product, product_id, name, at[product_id], made_at)
