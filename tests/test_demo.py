import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from referral import actions, batches, campaigns, claims, demo, ranges, segments, staff
from referral.clock import HeldClock
from referral.complaints import Complaint, State
from referral.config import Config
from referral.demo import brand, play
from referral.demo.play import SEED, plan
from referral.deployment import Deployment, open_deployment
from referral.gs1.gtin import gtin14
from referral.orders import Order
from referral.people import Customer
from referral.ratings import Rating
from referral.reports import batches as batch_reports
from referral.reports import campaigns as campaign_reports
from referral.reports import customers, store_life, trees, values, wallet
from referral.reports.campaigns import Metrics
from referral.spread.cascades import Kind, Parameters
from referral.visits import VisitRow
from tests.conftest import START

SMALL = Parameters(roots=20)


def load(deployment: Deployment) -> demo.Demo:
    return demo.demo(deployment, parameters=SMALL)


def metrics(deployment: Deployment) -> Metrics:
    with deployment.db.read() as tx:
        return campaign_reports.metrics(tx, campaigns.campaign_by_slug(tx, brand.CAMPAIGN))


def test_it_says_how_to_try_it(deployment: Deployment) -> None:
    found = load(deployment)
    said = found.as_json()
    assert set(said) == {
        "base_url",
        "api_key",
        "staff",
        "campaign",
        "gtin",
        "codes",
        "share_url",
    }
    assert said["base_url"] == "http://localhost"
    assert set(said["staff"]) == {"email", "password"}
    assert gtin14(found.gtin) == found.gtin
    with deployment.db.read() as tx:
        assert staff.api_key_id(tx, found.api_key)
    member = staff.check_password(deployment.db, found.staff.email, found.staff.password)
    assert member.may(staff.Right.change)
    link = deployment.links.read(urlsplit(found.share_url).path.removeprefix("/s/"))
    assert link is not None
    with deployment.db.read() as tx:
        top = trees.roots(tx, deployment.keys, limit=1)[0]
    assert link.customer == top.customer_id
    _check_codes(deployment, found)


def _check_codes(deployment: Deployment, found: demo.Demo) -> None:
    assert len(set(found.codes)) == demo.CODES_TO_TRY
    for url in found.codes:
        assert url.startswith(f"http://localhost/01/{found.gtin}/21/")
        code = deployment.codes.decode(url.rpartition("/")[2], deployment.directory)
        with deployment.db.read() as tx:
            state = ranges.state_of(tx, code.batch_id, code.index)
            assert state is ranges.RangeState.activated
            assert claims.claim_of(tx, code) is None


def test_it_says_the_same_again_without_codes_that_were_claimed(deployment: Deployment) -> None:
    found = load(deployment)
    before = metrics(deployment)
    assert load(deployment) == found
    assert metrics(deployment) == before

    code = deployment.codes.decode(found.codes[0].rpartition("/")[2], deployment.directory)
    customer, _ = actions.add_customer(deployment, [play.member_number(1)], "Dora")
    actions.claim(deployment, code, customer)
    again = load(deployment)
    assert again.codes[:-1] == found.codes[1:]
    assert again.codes[-1] not in found.codes
    assert replace(again, codes=[]) == replace(found, codes=[])


def test_its_numbers_come_out_of_the_history(deployment: Deployment) -> None:
    load(deployment)
    played = plan(SMALL, SEED)
    events = [step.event for step in played.steps]
    counts = {kind: sum(event.kind is kind for event in events) for kind in Kind}
    buyers = {event.person for event in events if event.kind is Kind.purchase}
    found = metrics(deployment)
    assert found.claims == counts[Kind.purchase]
    assert found.opens == counts[Kind.open]
    assert found.fetches == counts[Kind.fetch]
    assert found.shares == counts[Kind.share]
    assert 0 < found.engagements <= counts[Kind.engagement]  # one a visitor and day
    assert found.new_customers == len(buyers)
    assert 0 < found.referred_customers < found.new_customers
    assert found.cost == 20 * found.claims + 80 * found.referred_customers
    assert found.budget_left + found.cost == brand.campaign(START).budget
    with deployment.db.read() as tx:
        customers_there = tx.scalar(sa.select(sa.func.count()).select_from(Customer))
        first, last = tx.execute(
            sa.select(sa.func.min(VisitRow.at), sa.func.max(VisitRow.at))
        ).one()
    joined = sum(look.joins for look in played.looks)
    assert customers_there == len(buyers) + len(played.bystanders) + joined
    assert found.scans > len(played.looks) > joined > 0
    assert START - brand.RUNS_FOR <= first < START - timedelta(days=20)
    assert START - timedelta(days=10) < last <= START
    _check_points(deployment)


def _check_points(deployment: Deployment) -> None:
    with deployment.db.read() as tx:
        top = trees.roots(tx, deployment.keys, limit=1)[0]
        (points,) = customers.balances(tx, top.customer_id)
        bottles = len(wallet.packages_of(tx, top.customer_id, limit=1_000))
        friend = trees.children(tx, deployment.keys, top.customer_id).branches[0]
        (friends_points,) = customers.balances(tx, friend.customer_id)
    assert points.pending == 0
    assert points.available == 20 * bottles + 40 * top.direct
    assert friends_points.available >= 20 + 40


