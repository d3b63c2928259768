"""The stores' page: the list with its codes, and the form with its refusals."""

from referral import actions, stores
from referral.deployment import Deployment
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import text

GOOD = {"name": " 广州  East ", "slug": "gz-east", "kind": "distributor", "region": "Guangdong"}


def test_a_store_is_added_and_codes_go_to_it(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/stores")
    assert "No store yet." in text(owner)
    assert owner.send("/staff/stores", **GOOD).status_code == 303
    with brand.deployment.db.read() as tx:
        store = stores.store_by_slug(tx, "gz-east")
    assert (store.name, store.kind, store.region) == ("广州 East", "distributor", "CN-GD")
    actions.assign_range(
        brand.deployment, brand.batch.id, {"store_id": store.id}, start=0, end=300, by="tests"
    )
    owner.get("/staff/stores")
    assert "“广州 East” is added." in text(owner)
    assert "广州 East Distributor · gz-east Guangdong 300 in 1 batch" in text(owner)


def test_a_region_may_be_left_out(owner: Reader, deployment: Deployment) -> None:
    owner.get("/staff/stores")
    assert owner.send("/staff/stores", **{**GOOD, "region": ""}).status_code == 303
    with deployment.db.read() as tx:
        assert stores.store_by_slug(tx, "gz-east").region is None


def test_a_refused_store_keeps_what_was_typed(owner: Reader) -> None:
    for field, value, says in [
        ("name", "", "Please fill this in."),
        ("name", "x" * 121, "at most 120 fit"),
        ("slug", "", "Please fill this in."),
        ("slug", "GZ East", "Use small letters and digits"),
        ("slug", "gz--east", "Use small letters and digits"),
        ("kind", "kiosk", "Please choose one of these."),
        ("region", "Atlantis", "Please give one province or country"),
        ("region", "Japan, China", "Please give one province or country"),
    ]:
        owner.get("/staff/stores")
        answer = owner.send("/staff/stores", **{**GOOD, field: value})
        assert answer.status_code == 422
        assert says in text(owner)
        assert 'value="gz-east"' in owner.page or field == "slug"
        assert "No store yet." in text(owner)


def test_a_short_name_that_is_taken_is_said_at_the_field(owner: Reader) -> None:
    owner.get("/staff/stores")
    owner.send("/staff/stores", **GOOD)
    owner.get("/staff/stores")
    assert owner.send("/staff/stores", **GOOD).status_code == 422
    assert "There is a store with this short name already." in text(owner)
