"""For how long a campaign's visits are kept, in the console."""

from referral import actions
from referral.audit import of_subject
from referral.campaigns import campaign_by_slug
from referral.deployment import Deployment
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, text

SPRING = "/staff/campaigns/spring"
KEEPING = f"{SPRING}/keeping"


def keep_months(deployment: Deployment, slug: str = "spring") -> int | None:
    with deployment.db.read() as tx:
        return campaign_by_slug(tx, slug).keep_months


def test_it_is_changed_on_the_page_of_a_campaign_that_runs(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(SPRING)
    assert "All visits are kept." in text(owner)
    assert "They are dropped" not in text(owner)
    answer = owner.send(KEEPING, keep_months="1")
    assert (answer.status_code, answer.location) == (303, SPRING)
    owner.get(SPRING)
    assert "Kept. What is older is dropped within the hour." in text(owner)
    assert "dropped when their month is more than 1 month behind" in text(owner)
    assert 'name="keep_months" type="text" value="1"' in owner.page
    with deployment.db.read() as tx:
        assert of_subject(tx, "campaign:1")[-1].by == "olga@brand.example"
    assert owner.send(KEEPING, keep_months="").status_code == 303
    assert keep_months(deployment) is None


def test_since_when_is_told(brand: Brand, owner: Reader, deployment: Deployment) -> None:
    actions.keep_visits(deployment, "spring", 2, by="tests")
    actions.drop_visits(deployment)
    owner.get(SPRING)
    assert "Visits are kept since 1 January 2026." in text(owner)
    assert "more than 2 months behind" in text(owner)


def test_what_is_no_number_of_months_is_told_beside_the_field(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(SPRING)
    for wrong in ("0", "121", "a year", "9" * 400):
        answer = owner.send(KEEPING, keep_months=wrong)
        assert answer.status_code == 422
        assert 'id="keep_months-error"' in owner.page
        assert f'value="{wrong}"' in owner.page
    assert keep_months(deployment) is None


def test_who_may_only_look_sees_it_and_changes_nothing(
    brand: Brand, analyst: Reader, deployment: Deployment
) -> None:
    analyst.get(SPRING)
    assert "All visits are kept." in text(analyst)
    assert "keep_months" not in analyst.page
    assert analyst.send(KEEPING, keep_months="1").status_code == 403
    assert keep_months(deployment) is None


def test_a_draft_has_it_in_its_form(brand: Brand, owner: Reader, deployment: Deployment) -> None:
    owner.get("/staff/new-campaign")
    assert owner.send("/staff/new-campaign", **CAMPAIGN, keep_months="24").status_code == 303
    assert keep_months(deployment, "autumn") == 24
    owner.get("/staff/campaigns/autumn/edit")
    assert 'name="keep_months" type="text" value="24"' in owner.page
    edited = {**CAMPAIGN, "keep_months": "121"}
    assert owner.send("/staff/campaigns/autumn/edit", **edited).status_code == 422
    assert 'id="keep_months-error"' in owner.page
    edited["keep_months"] = ""
    assert owner.send("/staff/campaigns/autumn/edit", **edited).status_code == 303
    assert keep_months(deployment, "autumn") is None
