"""Ratings of a product, as the brand's own systems get them."""

from sqlalchemy import select

from referral import actions
from referral.claims import Claim
from tests.web.api.conftest import problem
from tests.web.conftest import Brand


def test_ratings_are_told_with_how_sure_their_mean_is(api, brand: Brand):
    path = f"/products/{brand.product.gtin}/ratings"
    nothing = api.get(path).json
    assert nothing == {"count": 0, "mean": None, "low": None, "high": None} | {
        "scores": {str(score): 0 for score in range(1, 6)}
    }
    customer = api.customer("m-1")
    for index, score in enumerate((5, 5, 2)):
        code = brand.code(index).text
        api.made("/claims", {"code": code, "customer_id": customer})
        with brand.deployment.db.read() as tx:
            claim = tx.scalar(select(Claim.id).where(Claim.index == index))
        actions.rate(brand.deployment, claim, customer, score=score)
    told = api.get(path).json
    assert (told["count"], told["mean"], told["scores"]["5"]) == (3, 4.0, 2)
    assert 1 < told["low"] < 4 < told["high"] < 5


def test_of_what_there_is_not_there_are_no_ratings(api):
    assert problem(api.get("/products/06901234567908/ratings")) == (404, "unknown-product")
    assert api.get("/products/12/ratings").status_code == 400
