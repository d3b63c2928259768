"""Counters: what is below everybody, kept up to date, whatever comes in which order."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, graph, intake, people
from referral.campaigns import Campaign
from referral.db import MIGRATIONS, Database, one_moment, upgrade
from referral.deployment import Deployment
from referral.links import Channel, Link
from referral.spread import SpreadNode, counters
from referral.spread.counters import TREE, GraphChange, GraphCount
from referral.spread.forests import NOTHING, Counts
from referral.visits import Kind, Visit, new_event_id
from tests.cast import add_product, cast_of, open_brand, publish
from tests.races import at_once, overtaken

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Each example is rolled back, so that one database does for all of them."""
T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANN, BEN, CAT, DAN, EVE = 1, 2, 3, 4, 5


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    return publish(deployment)


@pytest.fixture
def members(deployment: Deployment) -> list[int]:
    """Two customers."""
    made = [actions.add_customer(deployment, [people.external(f"M{n}")], None) for n in range(2)]
    return [customer for customer, _ in made]


def opens(
    tx: Session, campaign: Campaign, reader: int, sharer: int, hop: int = 0, minute: float = 0
) -> None:
    link = Link(campaign.id, sharer, None, hop, Channel.copy)
    people.remember_visitor(tx, reader, T0)
    graph.attach(tx, reader, link, T0 + timedelta(minutes=minute))


def chain(tx: Session, campaign: Campaign) -> None:
    """Ann, Ben, Cat and Dan, each through the one before."""
    for hop, reader in enumerate((BEN, CAT, DAN)):
        opens(tx, campaign, reader, reader - 1, hop, hop)


def counts(tx: Session, campaign: Campaign, *visitors: int) -> list[Counts]:
    found = counters.counts_of(tx, campaign.id, visitors)
    return [found[visitor] for visitor in visitors]


def notes(tx: Session) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(GraphChange)) or 0


def test_what_is_below_is_known_at_once_and_after_folding(
    deployment: Deployment, campaign: Campaign
) -> None:
    deployment.db.transact(lambda tx: chain(tx, campaign))
    expected = [Counts(1, 3, 0, 3), Counts(1, 2, 0, 2), Counts(1, 1, 0, 1), NOTHING, NOTHING]
    for left in (4, 0):
        with deployment.db.read() as tx:
            assert counts(tx, campaign, ANN, BEN, CAT, DAN, EVE) == expected
            assert notes(tx) == left
        assert deployment.db.transact(counters.fold) == left
    deployment.db.transact(lambda tx: opens(tx, campaign, EVE, BEN, 1, 9))
    with deployment.db.read() as tx:
        assert counts(tx, campaign, ANN, BEN) == [Counts(1, 4, 0, 3), Counts(2, 3, 0, 2)]
        assert counters.counts_of(tx, campaign.id, []) == {}


def test_campaigns_are_counted_apart(deployment: Deployment, campaign: Campaign) -> None:
    other = publish(deployment, slug="other")

    def work(tx: Session) -> None:
        chain(tx, campaign)
        opens(tx, other, ANN, DAN)
        counters.fold(tx)

    deployment.db.transact(work)
    with deployment.db.read() as tx:
        assert counts(tx, campaign, ANN) == [Counts(1, 3, 0, 3)]
        assert counts(tx, other, ANN, DAN) == [NOTHING, Counts(1, 1, 0, 1)]


def test_a_subtree_that_finds_its_place_late_counts_above(
    deployment: Deployment, campaign: Campaign
) -> None:
    def below(tx: Session) -> None:
        opens(tx, campaign, DAN, CAT, 2, 3)
        opens(tx, campaign, EVE, CAT, 2, 4)
        counters.fold(tx)

    def above(tx: Session) -> None:
        opens(tx, campaign, BEN, ANN, 0, 1)
        opens(tx, campaign, CAT, BEN, 1, 2)

    deployment.db.transact(below)
    deployment.db.transact(above)
    for _ in range(2):
        with deployment.db.read() as tx:
            assert counts(tx, campaign, ANN, BEN) == [Counts(1, 4, 0, 3), Counts(1, 3, 0, 2)]
        deployment.db.transact(counters.fold)


