"""Staff change what people are claiming right now, and wait for none of them."""

from collections.abc import Callable

import pytest

from referral import actions
from referral.campaigns.content import CampaignContent
from referral.deployment import Deployment
from referral.product_links import Target
from tests.cast import GTIN, Brand, Person, cast_of, open_brand
from tests.races import waiting

PAGE = Target("gs1:pip", "https://tea.example/", "The tea", "en", "text/html", is_default=True)


def edit_content(brand: Brand) -> object:
    content = CampaignContent(title="Spring for two")
    return actions.edit_content(brand.deployment, "spring", lambda _: content)


def set_links(brand: Brand) -> object:
    return actions.set_product_links(brand.deployment, GTIN, [PAGE])


@pytest.mark.parametrize("change", [edit_content, set_links])
def test_a_change_does_not_wait_for_those_who_claim(
    deployment: Deployment, change: Callable[[Brand], object]
) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.sign_in()

    def claim_and_rate(who: Person) -> None:
        claimed = who.claim(0)
        actions.rate(deployment, claimed.claim.id, who.customer, score=5)

    waits = waiting(deployment.db, lambda _: claim_and_rate(bob), lambda: change(brand))
    assert waits == [False]
