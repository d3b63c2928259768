"""Sifting: what never ran a page is no person, and whoever proves himself gets all back."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, intake, people, spread
from referral.actions import Sifted, sifting
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.intake.events import Visited
from referral.intake.storing import store
from referral.links import Channel
from referral.reports import campaigns as figures
from referral.spread import SpreadNode, counters
from referral.spread.forests import Counts
from referral.spread.placing import Opening
from referral.visits import NEVER_RAN, Kind, Visit, VisitRow, new_event_id
from tests.cast import add_product, cast_of, open_brand, publish
from tests.conftest import START
from tests.races import at_once, overtaken
from tests.spreads import by_definition

ANN, BEN, CAT, DAN, EVE = 1, 2, 3, 4, 5
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    return publish(deployment)


def opens(
    deployment: Deployment, campaign: Campaign, reader: int, sharer: int, hop: int = 0
) -> None:
    """A browser loads the page of a link, and no more."""
    visit = Visit(
        Kind.open,
        deployment.clock.now(),
        new_event_id(),
        visitor=reader,
        campaign=campaign.id,
        parent=sharer,
        hop=hop + 1,
        channel=Channel.copy,
    )
    intake.hand_in(deployment, visit)


def runs(deployment: Deployment, *visitors: int) -> None:
    for visitor in visitors:
        intake.note_ran(deployment, visitor, deployment.clock.now())


def parents(deployment: Deployment, campaign: Campaign) -> dict[int, int | None]:
    """Who is in the spread, and below whom."""
    columns = sa.select(SpreadNode.visitor_id, SpreadNode.parent_id)
    with deployment.db.read() as tx:
        assert list(counters.differences(tx)) == []
        return dict(tx.execute(columns.where(SpreadNode.campaign_id == campaign.id)).all())


def counted(deployment: Deployment, campaign: Campaign) -> tuple[int, int, int]:
    """Fetches, opens and visitors."""
    with deployment.db.read() as tx:
        found = figures.metrics(tx, campaign)
    return found.fetches, found.opens, found.visitors


def test_a_browser_that_never_ran_a_page_is_taken_out_after_an_hour(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    opens(deployment, campaign, CAT, ANN)
    runs(deployment, BEN)
    clock.advance(minutes=59)
    assert actions.sift(deployment) == Sifted()
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: ANN}
    clock.advance(minutes=1)
    assert actions.sift(deployment) == Sifted(to_fetches=1)
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN}
    assert counted(deployment, campaign) == (1, 1, 1)
    assert actions.sift(deployment) == Sifted(), "again is no harm"
    with deployment.db.read() as tx:
        kept = tx.execute(
            sa.select(VisitRow.visitor_id, VisitRow.parent_id, VisitRow.hop).where(
                VisitRow.kind == Kind.fetch, VisitRow.machine == NEVER_RAN
            )
        ).all()
        assert counters.counts_of(tx, campaign.id, [ANN])[ANN] == Counts(1, 1, 0, 1)
    assert kept == [(CAT, ANN, 1)], "as it came, but for what it counts as"


@pytest.mark.parametrize("kind", [Kind.engagement, Kind.share])
def test_what_only_a_page_that_runs_reports_is_a_proof(
    deployment: Deployment, campaign: Campaign, clock: HeldClock, kind: Kind
) -> None:
    opens(deployment, campaign, BEN, ANN)
    visit = Visit(kind, clock.now(), new_event_id(), visitor=BEN, campaign=campaign.id)
    intake.hand_in(deployment, visit)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted()
    assert counted(deployment, campaign) == (0, 1, 1)


def test_signing_in_is_a_proof(deployment: Deployment, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.sign_in()
    bob.open(alice.link())
    bob.sign_in()
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted()


def test_a_visitor_whose_link_people_opened_is_a_person(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    opens(deployment, campaign, CAT, BEN, 1)
    runs(deployment, CAT)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted()
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: BEN}


def test_a_machine_that_follows_its_own_links_is_taken_out_to_the_root(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    """It keeps no cookie, so each page makes it a new visitor below the one before."""
    for reader in range(BEN, 12):
        opens(deployment, campaign, reader, reader - 1, reader - BEN)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted(to_fetches=10)
    assert parents(deployment, campaign) == {}
    assert counted(deployment, campaign) == (10, 0, 0)


def test_whoever_proves_himself_later_is_put_back_where_he_was(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    opens(deployment, campaign, CAT, BEN, 1)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted(to_fetches=2)
    runs(deployment, CAT)
    assert actions.sift(deployment) == Sifted(to_opens=2), "and Ben, whose link a person opened"
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: BEN}
    assert counted(deployment, campaign) == (0, 2, 2)
    assert actions.sift(deployment) == Sifted()


def test_an_opening_of_the_link_of_one_taken_out_puts_him_back(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    clock.advance(minutes=120)
    actions.sift(deployment)
    opens(deployment, campaign, CAT, BEN, 1)
    runs(deployment, CAT)
    assert parents(deployment, campaign) == {BEN: None, CAT: BEN}
    assert actions.sift(deployment) == Sifted(to_opens=1)
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: BEN}


def test_one_taken_out_who_comes_back_is_looked_at_again(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    clock.advance(minutes=120)
    actions.sift(deployment)
    opens(deployment, campaign, BEN, CAT)
    clock.advance(minutes=30)
    assert actions.sift(deployment) == Sifted(), "he has an hour"
    assert parents(deployment, campaign) == {CAT: None, BEN: CAT}
    clock.advance(minutes=30)
    assert actions.sift(deployment) == Sifted(to_fetches=1)
    runs(deployment, BEN)
    assert actions.sift(deployment) == Sifted(to_opens=2)
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: None}


def test_machines_that_open_one_anothers_links_do_not_keep_it_busy(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    """With cookies, in a circle: each is another one's reader. They count, as in doubt."""
    opens(deployment, campaign, ANN, BEN)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted(to_fetches=1)
    for reader, sharer in ((BEN, CAT), (CAT, ANN), (ANN, BEN)):
        opens(deployment, campaign, reader, sharer)
    for _ in range(3):
        clock.advance(minutes=120)
        assert actions.sift(deployment) == Sifted()