def test_a_load_that_was_cut_off_is_finished_by_the_next_call(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    monkeypatch.setattr(play, "CHUNK", 25)

    def power_cut(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.demo(deployment, progress=power_cut, parameters=SMALL)
    half = metrics(deployment)
    assert not demo.is_loaded(deployment)

    # Another process, later: it knows nothing of the first one but what was kept.
    after = open_deployment(config, clock=HeldClock(START + timedelta(hours=3)))
    try:
        load(after)
        whole = metrics(after)
        events = [step.event for step in plan(SMALL, SEED).steps]
        assert 0 < half.opens < whole.opens == sum(e.kind is Kind.open for e in events)
        assert whole.claims == sum(e.kind is Kind.purchase for e in events)
        assert whole.shares == sum(e.kind is Kind.share for e in events)
        assert whole.cost == 20 * whole.claims + 80 * whole.referred_customers
        with after.db.read() as tx:
            count = tx.scalar(sa.select(sa.func.count()).select_from(batches.Batch))
        assert count == len(brand.BATCHES)
    finally:
        after.db.close()


def test_two_calls_at_once_load_once(config: Config) -> None:
    opened = [open_deployment(config, clock=HeldClock(START)) for _ in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(load, opened)
        assert one == other
        events = [step.event for step in plan(SMALL, SEED).steps]
        assert metrics(opened[0]).claims == sum(e.kind is Kind.purchase for e in events)
    finally:
        for each in opened:
            each.db.close()


def test_access_is_made_again_when_its_secrets_are_lost(deployment: Deployment) -> None:
    found, before = load(deployment), metrics(deployment)
    (deployment.config.data_dir / demo.FILE_NAME).unlink()
    again = load(deployment)
    assert metrics(deployment) == before, "nothing is loaded twice"
    assert again.staff != found.staff
    assert again.codes == found.codes
    with deployment.db.read() as tx:
        assert staff.api_key_id(tx, again.api_key)
    assert staff.check_password(deployment.db, again.staff.email, again.staff.password)


@pytest.mark.parametrize("spoilt", ["", "{", '{"api_key": 1}', "[]"])
def test_a_file_that_makes_no_sense_counts_as_lost(tmp_path: Path, spoilt: str) -> None:
    path = tmp_path / demo.FILE_NAME
    assert demo._read(path) is None
    path.write_text(spoilt)
    assert demo._read(path) is None


def test_it_has_an_analyst_and_batches_in_every_state(deployment: Deployment) -> None:
    load(deployment)
    path = deployment.config.data_dir / demo.FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it holds passwords"
    kept = demo._read(path)
    assert kept is not None
    assert kept.analyst is not None
    member = staff.check_password(deployment.db, kept.analyst.email, kept.analyst.password)
    with deployment.db.read() as tx:
        listed = batch_reports.listed(tx, after=0, limit=100)
    assert not member.may(staff.Right.change)
    assert {span.state for batch in listed for span in batch.ranges} == set(ranges.RangeState)


def test_every_page_of_the_console_has_something_to_show(deployment: Deployment) -> None:
    load(deployment)
    with deployment.db.read() as tx:
        found = values.overview(tx, deployment.keys)
        ranked = store_life.ranking(tx, START - brand.RUNS_FOR, START).rows
        said = [tx.scalar(sa.select(sa.func.count()).select_from(each)) for each in (Rating, Order)]
        states = set(tx.scalars(sa.select(Complaint.state)))
        kept = {segment.name: segment.count for segment in segments.all_segments(tx)}
    assert found is not None
    assert all(count for _stage, count in found.stages)
    assert all(each.figures.scans and each.figures.claims for each in ranked)
    assert len(ranked) == len(brand.SELLERS)
    assert all(said)
    assert states == set(State)
    assert kept.keys() == brand.SEGMENTS.keys()
    assert kept["买过两次以上"]


def test_its_campaign_speaks_every_language_and_says_that_the_sharer_benefits() -> None:
    content = brand.campaign(START).content
    assert set(content) == {"zh-Hans", "zh-Hant", "en"}
    assert "我和你都会得到积分" in content["zh-Hans"].share_text
    assert "我和你都會得到點數" in content["zh-Hant"].share_text
    assert "we both get points" in content["en"].share_text


def test_the_full_plan_is_a_few_thousand_people_with_hubs_and_depth() -> None:
    played = plan(Parameters(), SEED)
    events = [step.event for step in played.steps]
    buyers = {event.person for event in events if event.kind is Kind.purchase}
    assert len(buyers) + len(played.bystanders) >= 2_000
    assert len(events) >= 4_000
    assert len({step.event_id for step in played.steps}) == len(played.steps)
    packages = [step.package for step in played.steps if step.package is not None]
    assert len(set(packages)) == len(packages), "no package is bought twice"
    for place, index in packages:
        start, end = brand.BATCHES[place].sold or (0, 0)
        assert start <= index < end
    start, end = brand.TRY_OUT
    assert not any(place == 0 and start <= index < end for place, index in packages)
