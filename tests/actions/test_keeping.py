"""Visits nobody keeps any more are dropped, figures stay, and what follows stays right."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, audit, campaigns, intake, rollups
from referral.actions import DroppedVisits
from referral.campaigns import UnknownCampaign
from referral.clock import HeldClock
from referral.db import one_moment
from referral.deployment import Deployment
from referral.links import Channel
from referral.rollups import VisitCount, hours
from referral.visits import Kind, Visit, VisitRow, keeping, months, new_event_id
from referral.visits.months import month_of
from tests.cast import add_product, cast_of, draft, open_brand, publish
from tests.conftest import START
from tests.races import at_once
from tests.visits.conftest import tables, without_months

MARCH = month_of(START)
DAY = timedelta(days=1)


def ruled(d: Deployment, keep_months: int | None) -> Deployment:
    """The same with a rule for campaigns that say nothing."""
    return replace(d, config=replace(d.config, keep_visits_months=keep_months))


@pytest.fixture
def d(deployment: Deployment) -> Iterator[Deployment]:
    """A deployment with two campaigns, the first of which keeps its visits for one month."""
    with without_months(deployment):
        add_product(deployment)
        publish(deployment, slug="short", keep_months=1)
        publish(deployment, slug="long")
        yield deployment


def number(d: Deployment, slug: str) -> int:
    with d.db.read() as tx:
        return campaigns.campaign_by_slug(tx, slug).id


def visit(d: Deployment, at: datetime, of: str | None = "short", **more: Any) -> Visit:
    campaign = number(d, of) if of else None
    its = {"visitor": 2, "campaign": campaign, "parent": 1, "hop": 1, **more}
    kind = its.pop("kind", Kind.open if of else Kind.fetch)
    return Visit(kind, at, new_event_id(at), **its, channel=Channel.wechat)


def stored(d: Deployment, of: str | None = "short") -> list[datetime]:
    campaign = number(d, of) if of else None
    with d.db.read() as tx:
        its = sa.select(VisitRow.at).where(VisitRow.campaign_id.is_not_distinct_from(campaign))
        return list(tx.scalars(its.order_by(VisitRow.at)))


def counted(d: Deployment) -> int:
    with d.db.read() as tx:
        return int(tx.scalar(sa.select(sa.func.sum(VisitCount.count))) or 0)


def differences(d: Deployment) -> list[str]:
    """What `referral recount --check` says."""
    with d.db.read() as tx:
        one_moment(tx)
        return [*map(str, rollups.differences(tx)), *map(str, rollups.sum_differences(tx))]


def recounted(d: Deployment) -> int:
    def work(tx: Session) -> int:
        one_moment(tx)
        return rollups.recount(tx) + rollups.mend_sums(tx)

    return d.db.transact(work)


def kept_since(d: Deployment, of: str = "short") -> datetime | None:
    with d.db.read() as tx:
        return keeping.kept_since(tx, number(d, of))


# What a campaign says


def test_for_how_long_is_said_at_any_time_and_by_whom_is_kept(
    d: Deployment, clock: HeldClock
) -> None:
    assert actions.keep_visits(d, "long", 13, by="olga").keep_months == 13
    clock.advance(days=200)  # it is over by now
    assert actions.keep_visits(d, "long", 120, by="ann").keep_months == 120
    assert actions.keep_visits(d, "long", 120, by="ann").keep_months == 120
    assert actions.keep_visits(d, "long", None, by="ann").keep_months is None
    with d.db.read() as tx:
        _added, _published, *noted = audit.of_subject(tx, f"campaign:{number(d, 'long')}")
    assert [(each.action, each.by, each.details) for each in noted] == [
        ("keep-visits", "olga", {"was": None, "now": 13}),
        ("keep-visits", "ann", {"was": 13, "now": 120}),
        ("keep-visits", "ann", {"was": 120, "now": None}),
    ]
    with pytest.raises(UnknownCampaign):
        actions.keep_visits(d, "autumn", 1, by="olga")


def test_a_draft_says_it_and_may_say_otherwise(deployment: Deployment) -> None:
    actions.add_campaign(deployment, draft(keep_months=3))
    assert actions.revise_campaign(deployment, "spring", draft()).keep_months is None
    for wrong in (0, 121, -1):
        with pytest.raises(ValueError, match="keep_months"):
            draft(keep_months=wrong)


# Dropping


def test_visits_are_dropped_by_their_campaigns_months(d: Deployment, clock: HeldClock) -> None:
    at = [MARCH, MARCH + 30 * DAY, month_of(MARCH, 1), month_of(MARCH, 2)]
    for of in ("short", "long", None):
        for moment in at:
            intake.hand_in(d, visit(d, moment, of))
    clock.advance(days=40)  # April: March is one month behind
    assert actions.drop_visits(d).visits == 0
    assert kept_since(d) == MARCH
    clock.advance(days=25)  # May
    assert actions.drop_visits(d).visits == 2
    assert stored(d) == at[2:]
    assert stored(d, "long") == stored(d, None) == at
    assert (kept_since(d), kept_since(d, "long")) == (at[2], None)
    assert counted(d) == 12, "the figures stay"
    assert differences(d) == []
    assert recounted(d) == 0
    assert actions.drop_visits(d) == DroppedVisits(0, [], [], is_put_off=False)


def test_the_rule_holds_for_campaigns_that_say_nothing_and_for_visits_of_none(
    d: Deployment, clock: HeldClock
) -> None:
    for of in ("short", "long", None):
        intake.hand_in(d, visit(d, MARCH, of))
    clock.advance(days=95)  # June
    assert actions.drop_visits(ruled(d, 3)).visits == 1
    assert [len(stored(d, of)) for of in ("short", "long", None)] == [0, 1, 1]
    actions.keep_visits(d, "short", 120, by="olga")
    clock.advance(days=30)  # July
    dropped = actions.drop_visits(ruled(d, 3))
    expected: tuple[int, list[datetime]] = (2, []) if d.db.is_sqlite else (0, [MARCH])
    assert (dropped.visits, dropped.months) == expected
    assert [len(stored(d, of)) for of in ("short", "long", None)] == [0, 0, 0]
    assert differences(d) == []


def test_what_was_dropped_stays_dropped_when_more_is_to_be_kept(
    d: Deployment, clock: HeldClock
) -> None:
    moments = [month_of(MARCH, later) for later in range(4)]
    for moment in moments:
        intake.hand_in(d, visit(d, moment))
    clock.advance(days=65)  # May
    actions.drop_visits(d)
    actions.keep_visits(d, "short", 3, by="olga")
    clock.advance(days=31)  # June
    actions.drop_visits(d)
    assert (kept_since(d), stored(d)) == (moments[1], moments[1:])
    actions.keep_visits(d, "short", 1, by="olga")
    actions.drop_visits(d)
    assert (kept_since(d), stored(d)) == (moments[2], moments[2:])
    assert differences(d) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_months_that_nobody_keeps_go_as_a_whole(d: Deployment, clock: HeldClock) -> None:
    assert actions.drop_visits(d).new_months == [month_of(MARCH, later) for later in range(3)]
    for of in ("short", "long", None):
        for later in range(4):
            intake.hand_in(d, visit(d, month_of(MARCH, later), of))
    clock.advance(days=65)  # May
    dropped = actions.drop_visits(ruled(d, 1))
    assert (dropped.visits, dropped.months) == (0, [MARCH])
    assert dropped.new_months == [month_of(MARCH, later) for later in (3, 4)]
    assert tables(d) == {"2026_04": 3, "2026_05": 3, "2026_06": 3, "2026_07": 0, "rest": 0}
    assert counted(d) == 12
    assert differences(d) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_month_of_which_no_visit_is_left_goes_as_well(d: Deployment, clock: HeldClock) -> None:
    actions.drop_visits(d)
    intake.hand_in(d, visit(d, MARCH))
    intake.hand_in(d, visit(d, month_of(MARCH, 1)))
    intake.hand_in(d, visit(d, month_of(MARCH, 1), "long"))
    clock.advance(days=95)  # June: `long` keeps everything, and has nothing in March
    dropped = actions.drop_visits(d)
    assert (dropped.visits, dropped.months) == (2, [MARCH])
    assert tables(d)["2026_04"] == 1


def test_a_visit_that_comes_late_is_counted_and_goes_with_the_next_month(
    d: Deployment, clock: HeldClock
) -> None:
    """Parked for months, for example."""
    actions.drop_visits(d)
    clock.advance(days=65)  # May
    actions.drop_visits(d)
    intake.hand_in(d, visit(d, MARCH))
    assert (len(stored(d)), counted(d), differences(d)) == (1, 1, [])
    assert recounted(d) == 0
    clock.advance(days=31)
    assert actions.drop_visits(d).visits == 1
    assert (stored(d), counted(d), differences(d)) == ([], 1, [])


def test_killed_in_between_it_goes_on_the_next_time(
    d: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in range(5):
        for of in ("short", "long"):
            intake.hand_in(d, visit(d, MARCH + days * DAY, of))
    clock.advance(days=65)

    class Killed(Exception):
        pass

    drop_some, calls = keeping.drop_some, count(1)

    def killed_at(last: int) -> Callable[..., Any]:
        def dropping(*arguments: Any, **more: Any) -> Any:
            if next(calls) > last:
                raise Killed
            return drop_some(*arguments, **more)

        return dropping

    for left in (3, 1):
        calls = count(1)
        monkeypatch.setattr(keeping, "drop_some", killed_at(2 if left == 3 else 4))
        with pytest.raises(Killed):
            actions.drop_visits(d)
        assert len(stored(d)) == left
        assert differences(d) == []
        assert recounted(d) == 0
    monkeypatch.setattr(keeping, "drop_some", drop_some)
    assert actions.drop_visits(d).visits == 1
    assert (stored(d), len(stored(d, "long")), counted(d)) == ([], 5, 10)
    assert actions.drop_visits(d).visits == 0


def test_dropped_on_two_sides_everything_goes_once(d: Deployment, clock: HeldClock) -> None:
    for days in range(10):
        intake.hand_in(d, visit(d, MARCH + days * DAY))
    clock.advance(days=65)
    done = at_once([lambda: actions.drop_visits(d)] * 3)
    assert not [each for each in done if isinstance(each, Exception)]
    assert sum(each.visits for each in done if isinstance(each, DroppedVisits)) == 10
    assert (stored(d), differences(d)) == ([], [])
    if not d.db.is_sqlite:
        went = [each for each in done if isinstance(each, DroppedVisits)]
        made = [month for each in went for month in each.new_months]
        assert sorted(made) == [month_of(MARCH, later) for later in (2, 3, 4)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_months_in_use_are_left_for_the_next_time(
    d: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.drop_visits(d)
    for of in ("short", "long", None):
        intake.hand_in(d, visit(d, MARCH, of))
    clock.advance(days=65)
    monkeypatch.setattr(months, "PATIENCE", "100ms")
    with d.db.read() as tx:
        one_moment(tx)
        found = rollups.differences(tx)
        assert next(found, None) is None
        tried: list[datetime] = []

        def trying(work: Callable[[Session, datetime], bool]) -> Callable[..., bool]:
            def work_on(tx: Session, month: datetime) -> bool:
                tried.append(month)
                return work(tx, month)

            return work_on

        with monkeypatch.context() as watched:
            for name in ("drop", "drop_empty", "make"):
                watched.setattr(months, name, trying(getattr(months, name)))
            busy = actions.drop_visits(ruled(d, 1))
        # Somebody counts meanwhile, as of before: to him they are all there.
        assert list(rollups.differences(tx)) == []
    assert busy == DroppedVisits(0, [], [], is_put_off=True)
    assert tried == [MARCH], "others wait behind each that is tried"
    again = actions.drop_visits(ruled(d, 1))
    assert (again.is_put_off, len(again.new_months)) == (False, 2)
    assert tables(d)["rest"] == 0
    assert "2026_03" not in tables(d)


def test_counting_anew_while_visits_are_dropped_changes_no_figure(
    d: Deployment, clock: HeldClock
) -> None:
    """It must not take what is dropped at this moment for what never was."""
    actions.drop_visits(d)
    for days in range(0, 60, 4):
        for of in ("short", "long", None):
            intake.hand_in(d, visit(d, MARCH + days * DAY, of, kind=Kind.fetch, visitor=None))
    total, stop = counted(d), threading.Event()

    def count_anew() -> int:
        mended = 0
        while not stop.is_set():
            mended += recounted(d)
        return mended

    def drop() -> int:
        try:
            for _ in range(3):
                clock.advance(days=31)
                actions.drop_visits(ruled(d, 1))
            return 0
        finally:
            stop.set()

    assert at_once([count_anew, drop]) == [0, 0]
    assert (counted(d), differences(d)) == (total, [])
    assert [stored(d, of) for of in ("short", "long", None)] == [[], [], []]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_month_is_not_dropped_under_the_eyes_of_who_counts(
    d: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is dropped is gone also for whoever reads as of before."""
    actions.drop_visits(d)
    intake.hand_in(d, visit(d, MARCH))
    clock.advance(days=65)
    monkeypatch.setattr(months, "PATIENCE", "100ms")
    dropped: list[DroppedVisits | Exception] = []

    def meanwhile(tx: Session, _name: str) -> None:
        tx.execute(sa.select(keeping.VisitsKeptSince)).all()  # from here on it is that moment
        dropped.extend(at_once([lambda: actions.drop_visits(ruled(d, 1))]))

    with monkeypatch.context() as patched:
        patched.setattr(hours, "lock", meanwhile)
        assert recounted(d) == 0
    [first, *_] = dropped
    assert isinstance(first, DroppedVisits)
    assert (first.months, first.is_put_off) == ([], True)
    assert actions.drop_visits(ruled(d, 1)).months == [MARCH]
    assert (counted(d), differences(d)) == (1, [])


