"""The catalogue of items: what changes is noted, and what is named exists."""

import pytest

from referral import actions, audit
from referral.deployment import Deployment
from referral.pictures import UnknownPicture
from referral.redemption.items import ItemExists, ItemTerms, NotSoMuchStock
from referral.stores import UnknownStore
from tests.rewarded import add_item, add_store, item, stock


def test_changes_of_price_and_stock_are_noted(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    with pytest.raises(ItemExists):
        add_item(deployment)
    terms = item(price=80).model_dump(exclude={"slug", "stock"})
    changed = actions.revise_item(
        deployment,
        "cup",
        ItemTerms.model_validate(terms),
        change_stock=-4,
        reason="broken",
        by="olga",
    )
    assert (changed.price, changed.stock) == (80, 6)
    with deployment.db.read() as tx:
        notes = audit.of_subject(tx, "item:cup")
    assert [(note.by, note.action) for note in notes] == [
        ("tests", "item added"),
        ("olga", "item changed"),
        ("olga", "item stock"),
    ]
    assert notes[1].details == {"price": {"from": 100, "to": 80}}
    assert notes[2].details == {"by": -4, "to": 6, "reason": "broken"}
    with pytest.raises(NotSoMuchStock):
        actions.revise_item(
            deployment, "cup", ItemTerms.model_validate(terms), change_stock=-7, by="olga"
        )
    assert stock(deployment) == 6


def test_an_item_names_stores_and_pictures_that_there_are(deployment: Deployment) -> None:
    with pytest.raises(UnknownStore):
        add_item(deployment, stores=["nowhere"])
    with pytest.raises(UnknownPicture):
        add_item(deployment, picture="0" * 64)
    add_store(deployment, "east")
    assert add_item(deployment, stores=["east", "east"]).slug == "cup"
