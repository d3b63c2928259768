"""The demo: a brand with two months of history, loaded once, and what is needed to try it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, campaigns, claims, ledger, staff, stores
from referral.clock import HeldClock
from referral.demo import brand, voices
from referral.demo.play import SEED, Progress, Stage, at_time, plan
from referral.deployment import Deployment
from referral.ledger import Account
from referral.links import Channel
from referral.ranges import RangeState, Terms
from referral.redemption import tills, vouchers
from referral.reports import batches as batch_reports
from referral.reports import trees
from referral.rollups import moments
from referral.spread.cascades import Parameters

CODES_TO_TRY = 100
REDEEMERS = 24
BY = "demo"
API_KEY_NAME = "referral demo"
OWNER, ANALYST = "owner@mistbridge.example", "analyst@mistbridge.example"
MARKETER, SUPPORT = "marketer@mistbridge.example", "support@mistbridge.example"
STORE_MANAGER = "store@mistbridge.example"
FILE_NAME, LOCK_NAME = "demo.json", "demo.lock"


@dataclass(frozen=True)
class Login:
    email: str
    password: str


@dataclass(frozen=True)
class Kept:
    """What cannot be read from the database again, kept in the data folder."""

    started_at: str
    """When loading began, as RFC 3339: the history ends there."""
    api_key: str = ""
    owner: Login | None = None
    analyst: Login | None = None
    marketer: Login | None = None
    support: Login | None = None
    store_manager: Login | None = None

    @property
    def support_email(self) -> str:
        assert self.support is not None
        return self.support.email


@dataclass(frozen=True)
class Demo:
    """What somebody who tries the service needs."""

    base_url: str
    api_key: str
    staff: Login
    campaign: str
    gtin: str
    codes: list[str]
    """Addresses of activated codes that nobody has claimed."""
    share_url: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _silence(done: int, total: int) -> None:
    pass


def demo(
    deployment: Deployment,
    *,
    progress: Progress = _silence,
    parameters: Parameters | None = None,
) -> Demo:
    """Load the demo if it is not there, and say how to try it.

    Two calls at once load once. A load that was cut off is done again from its start, which adds
    only what is missing. `Unavailable` when the database is.
    """
    with _alone(deployment.config.data_dir):
        if not is_loaded(deployment):
            _load(deployment, parameters or Parameters(), progress)
        kept = _access(deployment)
        assert kept.owner is not None
        return Demo(
            base_url=deployment.config.base_url,
            api_key=kept.api_key,
            staff=kept.owner,
            campaign=brand.CAMPAIGN,
            gtin=brand.OOLONG.gtin,
            codes=codes_to_try(deployment),
            share_url=_share_url(deployment),
        )


def is_loaded(deployment: Deployment) -> bool:
    """Whether the demo is wholly there: its API key is the last thing that is made."""
    with deployment.db.read() as tx:
        return staff.has_api_key_named(tx, API_KEY_NAME)


def _load(deployment: Deployment, parameters: Parameters, progress: Progress) -> None:
    path = deployment.config.data_dir / FILE_NAME
    kept = _read(path) or Kept(started_at=deployment.clock.now().isoformat())
    _write(path, kept)
    start = datetime.fromisoformat(kept.started_at) - brand.RUNS_FOR
    batch_ids = _set_up(deployment, start)
    Stage(deployment, plan(parameters, SEED), start, batch_ids).play(progress)
    end = start + brand.RUNS_FOR
    world = at_time(deployment, HeldClock(end))
    _redeem(world)
    voices.play(deployment, end)
    voices.answer(deployment, _accounts(deployment).support_email, end)
    _work_out(world)


def _work_out(world: Deployment) -> None:
    """What pages have only after a `referral sweep`; all else is counted when it is asked for."""
    world.db.transact(lambda tx: moments.count(tx, world.clock.now()))
    actions.refresh_values(world)
    actions.follow_tree(world)


def _redeem(world: Deployment) -> None:
    """Those with the most points redeem some; every second one has fetched it already."""
    bottle, glass = brand.ITEMS[1], brand.ITEMS[0]
    with world.db.read() as tx:
        wallets = sa.select(Account.owner).where(
            Account.kind == ledger.Kind.wallet,
            Account.unit == "points",
            Account.balance >= (glass.price or 0),
        )
        richest = tx.scalars(
            wallets.order_by(Account.balance.desc(), Account.owner).limit(REDEEMERS)
        ).all()
        [till] = tills.tills_of(tx, stores.store_by_slug(tx, brand.SELLERS[0].slug).id)
    for number, customer in enumerate(richest):
        item = glass if number % 3 else bottle
        made = actions.redeem(world, customer, item.slug, key=BY).voucher
        code = vouchers.code_of(world.keys, made.seed, made.key_id)
        if number % 2 and code:
            actions.accept_voucher(world, till.id, code, press=f"{BY}-{number}")


def _set_up(deployment: Deployment, start: datetime) -> list[int]:
    """Products, batches and the campaign, all or nothing. Returns the batches' ids."""
    world = at_time(deployment, HeldClock(start))

    def work(tx: Session) -> list[int]:
        try:
            campaigns.campaign_by_slug(tx, brand.CAMPAIGN)
        except campaigns.UnknownCampaign:
            for tea in brand.TEAS:
                actions.add_product(
                    world,
                    gtin=tea.gtin,
                    name=tea.name,
                    price=tea.price,
                    currency="CNY",
                    labels=tea.labels,
                )
            for seller in brand.SELLERS:
                actions.add_store(
                    world,
                    slug=seller.slug,
                    name=seller.name,
                    kind=seller.kind,
                    region=seller.region,
                )
            for batch in brand.BATCHES:
                _issue(tx, world, batch)
            for item in brand.ITEMS:
                actions.add_item(world, item, by=BY)
            actions.add_till(world, brand.SELLERS[0].slug, brand.TILL, by=BY)
            actions.add_campaign(world, brand.campaign(start))
            actions.publish_campaign(world, brand.CAMPAIGN)
        return _batch_ids(tx)

    found = deployment.db.transact(work)
    deployment.directory.forget()
    return found