# What else reads visits


def test_sifting_after_visits_were_dropped_leaves_figures_and_spread_right(
    deployment: Deployment, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    bob.open(alice.link())
    charlie.open(alice.link())
    clock.advance(days=1)
    assert actions.sift(deployment).to_fetches == 2
    actions.keep_visits(deployment, "spring", 1, by="olga")
    clock.advance(days=93)
    actions.sweep(deployment)
    assert stored(deployment, "spring") == []
    # Bob's page runs after all: nothing is left to put him back by.
    intake.note_ran(deployment, bob.visitor, clock.now())
    assert actions.sift(deployment) == actions.Sifted(0, 0)
    assert differences(deployment) == []
    bob.open(alice.link())
    clock.advance(days=1)
    actions.sift(deployment)
    assert differences(deployment) == []


# Whatever happens


KINDS = [kind for kind in Kind if kind is not Kind.scan]
"""A scan is of a code."""
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.sampled_from(["short", "long"]),
            st.sampled_from(KINDS),
            st.integers(0, 12 * 31 * 24),
        ),
        st.tuples(
            st.just("keep"), st.sampled_from(["short", "long"]), st.sampled_from([None, 1, 3])
        ),
        st.tuples(st.just("rule"), st.sampled_from([None, 1, 2])),
        st.tuples(st.just("later"), st.integers(1, 70)),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("sift")),
        st.tuples(st.just("recount")),
    ),
    max_size=16,
)


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(steps)
def test_whatever_is_stored_swept_and_counted_the_figures_are_right(
    d: Deployment, clock: HeldClock, sequence: list[tuple[Any, ...]]
) -> None:
    sut, total = d, counted(d)
    visitors = count(clock.now().toordinal() * 1000)
    for name, *arguments in sequence:
        if name == "store":
            of, kind, hours = arguments
            at = clock.now() - timedelta(hours=hours)
            intake.hand_in(d, visit(d, at, of, kind=kind, visitor=next(visitors)))
            total += 1
        elif name == "keep":
            actions.keep_visits(d, *arguments, by="tests")
        elif name == "rule":
            sut = ruled(d, *arguments)
        elif name == "later":
            clock.advance(days=arguments[0])
        elif name == "sweep":
            actions.drop_visits(sut)
        elif name == "sift":
            actions.sift(d)
        else:
            assert recounted(d) == 0
        if name == "sweep":
            assert differences(d) == []
    actions.drop_visits(sut)
    assert differences(d) == []
    assert counted(d) == total
