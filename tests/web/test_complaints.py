"""Telling that something is wrong with a package: who may, once, with what, and the way back."""

import io
import re
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, expect
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from referral import actions, complaints
from referral.audit import AuditEntry
from referral.clock import HeldClock
from referral.complaints import (
    REPLY_TIME,
    TEXT_LENGTH_MAX,
    Complaint,
    ComplaintMessage,
    ComplaintPicture,
    State,
)
from referral.deployment import Deployment
from referral.staff import Role, StaffMember, staff_by_email
from referral.web.security import SESSION_COOKIE
from tests.conftest import Contexts
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import add_member, text

NEW = "/me/complaints/new"


@pytest.fixture
def sam(deployment: Deployment) -> StaffMember:
    """Supports customers."""
    add_member(deployment, "sam", Role.support)
    with deployment.db.read() as tx:
        found = staff_by_email(tx, "sam@brand.example")
    assert found is not None
    return found


@pytest.fixture
def alice_here(brand: Brand, alice: Reader) -> Reader:
    """Alice, signed in, who has claimed package 1."""
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    return alice


def kept(d: Deployment, model: type[Complaint] | type[ComplaintMessage]) -> int:
    with d.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model)) or 0


def form_of(reader: Reader, address: str = NEW) -> dict[str, str]:
    reader.get(address)
    found = re.search(r'name="key" value="(\w+)"', reader.page)
    assert found, reader.page
    hidden = {"key": found[1]}
    code = re.search(r'name="code" value="(\w+)"', reader.page)
    return {**hidden, "code": code[1]} if code else hidden


def tell(reader: Reader, address: str = NEW, **fields: str) -> str:
    """Send the form, and return where the complaint is to be read."""
    sent = {"kind": "damaged", "text": "The cap was open.", **form_of(reader, address), **fields}
    answer = reader.send(NEW, **sent)
    assert answer.status_code == 303, text(reader)
    return answer.location


def test_every_page_of_a_package_leads_to_the_form(
    brand: Brand, alice_here: Reader, bob: Reader
) -> None:
    code = brand.code(1).text
    assert f"{NEW}?code={code}" in alice_here.page, "the claimed page"
    alice_here.get(brand.path(1))
    assert f"{NEW}?code={code}" in alice_here.page
    alice_here.get("/me")
    assert f'href="{NEW}"' in alice_here.page
    bob.get(brand.path(2))
    answer = bob.get(f"{NEW}?code={brand.code(2).text}")
    assert answer.status_code == 302
    bob.get(answer.location)
    bob.sign_in("bob@example.com", then=f"{NEW}?code={brand.code(2).text}")
    assert "Cold Brew Tea" in text(bob), "back at the form after signing in"


def test_a_complaint_is_kept_encrypted_with_a_number_and_its_package(
    brand: Brand, alice_here: Reader
) -> None:
    where = tell(alice_here, f"{NEW}?code={brand.code(1).text}")
    assert where == "/me/complaints/1"
    alice_here.get(where)
    said = text(alice_here)
    assert "We are looking into it" in said
    assert "No. 1" in said
    assert "The cap was open." in said
    alice_here.get("/me")
    assert "What you told us" in text(alice_here)
    assert where in alice_here.page
    with brand.deployment.db.read() as tx:
        found = tx.get_one(Complaint, 1)
        assert (found.batch_id, found.code_index) == (brand.batch.id, 1)
        assert found.product_id == brand.product.id
        stored = tx.scalar(select(ComplaintMessage.text_encrypted))
        notes = tx.scalars(select(AuditEntry).where(AuditEntry.subject == "complaint:1")).all()
    assert stored is not None
    assert "cap" not in stored
    assert [each.action for each in notes] == ["complaint opened"]
    assert "cap" not in str(notes[0].details)


def test_one_of_her_packages_is_chosen_and_no_other(
    brand: Brand, alice_here: Reader, bob: Reader
) -> None:
    bob.sign_in("bob@example.com")
    alice_here.get(NEW)
    assert "Which package?" in text(alice_here)
    tell(alice_here, claim="1")
    with brand.deployment.db.read() as tx:
        assert tx.get_one(Complaint, 1).code_index == 1
    sent = {"kind": "taste", "text": "Not mine", **form_of(bob), "claim": "1"}
    assert bob.send(NEW, **sent).status_code == 404, "somebody else's"
    assert kept(brand.deployment, Complaint) == 1