def test_a_subtree_that_moves_counts_where_it_is(
    deployment: Deployment, campaign: Campaign
) -> None:
    """An opening arrives late: Cat had been reached by Eve before Ben."""
    deployment.db.transact(lambda tx: chain(tx, campaign))
    deployment.db.transact(counters.fold)
    deployment.db.transact(lambda tx: opens(tx, campaign, CAT, EVE, 0, 0.5))
    for _ in range(2):
        with deployment.db.read() as tx:
            assert counts(tx, campaign, ANN, BEN) == [Counts(1, 1, 0, 1), NOTHING]
            assert counts(tx, campaign, EVE, CAT) == [Counts(1, 2, 0, 2), Counts(1, 1, 0, 1)]
        deployment.db.transact(counters.fold)


def test_customers_below_are_counted_when_they_become_ones(
    deployment: Deployment, campaign: Campaign, members: list[int]
) -> None:
    deployment.db.transact(lambda tx: chain(tx, campaign))
    deployment.db.transact(counters.fold)
    deployment.db.transact(lambda tx: people.fold_visitor(tx, DAN, members[0], T0))
    for _ in range(2):
        with deployment.db.read() as tx:
            assert [c.customers for c in counts(tx, campaign, ANN, CAT, DAN)] == [1, 1, 0]
        deployment.db.transact(counters.fold)


def test_a_customer_with_two_browsers_counts_once_where_first_reached(
    deployment: Deployment, campaign: Campaign, members: list[int]
) -> None:
    def work(tx: Session) -> None:
        opens(tx, campaign, CAT, ANN, 0, 5)
        opens(tx, campaign, DAN, BEN, 0, 3)
        opens(tx, campaign, EVE, ANN, 0, 7)
        counters.fold(tx)

    deployment.db.transact(work)
    for visitor, expected in ((CAT, (1, 0)), (EVE, (1, 0)), (DAN, (0, 1))):
        deployment.db.transact(lambda tx, one=visitor: people.fold_visitor(tx, one, members[0], T0))
        with deployment.db.read() as tx:
            found = counts(tx, campaign, ANN, BEN)
            assert tuple(each.customers for each in found) == expected
        deployment.db.transact(counters.fold)
    with deployment.db.read() as tx:
        assert [each.customers for each in counts(tx, campaign, ANN, BEN)] == [0, 1]


def test_a_customer_does_not_count_below_himself(
    deployment: Deployment, campaign: Campaign, members: list[int]
) -> None:
    def work(tx: Session) -> None:
        chain(tx, campaign)
        people.fold_visitor(tx, BEN, members[0], T0)
        people.fold_visitor(tx, DAN, members[0], T0)

    deployment.db.transact(work)
    with deployment.db.read() as tx:
        assert [c.customers for c in counts(tx, campaign, ANN, BEN)] == [1, 0]


def test_signing_in_while_being_put_into_the_spread_counts(
    deployment: Deployment, campaign: Campaign, members: list[int]
) -> None:
    """Neither transaction sees what the other does."""
    deployment.db.transact(lambda tx: people.remember_visitor(tx, BEN, T0))

    def beside() -> None:
        deployment.db.transact(lambda tx: opens(tx, campaign, BEN, ANN))
        deployment.db.transact(counters.fold)

    overtaken(deployment.db, lambda tx: people.fold_visitor(tx, BEN, members[0], T0), beside)
    for _ in range(2):
        with deployment.db.read() as tx:
            assert counts(tx, campaign, ANN) == [Counts(1, 1, 1, 1)]
        deployment.db.transact(counters.fold)


# The referral tree


def test_the_referral_tree_is_counted(deployment: Deployment) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    charlie.open(bob.link())
    charlie.claim(2)
    for _ in range(2):
        with deployment.db.read() as tx:
            found = counters.counts_of(tx, TREE, [alice.customer, bob.customer, charlie.customer])
        assert found[alice.customer] == Counts(1, 2, 2, 2)
        assert found[bob.customer] == Counts(1, 1, 1, 1)
        assert found[charlie.customer] == NOTHING
        deployment.db.transact(counters.fold)


# Folding


def test_many_notes_are_worked_off_in_bits(deployment: Deployment, campaign: Campaign) -> None:
    deployment.db.transact(lambda tx: chain(tx, campaign))
    folded = 0
    while done := deployment.db.transact(lambda tx: counters.fold(tx, most=1)):
        folded += done
        with deployment.db.read() as tx:
            assert counts(tx, campaign, ANN) == [Counts(1, 3, 0, 3)]
    assert folded == 4


