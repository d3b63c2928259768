"""Flags as staff see them: the latest first, by batch, code and kind."""

from referral.clock import HeldClock
from referral.flags import Flag, raise_flags
from referral.reports import flags
from referral.reports.flags import FlagLine
from tests.cast import Brand, issue
from tests.reports.conftest import read


def raise_flag(brand: Brand, batch_id: int, index: int, kind: Flag, region: str | None) -> None:
    now = brand.deployment.clock.now()
    brand.deployment.db.transact(lambda tx: raise_flags(tx, batch_id, index, [kind], region, now))


def test_flags_come_with_the_latest_first(brand: Brand, clock: HeldClock) -> None:
    start, mine, other = clock.now(), brand.batch.id, issue(brand.deployment).id
    raise_flag(brand, mine, 7, Flag.other_market, "CN-GX")
    for batch_id, index, kind in [(other, 1, Flag.expired), (mine, 9, Flag.expired)]:
        clock.advance(minutes=60)
        raise_flag(brand, batch_id, index, kind, None)
    clock.advance(minutes=60)
    raise_flag(brand, mine, 7, Flag.other_market, "US")

    newest = read(brand, lambda tx: flags.flagged(tx, limit=1))
    assert newest.rows == [
        FlagLine(mine, "a batch", 7, "other_market", start, clock.now(), 2, "US")
    ]
    rest = read(brand, lambda tx: flags.flagged(tx, offset=newest.next or 0))
    assert [(line.batch_id, line.index) for line in rest.rows] == [(mine, 9), (other, 1)]
    assert rest.next is None

    def found(**wanted: int | str) -> list[tuple[int, int, str]]:
        listed = read(brand, lambda tx: flags.flagged(tx, **wanted))  # type: ignore[arg-type]
        return [(line.batch_id, line.index, line.kind) for line in listed.rows]

    assert found(kind="expired") == [(mine, 9, "expired"), (other, 1, "expired")]
    assert found(batch_id=other) == [(other, 1, "expired")]
    assert found(batch_id=mine, index=7) == [(mine, 7, "other_market")]
    assert found(batch_id=mine, kind="withdrawn") == []


def test_codes_are_counted_by_kind_the_most_first(brand: Brand, clock: HeldClock) -> None:
    other = issue(brand.deployment).id
    raise_flag(brand, brand.batch.id, 1, Flag.withdrawn, None)
    clock.advance(days=8)
    later = clock.now()
    for index in (1, 1, 2):
        raise_flag(brand, brand.batch.id, index, Flag.other_market, None)
    raise_flag(brand, other, 1, Flag.withdrawn, None)
    assert read(brand, flags.counts) == {"other_market": 2, "withdrawn": 2}
    of_batch = read(brand, lambda tx: flags.counts(tx, batches=[brand.batch.id]))
    assert [*of_batch.items()] == [("other_market", 2), ("withdrawn", 1)]
    assert read(brand, lambda tx: flags.counts(tx, batches=[brand.batch.id], since=later)) == {
        "other_market": 2
    }