def test_without_a_package_it_is_a_complaint_too(brand: Brand, bob: Reader) -> None:
    bob.sign_in("bob@example.com")
    tell(bob, kind="delivery")
    with brand.deployment.db.read() as tx:
        assert tx.get_one(Complaint, 1).product_id is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": ""}, "choose what it is about"),
        ({"kind": "witchcraft"}, "choose what it is about"),
        ({"text": "   \n "}, "Please say in a few words what is wrong."),
        ({"text": "x" * (TEXT_LENGTH_MAX + 1)}, "Please say in a few words what is wrong."),
        ({"claim": "one"}, "Please choose one of these."),
    ],
)
def test_what_is_missing_is_said_and_nothing_typed_is_lost(
    brand: Brand, alice_here: Reader, fields: dict[str, str], words: str
) -> None:
    sent = {"kind": "damaged", "text": "Broken.", **form_of(alice_here), **fields}
    assert alice_here.send(NEW, **sent).status_code == 422
    assert words in text(alice_here)
    if sent["text"].strip():
        assert sent["text"] in alice_here.page
    assert kept(brand.deployment, Complaint) == 0


def test_a_code_that_is_none_of_ours_is_said(alice_here: Reader) -> None:
    assert alice_here.get(f"{NEW}?code=0123456789").status_code == 200
    assert "Which package?" in text(alice_here)
    sent = {**form_of(alice_here), "kind": "other", "text": "Hm.", "code": "0123456789"}
    assert alice_here.send(NEW, **sent).status_code == 422
    assert "Hm." in alice_here.page


def test_a_form_sent_twice_is_one_complaint(brand: Brand, alice_here: Reader) -> None:
    sent = {"kind": "damaged", "text": "Broken.", **form_of(alice_here)}
    token = alice_here.form_token()
    first, second = (alice_here.post(NEW, {"csrf_token": token, **sent}) for _ in range(2))
    assert first.location == second.location
    assert kept(brand.deployment, Complaint) == 1
    assert kept(brand.deployment, ComplaintMessage) == 1


def test_a_forged_form_is_refused(brand: Brand, alice_here: Reader) -> None:
    sent = {"kind": "damaged", "text": "Broken.", **form_of(alice_here)}
    assert alice_here.post(NEW, sent).status_code == 400
    assert kept(brand.deployment, Complaint) == 0


