"""What is known of a purchase at a moment: the facts that risk rules go by.

The same statements answer for a purchase that is being made and for one of long ago, as things
were then. Nothing here scans a table: every leg goes by an index and has a limit.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.claims import Claim
from referral.codes import Label
from referral.crypto import KeyRing, LostKey
from referral.db.bulk import among, numbers
from referral.db.round_trips import Answer, Ask, ask, in_one_trip
from referral.graph import Referral
from referral.people import Consent, Identity, IdentityKind, Visitor
from referral.risk import (
    BlockedCustomer,
    CustomerNetwork,
    Facts,
    Package,
    Quiet,
    RuleSetting,
    Setting,
    SharedDevice,
    VerdictRow,
    merged,
)
from referral.risk.records import OF_PURCHASES
from referral.risk.rules import DAY, MONTH, Mode
from referral.visits import ScannedCode, SeenCode

PACKAGES_MAX = 100
"""How many packages of a day are looked at."""
CHILDREN_SEEN = 12
"""How many of the latest customers whom a referrer brought in are looked at for their times."""
OTHERS_MAX = 50
PAID_MAX = 100
STAR_MAX = 200
"""How many customers of a referrer the later look takes in."""
CHAIN_MAX = 10
"""How far up it goes."""

_UP_FROM: sa.BindParameter[int] = sa.bindparam("referrer")
_BUYER: sa.BindParameter[int] = sa.bindparam("customer")
_AT = VerdictRow.__table__.c.at.type
_MOMENT = sa.bindparam("moment", type_=_AT)


@dataclass(frozen=True)
class Event:
    """A purchase, as far as it is known without looking."""

    event: str
    customer: int
    referrer: int | None
    """Who would be paid for it but for the customer."""
    is_first: bool
    pays_referrer: bool
    misses: int = 0
    paid: Collection[int] = field(default_factory=tuple)
    """Whom it would pay."""

    @property
    def claim_id(self) -> int:
        """Of a claim; no claim has the number 0."""
        return int(self.event.removeprefix("claim:")) if self.event.startswith("claim:") else 0


def owner_of_claim(tx: Session, claim_id: int) -> int | None:
    """Whose a claim is now."""
    return tx.scalar(sa.select(Claim.customer_id).where(Claim.id == claim_id))


def known_of(kept: VerdictRow) -> Event:
    """The event of a verdict, as it was known then."""
    return Event(
        event=kept.event,
        customer=kept.customer_id,
        referrer=kept.referrer_id,
        is_first=bool(kept.facts.get("is_first", kept.is_paid_referral)),
        pays_referrer=bool(kept.facts.get("pays_referrer", kept.referrer_id is not None)),
        misses=int(kept.facts.get("misses", 0)),
    )


def gather(
    tx: Session, keys: KeyRing, event: Event, moment: datetime
) -> tuple[Facts, dict[str, Setting]]:
    """The facts of a purchase at a moment, in one statement; and how rules are set now."""
    return found(keys, event, moment, in_one_trip(tx, asking(tx, event, moment))[0])


def asking(tx: Session, event: Event, moment: datetime) -> Ask:
    """What to ask for `found`."""
    values: dict[str, Any] = {
        "customer": event.customer,
        "moment": moment,
        "day_before": moment - DAY,
        "paid": numbers(tx, set(event.paid)),
    }
    if event.referrer is not None:
        values |= {
            "referrer": event.referrer,
            "month_before": moment - MONTH,
            "event": event.event,
            "claim": event.claim_id,
        }
    return ask(_statement(event.referrer is not None), **values)


def found(
    keys: KeyRing, event: Event, moment: datetime, answer: Answer
) -> tuple[Facts, dict[str, Setting]]:
    """What `gather` returns, of what was answered."""
    legs: dict[str, list[Any]] = {}
    for row in answer.rows:
        legs.setdefault(row.leg, []).append(row)
    return _facts(keys, event, moment, legs), merged(map(_setting, legs.get("rule", [])))


def _facts(
    keys: KeyRing, event: Event, moment: datetime, legs: Mapping[str, Sequence[sa.Row[Any]]]
) -> Facts:
    others = {row.who for row in legs.get("device", [])}
    return Facts(
        moment=moment,
        customer=event.customer,
        referrer=event.referrer,
        is_first=event.is_first,
        pays_referrer=event.pays_referrer,
        misses=event.misses,
        blocked=frozenset(row.who for row in legs.get("blocked", [])),
        packages=[Package(row.at, row.said) for row in legs.get("package", [])],
        accounts=len(others),
        same_device="shared" in legs,
        same_contact=_is_same_contact(keys, event, legs.get("identity", [])),
        scanned_by_referrer="scanned" in legs,
        paid_at=[row.at for row in legs.get("paid", [])],
        children=[row.at for row in legs.get("child", [])],
    )


def _setting(row: sa.Row[Any]) -> tuple[str, Setting]:
    mode, _, rule = row.said.partition("|")
    return rule, Setting(Mode(mode), row.who)


@cache
def _statement(has_referrer: bool) -> Any:
    """All legs as one statement with rows (leg, who, at, said)."""
    legs = [_packages(), _devices(), _blocked(), _settings()]
    if has_referrer:
        legs += [_paid(), _children(), _identities(), _scanned(), _shared_with_referrer()]
    return sa.union_all(*(sa.select(leg.subquery()) for leg in legs))


def _leg(name: str, who: Any = None, at: Any = None, said: Any = None) -> sa.Select[Any]:
    return sa.select(
        sa.literal_column(f"'{name}'", sa.String).label("leg"),
        (sa.cast(sa.null(), sa.BigInteger) if who is None else who).label("who"),
        (sa.cast(sa.null(), _AT) if at is None else at).label("at"),
        (sa.cast(sa.null(), sa.Text) if said is None else sa.cast(said, sa.Text)).label("said"),
    )


def _packages() -> sa.Select[Any]:
    return (
        _leg("package", None, Claim.at, SeenCode.region)
        .select_from(Claim)
        .outerjoin(
            SeenCode,
            sa.and_(
                SeenCode.batch_id == Claim.batch_id,
                SeenCode.index == Claim.index,
                SeenCode.label == Label.inner.value,
            ),
        )
        .where(Claim.customer_id == _BUYER, Claim.at <= _MOMENT)
        .where(Claim.at > sa.bindparam("day_before", type_=_AT))
        .order_by(Claim.at.desc())
        .limit(PACKAGES_MAX)
    )


def _devices() -> sa.Select[Any]:
    return (
        _leg("device", SharedDevice.other_id)
        .where(SharedDevice.customer_id == _BUYER, SharedDevice.first_at <= _MOMENT)
        .limit(OTHERS_MAX)
    )


def _shared_with_referrer() -> sa.Select[Any]:
    """Asked of these two alone: among many others on one browser they could be left out."""
    return _leg("shared").where(
        SharedDevice.customer_id == _BUYER,
        SharedDevice.other_id == _UP_FROM,
        SharedDevice.first_at <= _MOMENT,
    )


def _blocked() -> sa.Select[Any]:
    return _leg("blocked", BlockedCustomer.customer_id).where(
        among(BlockedCustomer.customer_id, "paid"), BlockedCustomer.at <= _MOMENT
    )


def _settings() -> sa.Select[Any]:
    said = RuleSetting.mode + sa.literal_column("'|'") + RuleSetting.rule
    return _leg("rule", sa.cast(RuleSetting.points, sa.BigInteger), None, said)


def _paid() -> sa.Select[Any]:
    return (
        _leg("paid", None, VerdictRow.at)
        # Written out and not bound: the index is used only where the query says so.
        .where(VerdictRow.is_paid_referral, VerdictRow.referrer_id == _UP_FROM)
        .where(VerdictRow.at <= _MOMENT)
        .where(VerdictRow.at > sa.bindparam("month_before", type_=_AT))
        .where(VerdictRow.event != sa.bindparam("event"))
        .order_by(VerdictRow.at.desc())
        .limit(PAID_MAX)
    )


def _children() -> sa.Select[Any]:
    return (
        _leg("child", None, Referral.at)
        .where(Referral.referrer_id == _UP_FROM, Referral.at <= _MOMENT)
        .order_by(Referral.at.desc())
        .limit(CHILDREN_SEEN)
    )


def _identities() -> sa.Select[Any]:
    said = Identity.kind + sa.literal_column("'|'") + Identity.value_encrypted
    return _leg("identity", Identity.customer_id, None, said).where(
        Identity.customer_id.in_([_BUYER, _UP_FROM]), Identity.created_at <= _MOMENT
    )


def _scanned() -> sa.Select[Any]:
    return (
        _leg("scanned")
        .select_from(Claim)
        .join(
            ScannedCode,
            sa.and_(ScannedCode.batch_id == Claim.batch_id, ScannedCode.index == Claim.index),
        )
        .join(Visitor, Visitor.id == ScannedCode.visitor_id)
        .where(Claim.id == sa.bindparam("claim"), Visitor.customer_id == _UP_FROM)
        .where(ScannedCode.first_at <= _MOMENT)
        .limit(1)
    )


# Contacts


def _is_same_contact(keys: KeyRing, event: Event, rows: Sequence[sa.Row[Any]]) -> bool:
    """Whether two customers can be reached at one number or mailbox."""
    known: dict[int, set[str]] = {}
    for row in rows:
        kind, _, encrypted = row.said.partition("|")
        try:
            value = keys.decrypt(encrypted)
        except LostKey:
            continue
        known.setdefault(row.who, set()).add(f"{kind}|{_one_spelling(kind, value)}")
    if event.referrer is None or event.referrer == event.customer:
        return False
    return bool(known.get(event.customer, set()) & known.get(event.referrer, set()))


_DOTS_DO_NOT_COUNT = {"gmail.com", "googlemail.com"}


def _one_spelling(kind: str, value: str) -> str:
    """A mailbox without what its owner may add to it; anything else as it is."""
    if kind != IdentityKind.email:
        return value
    name, _, domain = value.lower().partition("@")
    name = name.partition("+")[0]
    if domain in _DOTS_DO_NOT_COUNT:
        name, domain = name.replace(".", ""), "gmail.com"
    return f"{name}@{domain}"


# What takes longer, for the pass afterwards


def look_further(tx: Session, facts: Facts, typical_packages: int | None) -> Facts:
    """The facts with what a claim has no time to look up, as things were at their moment."""
    month = replace(
        facts,
        month_packages=_month_packages(tx, facts),
        typical_packages=typical_packages,
    )
    if facts.referrer is None:
        return month
    above = _above(tx, facts.referrer, facts.moment)
    return replace(
        month,
        guests=_guests(tx, above, facts.moment),
        star=_quiet(tx, _children_of(tx, facts.referrer, facts.moment), facts.moment),
        chain=_quiet(tx, _single_file(tx, above, facts.moment), facts.moment),
        in_one_block=_in_one_block(tx, facts.referrer, facts.moment),
    )


def typical_packages(tx: Session, moment: datetime) -> int | None:
    """What 99 of 100 customers with a verdict in the last 30 days stay at or below; None for
    nobody. It reads a month of verdicts: once a pass."""
    counted = (
        sa.select(sa.func.count().label("packages"))
        .where(VerdictRow.at > moment - MONTH, VerdictRow.at <= moment, OF_PURCHASES)
        .group_by(VerdictRow.customer_id)
        .subquery()
    )
    spread = tx.execute(
        sa.select(counted.c.packages, sa.func.count()).group_by(counted.c.packages)
    ).all()
    return percentile({row[0]: row[1] for row in spread}, 0.99)


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """The smallest value that this share of all stay at or below; `counts` says how many have
    which value."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 1e-9:
            return value
    return None


