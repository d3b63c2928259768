"""Alarms: more wrong codes than mistyping and chance explain, and nothing else."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import visits
from referral.clock import HeldClock
from referral.codes import INDEX_END, Label, Labels
from referral.deployment import Deployment
from referral.gathering import hour_of
from referral.misses import NONE, CodeMisses
from referral.reports import alarms
from referral.reports.alarms import MISSES_LEAST, About, Alarm
from referral.visits import SeenCode
from tests.cast import OTHER_GTIN, Brand, add_product, issue, open_brand

MANY = MISSES_LEAST * 4


@pytest.fixture
def brand(deployment: Deployment, clock: HeldClock) -> Iterator[Brand]:
    """A brand that opened two weeks ago."""
    now = clock.now()
    clock.advance(days=-14)
    opened = open_brand(deployment)
    clock.set(now)
    yield opened
    told = current(deployment)
    assert all("%(" not in alarms.in_words(alarm) for alarm in told)


def current(deployment: Deployment) -> list[Alarm]:
    with deployment.db.read() as tx:
        return alarms.current(tx, deployment.clock.now())


def about(deployment: Deployment) -> list[tuple[About, int]]:
    return [(alarm.about, alarm.id) for alarm in current(deployment)]


def missed(
    deployment: Deployment,
    count: int,
    *,
    product: int = NONE,
    batch: int = NONE,
    hours_ago: int = 0,
) -> None:
    """So many wrong codes in the hour that lies so many hours back."""
    hour = hour_of(deployment.clock.now()) - timedelta(hours=hours_ago)
    row = CodeMisses(hour=hour, product_id=product, batch_id=batch, region="", count=count)
    deployment.db.transact(lambda tx: tx.add(row))


def scanned(deployment: Deployment, batch: int, count: int, *, minutes_ago: int = 5) -> None:
    at = deployment.clock.now() - timedelta(minutes=minutes_ago)
    rows = [
        {
            "batch_id": batch,
            "index": index,
            "label": Label.inner,
            "first_at": at,
            "region": None,
            "devices": 1,
        }
        for index in range(count)
    ]
    deployment.db.transact(lambda tx: tx.execute(sa.insert(SeenCode), rows))


def test_nothing_is_no_alarm(brand: Brand, deployment: Deployment) -> None:
    assert current(deployment) == []


def test_misses_near_a_batch_raise_an_alarm(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, 30, batch=brand.batch.id, product=brand.product.id)
    missed(deployment, MISSES_LEAST - 30, batch=brand.batch.id, hours_ago=1)
    [alarm] = current(deployment)
    assert (alarm.about, alarm.id, alarm.name) == (About.batch, brand.batch.id, brand.batch.name)
    assert (alarm.misses, alarm.usual, alarm.scans) == (MISSES_LEAST, 0, 0)
    assert alarm.since == hour_of(deployment.clock.now()) - timedelta(hours=1)


def test_a_few_typing_errors_are_no_alarm(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, MISSES_LEAST - 1, batch=brand.batch.id, product=brand.product.id)
    assert current(deployment) == []


def test_what_is_over_is_no_alarm(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, MANY, batch=brand.batch.id, product=brand.product.id, hours_ago=2)
    assert current(deployment) == []


def test_what_is_usual_is_no_alarm(brand: Brand, deployment: Deployment) -> None:
    """It is half past: an hour and a half is looked at, and five times as much is allowed."""
    for hours in range(2, 2 + 7 * 24):
        missed(deployment, 20, batch=brand.batch.id, hours_ago=hours)
    missed(deployment, 20 * 5 + 50, batch=brand.batch.id)
    assert current(deployment) == []
    missed(deployment, 1, batch=brand.batch.id, product=brand.product.id)
    [alarm] = current(deployment)
    assert alarm.usual == 20


def test_what_was_more_than_a_week_ago_is_not_usual(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, 1_000_000, batch=brand.batch.id, hours_ago=2 + 7 * 24)
    missed(deployment, MANY, batch=brand.batch.id)
    assert about(deployment) == [(About.batch, brand.batch.id)]


def test_a_new_batch_is_held_against_the_hours_it_has(
    brand: Brand, deployment: Deployment, clock: HeldClock
) -> None:
    batch = issue(deployment).id
    clock.advance(minutes=4 * 60)
    for hours in (2, 3, 4):
        missed(deployment, 40, batch=batch, hours_ago=hours)
    missed(deployment, MANY, batch=batch)
    assert (About.batch, batch) not in about(deployment), "over a week 40 would be one an hour"
    missed(deployment, 161, batch=batch, hours_ago=1)
    assert (About.batch, batch) in about(deployment)


def test_typing_errors_come_with_many_new_scans(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, MANY, batch=brand.batch.id, product=brand.product.id)
    scanned(deployment, brand.batch.id, MANY * 20 - 1)
    [alarm] = current(deployment)
    assert alarm.scans == MANY * 20 - 1
    deployment.db.transact(lambda tx: tx.execute(sa.delete(SeenCode)))
    scanned(deployment, brand.batch.id, MANY * 20)
    assert current(deployment) == []


def test_scans_long_ago_or_of_another_batch_explain_nothing(
    brand: Brand, deployment: Deployment
) -> None:
    missed(deployment, MANY, batch=brand.batch.id)
    scanned(deployment, brand.batch.id, MANY * 20, minutes_ago=91)
    scanned(deployment, issue(deployment).id, MANY * 20)
    assert about(deployment) == [(About.batch, brand.batch.id)]


def test_scanning_one_bottle_over_and_over_buys_no_silence(
    brand: Brand, deployment: Deployment
) -> None:
    missed(deployment, MANY, batch=brand.batch.id)
    code = brand.code(0)
    for visitor in range(1, 200):
        visit = visits.Visit(
            visits.Kind.scan,
            deployment.clock.now(),
            visits.new_event_id(),
            visitor=visitor,
            batch=code.batch_id,
            code_index=code.index,
            label=code.label,
        )
        deployment.db.transact(lambda tx, visit=visit: visits.remember_scans(tx, [visit]))
    [alarm] = current(deployment)
    assert alarm.scans == 1


def enlarge(deployment: Deployment, brand: Brand, share: float, labels: Labels) -> None:
    """Let the brand's batch own that share of all codes there can be."""
    change = sa.update(type(brand.batch)).where(type(brand.batch).id == brand.batch.id)
    size = int(INDEX_END * share)
    deployment.db.transact(lambda tx: tx.execute(change.values(size=size, labels=labels)))