def photo(side: int = 600, *, filled: int = 0) -> FileStorage:
    """A photo; with `filled`, so many bytes more."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "brown").save(buffer, "JPEG")
    buffer.write(b"\0" * filled)
    buffer.seek(0)
    return FileStorage(buffer, filename="cap.jpg", content_type="image/jpeg")


def test_a_photo_is_made_anew_encrypted_and_for_staff_only(
    brand: Brand, alice_here: Reader, bob: Reader, app: object, sam: StaffMember
) -> None:
    fields = {"kind": "damaged", "text": "Look.", **form_of(alice_here)}
    fields["csrf_token"] = alice_here.form_token()
    assert alice_here.post_file(NEW, fields, picture=photo()).status_code == 303
    with brand.deployment.db.read() as tx:
        stored = tx.scalar(select(ComplaintPicture.data_encrypted))
    assert stored is not None
    assert not stored.startswith("/9j/")
    alice_here.get("/me/complaints/1")
    assert "With a photo." in text(alice_here)
    assert alice_here.get("/staff/complaints/1/picture").status_code == 303, "to sign in"
    reader = Reader(app)  # type: ignore[arg-type]
    reader.get("/staff/sign-in")
    signed = {"email": "sam@brand.example", "password": "four ordinary words here"}
    reader.send("/staff/sign-in", **signed, next="/staff/")
    shown = reader.get("/staff/complaints/1/picture")
    assert shown.status_code == 200
    assert shown.data.startswith(b"\xff\xd8")
    assert "no-store" in shown.headers["Cache-Control"]
    assert reader.get("/staff/complaints/2/picture").status_code == 404


def test_what_is_no_photo_is_said(brand: Brand, alice_here: Reader) -> None:
    fields = {"kind": "damaged", "text": "Look.", **form_of(alice_here)}
    fields["csrf_token"] = alice_here.form_token()
    file = FileStorage(io.BytesIO(b"GIF89a"), filename="x.gif")
    assert alice_here.post_file(NEW, fields, picture=file).status_code == 422
    assert "no picture that can be read" in text(alice_here)
    assert kept(brand.deployment, Complaint) == 0


def tell_with(reader: Reader, picture: FileStorage) -> TestResponse:
    """Send the form with a photo."""
    fields = {"kind": "taste", "text": "It smells of <soap>.", **form_of(reader)}
    fields["csrf_token"] = reader.form_token()
    return reader.post_file(NEW, fields, picture=picture)


@pytest.mark.parametrize("megabytes", [2, 7])
def test_a_photo_as_large_as_phones_make_them_is_taken(
    brand: Brand, alice_here: Reader, megabytes: int
) -> None:
    answered = tell_with(alice_here, photo(filled=megabytes * 1_000_000))
    assert answered.status_code == 303, text(alice_here)
    alice_here.get(answered.location)
    assert "With a photo." in text(alice_here)


def test_how_large_a_photo_may_be_is_said_beside_it(alice_here: Reader) -> None:
    alice_here.get(NEW)
    assert "at most 8 MB" in text(alice_here)
    assert 'data-most="8000000" data-too-large="This picture is too large. At most' in (
        alice_here.page
    )


@pytest.mark.parametrize("side", [100, 300])
def test_evidence_may_be_small(brand: Brand, alice_here: Reader, side: int) -> None:
    assert tell_with(alice_here, photo(side)).status_code == 303, text(alice_here)
    with brand.deployment.db.read() as tx:
        assert tx.scalar(select(ComplaintPicture.width)) == side


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda: photo(99), "It needs 100 pixels on its shorter side"),
        (lambda: photo(filled=8_000_000), "At most 8 MB and 25 megapixels are taken."),
    ],
    ids=["small", "large"],
)
def test_with_a_photo_that_is_refused_nothing_typed_is_lost(
    brand: Brand, alice_here: Reader, picture: Callable[[], FileStorage], words: str
) -> None:
    assert tell_with(alice_here, picture()).status_code == 422
    assert words in text(alice_here)
    assert "posters" not in text(alice_here)
    assert 'id="picture-error"' in alice_here.page
    assert "It smells of &lt;soap&gt;.</textarea>" in alice_here.page
    assert re.search(r'value="taste" required checked', alice_here.page)
    assert kept(brand.deployment, Complaint) == 0


def test_far_too_large_a_photo_is_answered_kindly(brand: Brand, alice_here: Reader) -> None:
    answered = tell_with(alice_here, photo(filled=13_000_000))
    assert answered.status_code == 422
    assert "At most 8 MB" in text(alice_here)
    assert re.search(r"script-src 'nonce-[\w-]{22}'", answered.headers["Content-Security-Policy"])


def test_a_page_of_a_request_too_large_has_a_nonce_of_its_own(alice_here: Reader) -> None:
    token = {"csrf_token": alice_here.form_token()}
    policies = set()
    for _ in range(2):
        answered = alice_here.post("/me/complaints/1", {**token, "text": "x" * 2_000_000})
        assert answered.status_code == 413
        policy = answered.headers["Content-Security-Policy"]
        assert re.search(r"script-src 'nonce-[\w-]{22}'", policy)
        policies.add(policy)
    assert len(policies) == 2


@pytest.mark.browser
def test_in_a_browser_too_large_a_photo_is_said_before_it_is_sent(
    alice_here: Reader, site: str, phone: Contexts
) -> None:
    context = phone("en")
    session = alice_here.cookie(SESSION_COOKIE) or ""
    context.add_cookies([{"name": SESSION_COOKIE, "value": session, "url": site}])
    page = context.new_page()
    page.goto(site + NEW)
    page.get_by_label("Smell, taste or look").check()
    page.get_by_label("What happened?").fill("It smells of soap.")
    field, said = page.get_by_label("A photo"), "field => field.validationMessage"
    field.set_input_files(file_for_browser(filled=8_000_000))
    assert "At most 8 MB" in field.evaluate(said)
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(site + NEW)
    expect(page.get_by_label("What happened?")).to_have_value("It smells of soap.")
    field.set_input_files(file_for_browser(filled=7_000_000))
    assert field.evaluate(said) == ""
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("With a photo.")).to_be_visible()


def file_for_browser(*, filled: int) -> FilePayload:
    data = photo(filled=filled).read()
    return {"name": "cap.jpg", "mimeType": "image/jpeg", "buffer": data}


def test_so_many_complaints_a_day_and_no_more(brand: Brand, alice_here: Reader) -> None:
    for _ in range(10):
        tell(alice_here)
    sent = {"kind": "damaged", "text": "Again.", **form_of(alice_here)}
    assert alice_here.send(NEW, **sent).status_code == 429
    assert kept(brand.deployment, Complaint) == 10


def test_somebody_elses_complaint_is_nobodys_business(
    brand: Brand, alice_here: Reader, bob: Reader
) -> None:
    where = tell(alice_here)
    assert bob.get(where).status_code == 302
    bob.sign_in("bob@example.com")
    assert bob.get(where).status_code == 404
    bob.get("/me")
    assert bob.send(where, text="Mine now").status_code == 404
    assert kept(brand.deployment, ComplaintMessage) == 1


def answer(d: Deployment, member: StaffMember, state: State = State.answered) -> None:
    with d.db.read() as tx:
        seen = complaints.complaint_by_id(tx, 1).step
    actions.answer_complaint(d, 1, member, "We send a new one.", state=state, seen=seen)


def test_she_reads_the_answer_and_writes_back_once(
    brand: Brand, alice_here: Reader, sam: StaffMember
) -> None:
    where = tell(alice_here)
    alice_here.get(where)
    assert "Write back" not in text(alice_here), "it is the brand's turn"
    answer(brand.deployment, sam)
    alice_here.get(where)
    said = text(alice_here)
    assert "We send a new one." in said
    assert "sam" not in said, "the brand answers, not a name"
    assert alice_here.send(where, text="It has not come.").status_code == 303
    alice_here.get(where)
    assert "It is our turn." in text(alice_here)
    alice_here.get("/me")
    assert alice_here.send(where, text="And?").status_code == 409
    assert kept(brand.deployment, ComplaintMessage) == 3
    answer(brand.deployment, sam, State.waiting)
    alice_here.get(where)
    assert "We have a question for you" in text(alice_here)
    assert alice_here.send(where, text="At the corner shop.").status_code == 303


def test_writing_back_opens_what_was_closed_for_a_while_only(
    brand: Brand, alice_here: Reader, sam: StaffMember, clock: HeldClock
) -> None:
    d, where = brand.deployment, tell(alice_here)
    answer(d, sam, State.closed)
    alice_here.get(where)
    assert alice_here.send(where, text="Not settled.").status_code == 303
    with d.db.read() as tx:
        assert complaints.complaint_by_id(tx, 1).state == State.open
    answer(d, sam, State.closed)
    clock.advance(seconds=REPLY_TIME.total_seconds())
    alice_here.get(where)
    assert "Write back" not in text(alice_here)
    alice_here.get("/me")
    assert alice_here.send(where, text="Still not.").status_code == 409
    with d.db.read() as tx:
        assert complaints.complaint_by_id(tx, 1).state == State.closed


def test_complaints_follow_into_a_merged_page(
    brand: Brand, alice_here: Reader, bob: Reader
) -> None:
    where = tell(alice_here)
    bob.sign_in("bob@example.com")
    actions.merge_customers(brand.deployment, 1, 2, keep=2, by="olga", reason="one person")
    assert bob.get(where).status_code == 200
    bob.get("/me/complaints?after=x")
    assert where in bob.page