def _issue(tx: Session, world: Deployment, batch: brand.Batch) -> None:
    made_on = (world.clock.now() - brand.MADE_BEFORE).date()
    terms = Terms(market=batch.market)
    if batch.lot is not None:
        store = stores.store_by_slug(tx, batch.to).id if batch.to else None
        best_before = made_on + brand.SHELF_LIFE
        terms = replace(
            terms, lot=batch.lot, made_on=made_on, expires_on=best_before, store_id=store
        )
    made = actions.issue_batch(
        world, gtin=batch.gtin, count=batch.size, name=batch.name, terms=terms, by=BY
    )
    for state, span, why in (
        (RangeState.printed, batch.printed, ""),
        (RangeState.activated, batch.activated, ""),
        (RangeState.voided, batch.voided, batch.voided_because),
        (RangeState.recalled, batch.recalled, batch.recalled_because),
    ):
        if span is not None:
            first, last = span
            actions.set_range(world, made.id, state, start=first, end=last, reason=why, by=BY)


def _batch_ids(tx: Session) -> list[int]:
    """The ids of `brand.BATCHES`, in their order."""
    ids: dict[tuple[str, str], int] = {}
    after = 0
    while page := batch_reports.listed(tx, after=after, limit=500):
        for batch in page:
            ids.setdefault((batch.gtin, batch.name), batch.id)
        after = page[-1].id
    return [ids[batch.gtin, batch.name] for batch in brand.BATCHES]


def codes_to_try(deployment: Deployment, count: int = CODES_TO_TRY) -> list[str]:
    """The addresses of the first codes put aside for trying that nobody has claimed yet."""
    start, end = brand.TRY_OUT
    with deployment.db.read() as tx:
        batch = deployment.directory.batch(_batch_ids(tx)[0])
        taken = claims.claimed_indexes(tx, batch.id, start, end)
    free = [index for index in range(start, end) if index not in taken][:count]
    return [
        deployment.address(f"/01/{batch.gtin}/21/{deployment.codes.encode(batch, index).text}")
        for index in free
    ]


def _share_url(deployment: Deployment) -> str:
    """The link of the customer who has brought in the most friends."""
    with deployment.db.read() as tx:
        top = trees.roots(tx, deployment.keys, limit=1)
    if not top:  # a history too short for anybody to have brought in somebody
        return deployment.address("/")
    link = actions.make_link(deployment, brand.CAMPAIGN, top[0].customer_id, Channel.copy)
    return deployment.address(f"/s/{deployment.links.token(link)}")


# Access, and the file it is kept in


def _access(deployment: Deployment) -> Kept:
    """A key and accounts that work: the kept ones, or new ones where those do not (any more)."""
    working = _accounts(deployment)
    with deployment.db.read() as tx:
        known = bool(working.api_key) and staff.api_key_id(tx, working.api_key) is not None
    if not known:
        working = replace(working, api_key=actions.add_api_key(deployment, API_KEY_NAME))
        _write(deployment.config.data_dir / FILE_NAME, working)
    return working


def _accounts(deployment: Deployment) -> Kept:
    """The same without the key."""
    path = deployment.config.data_dir / FILE_NAME
    kept = _read(path) or Kept(started_at=deployment.clock.now().isoformat())
    working = replace(
        kept,
        owner=_working(deployment, kept.owner, OWNER, staff.Role.owner),
        analyst=_working(deployment, kept.analyst, ANALYST, staff.Role.analyst),
        marketer=_working(deployment, kept.marketer, MARKETER, staff.Role.marketer),
        support=_working(deployment, kept.support, SUPPORT, staff.Role.support),
        store_manager=_working(
            deployment, kept.store_manager, STORE_MANAGER, staff.Role.store_manager
        ),
    )
    if working != kept:
        _write(path, working)
    return working


def _working(deployment: Deployment, login: Login | None, email: str, role: staff.Role) -> Login:
    """The login, if it works. Otherwise a new account, under another address if need be."""
    if login is not None:
        try:
            staff.check_password(deployment.db, login.email, login.password)
        except staff.WrongPassword:
            pass
        else:
            return login
    made = Login(email, secrets.token_urlsafe(9))
    store = brand.SELLERS[0].slug if role == staff.Role.store_manager else None
    try:
        _add(deployment, made, role, store)
    except staff.StaffExists:
        made = replace(made, email=f"{secrets.token_hex(3)}.{email}")
        _add(deployment, made, role, store)
    return made


def _add(deployment: Deployment, login: Login, role: staff.Role, store: str | None) -> None:
    actions.add_staff(
        deployment, email=login.email, password=login.password, role=role, store=store
    )


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Wait until no other process loads the demo; the system lets go when this one dies."""
    with (data_dir / LOCK_NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Kept | None:
    """What was kept; None for nothing, and for a file that makes no sense."""
    try:
        found = json.loads(path.read_text())
        return Kept(
            started_at=datetime.fromisoformat(found["started_at"]).isoformat(),
            api_key=str(found["api_key"]),
            **{role: Login(**found[role]) if found.get(role) else None for role in staff.Role},
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, kept: Kept) -> None:
    """Replace the file as a whole, readable by its owner only: it holds passwords."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(asdict(kept), file, indent=2)
    draft.replace(path)