def test_a_batchs_share_of_random_guesses_is_no_alarm(brand: Brand, deployment: Deployment) -> None:
    """Nine in ten guesses land nowhere; a batch with a tenth of all codes gets the tenth one."""
    enlarge(deployment, brand, 0.1, Labels.single)
    missed(deployment, 9 * MANY, product=NONE)
    missed(deployment, 3 * MANY - 1, batch=brand.batch.id)
    assert about(deployment) == [(About.typed, NONE)]
    missed(deployment, 2, batch=brand.batch.id, hours_ago=1)
    assert (About.batch, brand.batch.id) in about(deployment)


def test_a_batch_with_two_labels_gets_twice_the_share(brand: Brand, deployment: Deployment) -> None:
    enlarge(deployment, brand, 0.1, Labels.pair)
    missed(deployment, 81 * 10, product=NONE)  # 0.9 * 0.9 of a thousand
    missed(deployment, 3 * 2 * 100 - 1, batch=brand.batch.id)
    assert about(deployment) == [(About.typed, NONE)]
    missed(deployment, 2, batch=brand.batch.id, hours_ago=1)
    assert (About.batch, brand.batch.id) in about(deployment)


def test_misses_at_a_products_address_raise_an_alarm(brand: Brand, deployment: Deployment) -> None:
    other = add_product(deployment, OTHER_GTIN)
    missed(deployment, MISSES_LEAST, product=brand.product.id)
    missed(deployment, MISSES_LEAST - 1, product=other.id)
    [alarm] = current(deployment)
    assert (alarm.about, alarm.id, alarm.name) == (
        About.product,
        brand.product.id,
        brand.product.name,
    )
    scanned(deployment, issue(deployment, OTHER_GTIN).id, MISSES_LEAST * 20)
    assert about(deployment) == [(About.product, brand.product.id)]
    scanned(deployment, brand.batch.id, MISSES_LEAST * 20)
    assert current(deployment) == []


def test_one_guesser_is_one_alarm(brand: Brand, deployment: Deployment) -> None:
    """What was tried near a batch is not told of once more at its product."""
    missed(deployment, MANY, batch=brand.batch.id, product=brand.product.id)
    missed(deployment, MISSES_LEAST - 1, product=brand.product.id)
    assert about(deployment) == [(About.batch, brand.batch.id)]
    missed(deployment, 1, product=brand.product.id, hours_ago=1)
    assert about(deployment) == [(About.batch, brand.batch.id), (About.product, brand.product.id)]


def test_typed_codes_that_do_not_exist_raise_an_alarm(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, MANY)
    [alarm] = current(deployment)
    assert (alarm.about, alarm.id, alarm.name) == (About.typed, NONE, "")
    scanned(deployment, brand.batch.id, MANY * 10)
    scanned(deployment, issue(deployment).id, MANY * 10)
    assert current(deployment) == [], "in the first days people type a lot"


def test_the_worst_come_first_and_not_too_many(
    brand: Brand, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [issue(deployment, on_sale=0).id for _ in range(3)]
    for number, batch in enumerate(batches):
        missed(deployment, MANY + number, batch=batch)
    assert [alarm.id for alarm in current(deployment)] == batches[::-1]
    monkeypatch.setattr(alarms, "ALARMS_MAX", 2)
    assert [alarm.id for alarm in current(deployment)] == batches[:0:-1]


def test_an_alarm_says_what_to_do(brand: Brand, deployment: Deployment) -> None:
    missed(deployment, 12_345, batch=brand.batch.id)
    [alarm] = current(deployment)
    words = alarms.in_words(alarm)
    name = f"{brand.batch.name} ({brand.batch.id})"
    assert words.startswith(f"12,345 codes that do not exist were tried near batch {name} since")
    assert words.endswith("void or recall the range.")