def test_a_machine_that_comes_again_and_again_wins_no_time(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    for _ in range(4):
        opens(deployment, campaign, BEN, ANN)
        clock.advance(minutes=20)
    assert actions.sift(deployment) == Sifted(to_fetches=4)


def test_a_place_that_a_machine_decided_is_put_right(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    """A machine opened Ben's link before he opened Ann's: that alone made him a first sharer."""
    opens(deployment, campaign, CAT, BEN)
    clock.advance(minutes=1)
    opens(deployment, campaign, BEN, ANN)
    clock.advance(minutes=1)
    opens(deployment, campaign, DAN, BEN, 1)
    runs(deployment, BEN, DAN)
    assert parents(deployment, campaign) == {ANN: None, BEN: None, CAT: BEN, DAN: BEN}
    clock.advance(minutes=60)
    actions.sift(deployment)
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, DAN: BEN}
    with deployment.db.read() as tx:
        assert [spread.hop_of(tx, campaign.id, one) for one in (ANN, BEN, DAN)] == [0, 1, 2]
    runs(deployment, CAT)
    actions.sift(deployment)
    assert parents(deployment, campaign) == {ANN: None, BEN: None, CAT: BEN, DAN: BEN}


def test_many_are_sifted_in_pieces(
    deployment: Deployment,
    campaign: Campaign,
    clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sifting, "AT_ONCE", 3)
    for reader in range(10, 20):
        opens(deployment, campaign, reader, ANN)
    runs(deployment, 12)
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted(to_fetches=9)
    assert parents(deployment, campaign) == {ANN: None, 12: ANN}


def test_credit_does_not_depend_on_it(deployment: Deployment, clock: HeldClock) -> None:
    """Bob loads the page without ever running it, is taken out, and buys a day later."""
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted(to_fetches=1)
    clock.advance(days=1)
    claimed = bob.claim(1)
    assert claimed.referrer == alice.customer
    assert actions.sift(deployment) == Sifted(to_opens=1)
    assert parents(deployment, bob.brand.campaign) == {
        alice.visitor: None,
        bob.visitor: alice.visitor,
    }


def test_scans_stay_scans(deployment: Deployment, campaign: Campaign, clock: HeldClock) -> None:
    visit = Visit(Kind.scan, clock.now(), new_event_id(), visitor=BEN, campaign=campaign.id)
    deployment.db.transact(lambda tx: people.remember_visitor(tx, BEN, clock.now()))
    with deployment.db.engine.begin() as connection:
        connection.execute(
            sa.insert(VisitRow).values(
                event_id=visit.event_id,
                kind=visit.kind,
                at=visit.at,
                campaign_id=campaign.id,
                visitor_id=BEN,
                channel="unknown",
            )
        )
    clock.advance(minutes=120)
    assert actions.sift(deployment) == Sifted()
    with deployment.db.read() as tx:
        (kept,) = tx.scalars(sa.select(VisitRow))
        assert (kept.kind, kept.machine) == (Kind.scan, None)


# Beside openings


def test_an_opening_beside_the_pass_is_not_lost(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    opens(deployment, campaign, BEN, ANN)
    clock.advance(minutes=120)
    now = clock.now()

    def beside() -> None:
        opens(deployment, campaign, CAT, BEN, 1)

    overtaken(deployment.db, lambda tx: sifting._sift_some(tx, now), beside)
    runs(deployment, CAT)
    actions.sift(deployment)
    assert parents(deployment, campaign) == {ANN: None, BEN: ANN, CAT: BEN}
    assert counted(deployment, campaign) == (0, 2, 2)


def test_several_passes_and_many_openings_at_once_end_as_one_after_the_other(
    deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    for reader in range(10, 30):
        opens(deployment, campaign, reader, ANN)
    clock.advance(minutes=120)

    def read(first: int) -> None:
        for reader in range(first, first + 10):
            opens(deployment, campaign, reader, reader - 90, 1)
            runs(deployment, reader)

    work = [lambda: actions.sift(deployment)] * 2 + [lambda: read(100), lambda: read(110)]
    outcomes = at_once(work)
    assert not [each for each in outcomes if isinstance(each, Exception)]
    clock.advance(minutes=60)  # whose reader had proved nothing yet was put off
    actions.sift(deployment)
    expected: dict[int, int | None] = {ANN: None}
    expected |= dict.fromkeys(range(10, 30), ANN)
    expected |= {reader: reader - 90 for reader in range(100, 120)}
    assert parents(deployment, campaign) == expected
    assert counted(deployment, campaign) == (0, 40, 40)


# In any order

VISITORS = st.integers(1, 6)
HAPPENINGS = st.lists(
    st.tuples(VISITORS, VISITORS, st.integers(0, 2)) | VISITORS | st.sampled_from(["sift", "fold"]),
    max_size=16,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HAPPENINGS)
def test_in_whatever_order_they_leave_and_return_the_spread_is_that_of_the_people(
    deployment: Deployment, campaign: Campaign, happened: Sequence[object]
) -> None:
    openings: list[Opening] = []
    ran: set[int] = set()
    with Session(deployment.db.engine) as tx:
        for step, each in enumerate(happened):
            now = START + step * A_MINUTE
            if isinstance(each, tuple):
                reader, sharer, hop = each
                if reader != sharer:
                    _open(tx, campaign, Opening(reader, sharer, hop, now))
                    openings.append(Opening(reader, sharer, hop, now))
            elif isinstance(each, int):
                people.remember_visitor(tx, each, now)
                people.note_ran(tx, each, now)
                ran.add(each)
            elif each == "fold":
                counters.fold(tx)
            else:
                # Now and then, so that some leave who prove themselves later.
                _sift_all(tx)
                assert list(counters.differences(tx)) == []
        for day in (2, 3, 4):
            _sift_all(tx, day)
        assert list(counters.differences(tx)) == []
        assume(not _in_a_circle(openings, ran))
        of_people = _of_people(openings, ran)
        found = tx.execute(sa.select(SpreadNode.visitor_id, SpreadNode.parent_id)).all()
        assert {row.visitor_id: row.parent_id for row in found} == by_definition(of_people)
        is_open = VisitRow.kind == Kind.open
        assert Counter(tx.scalars(sa.select(VisitRow.visitor_id).where(is_open))) == Counter(
            each.reader for each in of_people
        )
        while counters.fold(tx):
            pass
        before = _rows(tx)
        counters.recount(tx)
        assert _rows(tx) == before
        tx.rollback()


def _open(tx: Session, campaign: Campaign, opening: Opening) -> None:
    visit = Visit(
        Kind.open,
        opening.at,
        new_event_id(),
        visitor=opening.reader,
        campaign=campaign.id,
        parent=opening.sharer,
        hop=opening.hop + 1,
    )
    store(tx, [Visited(visit)])


def _sift_all(tx: Session, day: int = 1) -> None:
    for _ in range(100):
        if sifting._sift_some(tx, START + timedelta(days=day)) is None:
            return
    raise AssertionError("it does not come to an end")


def _of_people(openings: Sequence[Opening], ran: set[int]) -> list[Opening]:
    """Those by visitors who ran a page, or whose links people opened."""
    persons, before = set(ran), set[int]()
    while persons != before:
        before = set(persons)
        persons |= {each.sharer for each in openings if each.reader in persons}
    return [each for each in openings if each.reader in persons]


def _in_a_circle(openings: Sequence[Opening], ran: set[int]) -> bool:
    """Whether machines opened one another's links all around: each is the other's reader."""
    left = [each for each in openings if each not in _of_people(openings, ran)]
    while True:
        sharers = {each.sharer for each in left}
        rest = [each for each in left if each.reader in sharers]
        if rest == left:
            return bool(left)
        left = rest


def _rows(tx: Session) -> set[tuple[object, ...]]:
    return {tuple(row) for row in tx.execute(sa.select(counters.GraphCount.__table__))}
