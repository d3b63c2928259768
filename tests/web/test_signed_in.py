"""Whoever signs in on the way from a code or a share link counts for its campaign."""

import sqlalchemy as sa

from referral import actions
from referral.deployment import Deployment
from referral.visits import Kind, VisitRow
from tests.readers import Reader
from tests.rewarded import add_store
from tests.web.conftest import Brand


def signed_in(d: Deployment) -> list[tuple[int | None, str, int | None]]:
    """Campaign, channel and store of every sign-in."""
    with d.db.read() as tx:
        rows = tx.scalars(
            sa.select(VisitRow).where(VisitRow.kind == Kind.sign_in.value).order_by(VisitRow.at)
        )
        return [(row.campaign_id, row.channel, row.store_id) for row in rows]


def test_from_a_code_it_is_of_the_codes_campaign_and_store(brand: Brand, alice: Reader) -> None:
    d = brand.deployment
    store = add_store(d, "east").id
    actions.assign_range(d, brand.batch.id, {"store_id": store}, start=0, end=5, by="tests")
    alice.get(brand.path(1))
    alice.sign_in("13800138000", then=brand.path(1))
    assert signed_in(d) == [(1, "unknown", store)]


def test_from_a_link_it_is_of_the_links_campaign_and_channel(
    brand: Brand, alice: Reader, bob: Reader
) -> None:
    alice.sign_in("13800138000")
    assert signed_in(brand.deployment) == [], "Alice came from nowhere"
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    bob.sign_in("bob@example.com")
    [found] = signed_in(brand.deployment)
    assert (found[0], found[2]) == (1, None)


def test_where_the_way_leads_to_no_code_of_ours_nothing_is_counted_and_signing_in_works(
    brand: Brand, alice: Reader
) -> None:
    wrong = f"/01/{brand.product.gtin}/21/AAAAAAAAAAAAAAAA"
    for target in (wrong, "/01/1/21/A", "/01//21/"):
        alice.get("/sign-in")
        alice.sign_in("13800138000", then=target)
        assert alice.get("/me").status_code == 200
        alice.send("/sign-out")
    assert signed_in(brand.deployment) == []
