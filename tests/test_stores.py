"""Stores and distributors: each under a short name of its own, in a region there is."""

import pytest

from referral import actions, stores
from referral.deployment import Deployment
from referral.places import BadRegion
from referral.stores import BadStoreSlug, Store, StoreExists, StoreKind, UnknownStore


def add(deployment: Deployment, slug: str, region: str | None = None) -> Store:
    return actions.add_store(
        deployment, slug=slug, name="East", kind=StoreKind.store, region=region
    )


def test_a_store_is_found_by_its_short_name(deployment: Deployment) -> None:
    made = add(deployment, "guangzhou-east-2", "CN-GD")
    other = add(deployment, "x" * 60)
    with deployment.db.read() as tx:
        assert stores.store_by_slug(tx, "guangzhou-east-2").id == made.id
        slugs = stores.slugs(tx, [made.id, None, other.id, made.id])
        assert slugs == {made.id: "guangzhou-east-2", other.id: "x" * 60}
        assert stores.slugs(tx, [None]) == {}
        assert stores.names(tx, [None, other.id]) == {other.id: other.name}
        for unknown in ("guangzhou", "a\0b", "\ud800"):
            with pytest.raises(UnknownStore):
                stores.store_by_slug(tx, unknown)


def test_a_short_name_is_taken_once(deployment: Deployment) -> None:
    add(deployment, "east", "CN-GD")
    with pytest.raises(StoreExists):
        add(deployment, "east", "CN-SH")
    with deployment.db.read() as tx:
        assert stores.store_by_slug(tx, "east").region == "CN-GD"


@pytest.mark.parametrize("slug", ["", "East", "a b", "a--b", "-a", "a-", "东", "a\n", "x" * 61])
def test_it_rejects_short_names_that_are_none(deployment: Deployment, slug: str) -> None:
    with pytest.raises(BadStoreSlug):
        add(deployment, slug)


@pytest.mark.parametrize("region", ["", "cn", "XX", "CN-", "CN-ZZ", "CN-GD-1", "CN_GD"])
def test_it_rejects_regions_there_are_none_of(deployment: Deployment, region: str) -> None:
    with pytest.raises(BadRegion):
        add(deployment, "east", region)
