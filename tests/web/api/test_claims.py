"""POST /claims: the proof of purchase, reported by a system of the brand's."""

import threading
from datetime import date, timedelta

from referral import actions, guessing
from referral.batches import BatchDirectory
from referral.codes import Label, Labels
from referral.links import Channel, Link, visitor_name
from referral.people import new_visitor_id
from referral.ranges import RangeState
from tests.conftest import START
from tests.web.api.conftest import Api, problem

OTHER = "06900000000007"


def claim(api: Api, customer: int, **sent: str):
    return api.post("/claims", {"customer_id": customer, **sent})


def code_of(brand, index: int) -> str:
    return brand.deployment.codes.encode(brand.batch, index).text


def test_a_claim_says_what_it_brought(api, brand):
    ann = api.customer("ann")
    response = claim(api, ann, url=f"https://brand.example{brand.path(3)}?utm=x#top")
    assert response.status_code == 201
    made = response.json
    assert made == {
        "claim": {
            "id": made["claim"]["id"],
            "gtin": brand.product.gtin,
            "code": code_of(brand, 3),
            "customer_id": ann,
            "campaign": "spring",
            "claimed_at": "2026-03-02T09:30:00Z",
            "already": False,
        },
        "rewards": [
            {
                "customer_id": ann,
                "rule": "claim:person:points",
                "unit": "points",
                "amount": 20,
                "state": "available",
                "available_at": "2026-03-02T09:30:00Z",
            }
        ],
        "referrer_id": None,
        "budget_spent": False,
        "via": None,
        "via_reason": None,
    }
    again = claim(api, ann, code=code_of(brand, 3))
    assert again.status_code == 200
    assert again.json == {**made, "claim": {**made["claim"], "already": True}}
    assert api.get(f"/customers/{ann}").json["balances"]["points"]["available"] == 20


def test_a_code_may_be_typed_carelessly(api, brand):
    ann, code = api.customer("ann"), code_of(brand, 3)
    typed = "-".join(code[at : at + 4] for at in range(0, 16, 4)).lower().replace("0", "o")
    assert claim(api, ann, code=f" {typed} ").json["claim"]["code"] == code


def test_somebody_elses_code_is_refused(api, brand):
    assert claim(api, api.customer("ann"), url=brand.path(3)).status_code == 201
    refused = claim(api, api.customer("bo"), url=brand.path(3))
    assert problem(refused) == (409, "already-claimed")


def test_codes_that_cannot_be_claimed(api, brand):
    ann, code, gtin = api.customer("ann"), code_of(brand, 3), brand.product.gtin
    for index, state in ((7, RangeState.voided), (8, RangeState.recalled)):
        actions.set_range(
            brand.deployment, brand.batch.id, state, start=index, end=index + 1, by="tests"
        )
    over = {"expires_on": date(2026, 3, 1)}
    actions.assign_range(brand.deployment, brand.batch.id, over, start=9, end=10, by="tests")
    api.made("/products", {"gtin": OTHER, "name": "T", "price": 100, "currency": "CNY"})
    altered = code[:-1] + ("A" if code[-1] != "A" else "B")
    cases = [
        ({"url": brand.path(500)}, (409, "not-activated")),
        ({"url": brand.path(7)}, (409, "voided")),
        ({"url": brand.path(8)}, (409, "recalled")),
        ({"url": brand.path(9)}, (409, "expired")),
        ({"code": altered}, (404, "unknown-code")),
        ({"url": f"/01/{gtin}/21/{altered}"}, (404, "unknown-code")),
        ({"code": code[:-1]}, (400, "mistyped-code")),
        ({"code": ""}, (400, "mistyped-code")),
        ({"code": "x" * 2000}, (400, "mistyped-code")),
        ({"url": f"/01/{gtin[:-1]}{int(gtin[-1]) ^ 1}/21/{code}"}, (400, "bad-gtin")),
        ({"url": f"/01/{OTHER}/21/{code}"}, (404, "wrong-product")),
        ({"url": "https://brand.example/"}, (422, "invalid-input")),
        ({"url": "https://[brand.example/01/1/21/2"}, (422, "invalid-input")),
        ({"url": brand.path(3), "code": code}, (422, "invalid-input")),
        ({}, (422, "invalid-input")),
    ]
    for sent, expected in cases:
        assert problem(claim(api, ann, **sent)) == expected, sent
    assert problem(claim(api, 999, code=code)) == (404, "unknown-customer")
    assert brand.metrics().claims == 0


def test_the_code_on_the_outside_claims_nothing(api, brand, deployment):
    actions.set_labels(deployment, brand.product.gtin, Labels.pair)
    order = {"gtin": brand.product.gtin, "count": 5, "name": "pairs"}
    made = api.made("/batches", order)
    api.made(f"/batches/{made['id']}/activate")
    batch, ann = deployment.directory.batch(made["id"]), api.customer("ann")
    outer = deployment.codes.encode(batch, 1, Label.outer).text
    assert problem(claim(api, ann, code=outer)) == (409, "outer-code")
    assert claim(api, ann, code=deployment.codes.encode(batch, 1).text).status_code == 201


def test_wrong_codes_count_against_the_customer(api, brand, deployment):
    ann, bo = api.customer("ann"), api.customer("bo")
    code = code_of(brand, 3)
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    for _ in range(guessing.BY_CUSTOMER.times):
        assert problem(claim(api, ann, code=wrong)) == (404, "unknown-code")
    refused = claim(api, ann, code=code)
    assert problem(refused) == (429, "checking-paused")
    assert int(refused.headers["Retry-After"]) > 0
    assert claim(api, bo, code=code).status_code == 201
    assert deployment.misses.flush() == guessing.BY_CUSTOMER.times


