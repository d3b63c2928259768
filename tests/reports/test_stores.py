"""Stores with the codes that went to each."""

from referral import actions
from referral.deployment import Deployment
from referral.reports import stores
from referral.reports.stores import StoreLine
from referral.stores import StoreKind
from tests.cast import add_product, issue


def test_stores_come_by_name_with_the_codes_assigned_to_them(deployment: Deployment) -> None:
    add_product(deployment)
    for slug, name, region in [("b", "Beta", "CN-GD"), ("a", "Alpha", None), ("c", "Gamma", None)]:
        actions.add_store(
            deployment, slug=slug, name=name, kind=StoreKind.distributor, region=region
        )
    with deployment.db.read() as tx:
        beta = next(store.id for store in stores.choices(tx) if store.slug == "b")
        assert [store.name for store in stores.choices(tx)] == ["Alpha", "Beta", "Gamma"]
    for batch, start, end in [(issue(deployment), 0, 10), (issue(deployment), 400, 600)]:
        actions.assign_range(
            deployment, batch.id, {"store_id": beta}, start=start, end=end, by="tests"
        )
    with deployment.db.read() as tx:
        first = stores.lines(tx, limit=2)
        assert first.rows == [
            StoreLine("a", "Alpha", "distributor", None, codes=0, batches=0),
            StoreLine("b", "Beta", "distributor", "CN-GD", codes=210, batches=2),
        ]
        rest = stores.lines(tx, offset=first.next or 0)
        assert [line.slug for line in rest.rows] == ["c"]
        assert rest.next is None