def _month_packages(tx: Session, facts: Facts) -> int:
    counted = sa.select(sa.func.count()).select_from(Claim)
    since = facts.moment - MONTH
    of = (Claim.customer_id == facts.customer, Claim.at > since, Claim.at <= facts.moment)
    return tx.scalar(counted.where(*of)) or 0


def _above(tx: Session, start: int, moment: datetime) -> list[int]:
    """A customer and those above, nearest first."""
    chain = [start]
    while len(chain) < CHAIN_MAX:
        place = tx.execute(
            sa.select(Referral.referrer_id).where(
                Referral.customer_id == chain[-1], Referral.at <= moment
            )
        ).scalar()
        if place is None or place in chain:
            break
        chain.append(place)
    return chain


def _guests(tx: Session, above: Sequence[int], moment: datetime) -> int:
    """How many in a row never signed in.

    Signing in takes a one-time code or WeChat, and is when people consent. A phone number alone
    proves nobody: a shop's order or a script may have made it up.
    """
    signed_in = set(
        tx.scalars(
            sa.select(Consent.customer_id).where(
                Consent.customer_id.in_(above), Consent.given_at <= moment
            )
        )
    )
    return next((n for n, each in enumerate(above) if each in signed_in), len(above))


def _single_file(tx: Session, above: Sequence[int], moment: datetime) -> list[int]:
    """Those of a chain, from its lower end, who brought in no more than one customer."""
    rows = tx.execute(
        sa.select(Referral.referrer_id, sa.func.count())
        .where(Referral.referrer_id.in_(above), Referral.at <= moment)
        .group_by(Referral.referrer_id)
    )
    children = {row[0]: row[1] for row in rows}
    end = next((n for n, each in enumerate(above) if children.get(each, 0) > 1), len(above))
    return list(above[:end])