def test_a_code_of_a_batch_another_process_has_just_issued(api, brand, deployment, monkeypatch):
    ann = api.customer("ann")
    deployment.directory.forget()
    deployment.directory.batch(brand.batch.id)  # read just now, and kept for a while
    with monkeypatch.context() as patch:
        patch.setattr(BatchDirectory, "forget", lambda self: None)
        later = actions.issue_batch(
            deployment, gtin=brand.product.gtin, count=10, name="later", by="elsewhere"
        )
    actions.set_range(deployment, later.id, RangeState.activated, by="elsewhere")
    code = deployment.codes.encode(later, 0).text
    assert claim(api, ann, code=code).status_code == 201


def test_a_promise_that_the_budget_cannot_keep_is_said(api, brand):
    rule = {"when": "claim", "for": "person", "amount": 60}
    api.made("/campaigns", {"slug": "small", "title": "T", "budget": 100, "rules": [rule]})
    brand.deployment.clock.advance(seconds=1)
    draft = {"slug": "newer", "title": "T", "budget": 100, "rules": [rule]}
    api.made("/campaigns", draft)
    api.made("/campaigns/newer/publish")
    ann = api.customer("ann")
    first = claim(api, ann, url=brand.path(1)).json
    assert (first["claim"]["campaign"], first["budget_spent"]) == ("newer", False)
    second = claim(api, ann, url=brand.path(2)).json
    assert (second["rewards"], second["budget_spent"]) == ([], True)


# The link that brought the customer


def test_a_link_through_somebody_anonymous_credits_its_customer(api, brand, deployment):
    ann, bo = api.customer("ann"), api.customer("bo")
    own = deployment.links.read(api.token(ann))
    stranger = new_visitor_id()
    forward = Link(brand.campaign.id, stranger, ann, own.hop + 1, Channel.address)
    claimed = claim(api, bo, url=brand.path(1), via=deployment.links.token(forward)).json
    assert (claimed["referrer_id"], claimed["via"]) == (ann, "accepted")
    edges = api.get("/campaigns/spring/spread").json["items"]
    assert (visitor_name(stranger), 2) in [(edge["parent"], edge["hop"]) for edge in edges]


def test_a_link_that_credits_nobody_leaves_the_claim_standing(api, brand, deployment):
    links, now = deployment.links, START
    ann = api.customer("ann")
    token = api.token(ann)
    visitor = links.read(token).visitor
    over = {"slug": "over", "title": "T", "budget": 100, "starts_at": now.isoformat()}
    api.made("/campaigns", {**over, "ends_at": (now + timedelta(seconds=1)).isoformat()})
    over_id = 2
    campaign = brand.campaign.id
    cases = {
        "altered": [token[:-1], "x" + token[1:], "", "x" * 1000, "令牌"],
        "unknown-campaign": [links.token(Link(999, 5, ann))],
        "campaign-not-running": [links.token(Link(over_id, 5, ann))],
        "unknown-sharer": [links.token(Link(campaign, 5, 999))],
    }
    index = 0
    for reason, tokens in cases.items():
        for via in tokens:
            index += 1
            claimed = claim(api, api.customer(f"m-{index}"), url=brand.path(index), via=via)
            assert claimed.status_code == 201
            assert (claimed.json["via"], claimed.json["via_reason"]) == ("ignored", reason)
            assert claimed.json["referrer_id"] is None
    for own in (token, links.token(Link(campaign, visitor)), links.token(Link(campaign, 5, ann))):
        index += 1
        claimed = claim(api, ann, url=brand.path(index), via=own).json
        assert (claimed["via_reason"], claimed["referrer_id"]) == ("own-link", None)
    assert api.get("/campaigns/spring/spread").json["items"] == []


def test_a_link_after_the_claim_changes_nothing(api, brand):
    ann, bo = api.customer("ann"), api.customer("bo")
    api.made("/claims", {"url": brand.path(1), "customer_id": bo})
    again = claim(api, bo, url=brand.path(1), via=api.token(ann)).json
    assert (again["via"], again["via_reason"]) == ("ignored", "already-claimed")
    second = claim(api, bo, url=brand.path(2), via=api.token(ann)).json
    assert (second["via"], second["referrer_id"]) == ("accepted", None)


def test_of_many_at_once_one_gets_the_code(api, brand):
    customers = [api.customer(f"m-{number}") for number in range(8)]
    start, answers = threading.Barrier(len(customers)), []

    def run(customer: int) -> None:
        start.wait()
        answers.append(claim(api, customer, url=brand.path(1)))

    threads = [threading.Thread(target=run, args=[customer]) for customer in customers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == len(customers) - 1
    assert {problem(answer) for answer in refused} == {(409, "already-claimed")}
    assert brand.metrics().cost == 20


def test_after_a_merge_a_claim_names_the_kept_one(api, brand):
    ann, kept = api.customer("ann"), api.customer("kept")
    claim(api, ann, code=code_of(brand, 3))
    api.post(f"/customers/{kept}/merge", {"other_id": ann, "reason": "one", "keep": kept})
    for asked in (ann, kept):
        again = claim(api, asked, code=code_of(brand, 3)).json
        assert again["claim"]["customer_id"] == kept
        assert [each["customer_id"] for each in again["rewards"]] == [kept]