@pytest.mark.parametrize("is_tree", [False, True])
def test_places_and_counts_are_looked_up_one_by_one(
    deployment: Deployment, campaign: Campaign, is_tree: bool
) -> None:
    """However many there are, and also where the tables were never analyzed."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite looks nothing else up")
    nodes = [
        {"campaign_id": campaign.id, "visitor_id": n, "hop": 0, "channel": "copy", "at": T0}
        for n in range(1, 2_001)
    ]
    statement = counters._changed("postgresql", is_tree=is_tree).text
    for name, value in (("forest", campaign.id), ("last", 1 << 40)):
        statement = statement.replace(f":{name}", str(value))

    def plan(tx: Session) -> str:
        tx.execute(sa.insert(SpreadNode), nodes)
        tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        return "\n".join(tx.scalars(sa.text(f"EXPLAIN {statement}")))

    found = deployment.db.transact(plan)
    assert "pk_graph_counts" in found
    for table in ("spread_nodes", "graph_counts"):
        assert f"Heap Scan on {table}" not in found, "it reads a whole forest"
        assert f"Seq Scan on {table}" not in found


def test_only_one_folds_and_nobody_waits(deployment: Deployment, campaign: Campaign) -> None:
    deployment.db.transact(lambda tx: chain(tx, campaign))
    outcomes = overtaken(
        deployment.db, counters.fold, lambda: deployment.db.transact(counters.fold)
    )
    assert outcomes == (4, 0)
    with deployment.db.read() as tx:
        assert counts(tx, campaign, ANN) == [Counts(1, 3, 0, 3)]


def test_one_in_so_many_who_open_folds(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "FOLD_EVERY", 3)
    its = {"campaign": campaign.id, "parent": ANN, "hop": 1}
    left = []
    for reader in (BEN, DAN, 6):
        visit = Visit(Kind.open, T0, new_event_id(), visitor=reader, **its)
        intake.hand_in(deployment, visit)
        with deployment.db.read() as tx:
            left.append(notes(tx))
    assert left == [2, 3, 0]


def test_one_in_so_many_who_claim_for_the_first_time_folds(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "FOLD_EVERY", 2)
    alice, bob, _ = cast_of(open_brand(deployment))
    left = []
    for index, person in enumerate((alice, bob)):
        person.claim(index)
        with deployment.db.read() as tx:
            left.append(notes(tx))
    assert (person.customer, left) == (2, [3, 0]), "signed in, has a place, has bought"


def test_readers_of_one_link_on_many_sides_are_all_counted(
    deployment: Deployment, campaign: Campaign
) -> None:
    def read(first: int) -> None:
        for reader in range(first, first + 10):
            deployment.db.transact(lambda tx, one=reader: opens(tx, campaign, one, ANN, 0, one))
            if reader % 3 == 0:
                deployment.db.transact(counters.fold)

    outcomes = at_once([lambda first=first: read(first) for first in range(10, 70, 10)])
    assert not [each for each in outcomes if isinstance(each, Exception)]
    with deployment.db.read() as tx:
        assert counts(tx, campaign, ANN) == [Counts(60, 60, 0, 1)]
        assert list(counters.differences(tx)) == []


# Lists


def test_those_with_most_below_them_come_first(deployment: Deployment, campaign: Campaign) -> None:
    def readers(tx: Session, sharer: int, *names: int) -> None:
        for name in names:
            opens(tx, campaign, name, sharer)

    def tops(after: int | None, limit: int) -> list[int]:
        with deployment.db.read() as tx:
            return counters.tops(tx, campaign.id, after=after, limit=limit)

    deployment.db.transact(lambda tx: readers(tx, ANN, 11, 12))
    deployment.db.transact(lambda tx: readers(tx, BEN, 13, 14))
    deployment.db.transact(lambda tx: readers(tx, CAT, 15))
    deployment.db.transact(counters.fold)
    assert tops(None, 10) == [BEN, ANN, CAT]
    deployment.db.transact(lambda tx: readers(tx, CAT, 16, 17))
    deployment.db.transact(lambda tx: readers(tx, DAN, 18, 19))
    for _ in range(2):
        assert tops(None, 10) == [CAT, DAN, BEN, ANN]
        assert (tops(None, 1), tops(CAT, 2), tops(DAN, 5)) == ([CAT], [DAN, BEN], [BEN, ANN])
        assert tops(ANN, 2) == tops(11, 2) == tops(999, 2) == []
        deployment.db.transact(counters.fold)


# From scratch

visitors = st.integers(1, 7)
happenings = st.lists(
    st.tuples(visitors, visitors, st.integers(0, 3), st.integers(0, 40))
    | st.tuples(visitors, st.integers(0, 1))
    | st.integers(1, 5),
    max_size=24,
)


Rows = dict[int, tuple[int | None, bool, Counts]]


def rows(tx: Session) -> Rows:
    """The rows that say anything."""
    row = GraphCount.__table__.c
    asked = (row.node, row.parent, row.is_customer, row.direct, row.total, row.customers, row.depth)
    found = {
        node: (above, mine, Counts(*below))
        for node, above, mine, *below in tx.execute(sa.select(*asked))
    }
    return {node: said for node, said in found.items() if said != (None, False, NOTHING)}


@settings(max_examples=20, suppress_health_check=SLOW_BUT_FINE)
@given(happenings)
def test_counters_are_what_a_count_from_scratch_gives(
    deployment: Deployment, campaign: Campaign, members: list[int], happened: Sequence[object]
) -> None:
    """Openings of anybody at any time, people signing in, and folding in between."""
    with Session(deployment.db.engine) as tx:
        for each in happened:
            if isinstance(each, int):
                assert list(counters.differences(tx)) == []
                counters.fold(tx, most=each)
            elif isinstance(each, tuple) and len(each) == 2:
                people.fold_visitor(tx, each[0], members[each[1]], T0)
            elif isinstance(each, tuple):
                opens(tx, campaign, *each)
        assert list(counters.differences(tx)) == []
        while counters.fold(tx):
            pass
        assert notes(tx) == 0
        assert list(counters.differences(tx)) == []
        before = rows(tx)
        counters.recount(tx)
        assert rows(tx) == before
        tx.rollback()


def test_wrong_counters_are_found_and_mended(deployment: Deployment, campaign: Campaign) -> None:
    deployment.db.transact(lambda tx: chain(tx, campaign))
    deployment.db.transact(counters.fold)

    def spoil(tx: Session) -> None:
        tx.execute(sa.update(GraphCount).where(GraphCount.node == ANN).values(total=7))
        stray = {"node": 99, "parent": None, "is_customer": False, "customers": 0, "depth": 1}
        tx.execute(sa.insert(GraphCount).values(forest=campaign.id, direct=1, total=1, **stray))

    deployment.db.transact(spoil)
    with deployment.db.read() as tx:
        one_moment(tx)
        found = list(counters.differences(tx))
    assert len(found) == 2
    assert "1 has Counts(direct=1, total=3" in found[0]
    assert "99 is counted and not there" in found[1]
    assert deployment.db.transact(counters.recount) == 4
    with deployment.db.read() as tx:
        assert list(counters.differences(tx)) == []


# What was there before


def test_a_spread_from_before_the_counters_goes_on_and_is_counted(bare_database_url: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = bare_database_url
    command.upgrade(config, "0002")
    database = Database(bare_database_url)
    old = "INSERT INTO spread_nodes (campaign_id, visitor_id, parent_id, hop, channel, at) VALUES "

    def before(tx: Session) -> None:
        tx.execute(
            sa.text(
                "INSERT INTO campaigns (id, slug, title, content, rules, budget, gtins, organiser,"
                " state, starts_at, ends_at, hold_days, window_days, created_at) VALUES (1, 'old',"
                " 'Old', '{}', '[]', 1, '[]', '', 'published', '2026-01-01', '2027-01-01', 7, 30,"
                " '2026-01-01')"
            )
        )
        for visitor, parent, hop in ((ANN, None, 0), (BEN, ANN, 1), (CAT, BEN, 2), (EVE, None, 3)):
            values = {"visitor": visitor, "parent": parent, "hop": hop, "at": T0.isoformat(" ")}
            tx.execute(sa.text(old + "(1, :visitor, :parent, :hop, 'copy', :at)"), values)

    database.transact(before)
    upgrade(bare_database_url)

    def opened(tx: Session, reader: int, sharer: int, hop: int, minute: int) -> bool:
        link = Link(1, sharer, None, hop, Channel.copy)
        return graph.attach(tx, reader, link, T0 + timedelta(minutes=minute))

    assert not database.transact(lambda tx: opened(tx, ANN, CAT, 2, 5)), "a first sharer stays one"
    assert not database.transact(lambda tx: opened(tx, CAT, 6, 0, 5)), "the first touch stays"
    assert database.transact(lambda tx: opened(tx, DAN, CAT, 2, 6))
    assert database.transact(lambda tx: opened(tx, EVE, CAT, 2, 0)), "its opening was on its way"
    for _ in range(2):
        with database.read() as tx:
            found = counters.counts_of(tx, 1, [ANN, CAT])
            assert list(counters.differences(tx)) == []
        assert found == {ANN: Counts(1, 4, 0, 3), CAT: Counts(2, 2, 0, 1)}
        database.transact(counters.fold)
    database.close()