def _children_of(tx: Session, referrer: int, moment: datetime) -> list[int]:
    """The latest of those whom a referrer brought in more than a month before."""
    return list(
        tx.scalars(
            sa.select(Referral.customer_id)
            .where(Referral.referrer_id == referrer, Referral.at <= moment - MONTH)
            .order_by(Referral.at.desc())
            .limit(STAR_MAX)
        )
    )


def _quiet(tx: Session, customers: Sequence[int], moment: datetime) -> Quiet:
    """How many of these had their first purchase over a month ago, and did nothing since: no
    purchase, and nobody brought in."""
    if not customers:
        return Quiet(0, 0)
    child = sa.orm.aliased(Referral)
    claimed = sa.exists().where(
        Claim.customer_id == Referral.customer_id, Claim.at > Referral.at, Claim.at <= moment
    )
    bought = sa.exists().where(
        VerdictRow.customer_id == Referral.customer_id,
        VerdictRow.at > Referral.at,
        VerdictRow.at <= moment,
        OF_PURCHASES,
    )
    brought = sa.exists().where(child.referrer_id == Referral.customer_id, child.at <= moment)
    acted = tx.execute(
        sa.select(sa.or_(claimed, bought, brought)).where(
            Referral.customer_id.in_(customers), Referral.at <= moment - MONTH
        )
    ).scalars()
    found = list(acted)
    return Quiet(len(found), sum(not each for each in found))


def _in_one_block(tx: Session, referrer: int, moment: datetime) -> tuple[int, int]:
    """Of how many customers of a referrer a network is known, and how many share one."""
    rows = tx.execute(
        sa.select(CustomerNetwork.block, CustomerNetwork.customer_id)
        .join(Referral, Referral.customer_id == CustomerNetwork.customer_id)
        .where(Referral.referrer_id == referrer, Referral.at <= moment)
        .order_by(Referral.at.desc())
        .limit(STAR_MAX)
    ).all()
    if not rows:
        return 0, 0
    blocks = Counter(row.block for row in rows)
    return len({row.customer_id for row in rows}), max(blocks.values())
