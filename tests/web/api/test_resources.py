"""Every resource of the API: what goes in, what comes out."""

from referral.links import Channel, visitor_name
from tests.web.api.conftest import PRODUCT, problem

RULES = [
    {"when": "claim", "for": "person", "amount": 20},
    {"when": "referred_first_claim", "for": "both", "amount": 50},
]


def test_from_a_product_to_the_tree(api):
    api.made("/products", PRODUCT)
    batch = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 100, "name": "first"})
    api.made(f"/batches/{batch['id']}/activate", {"start": 0, "end": 50})
    api.made("/campaigns", {"slug": "spring", "title": "Spring", "rules": RULES, "budget": 1000})
    assert api.made("/campaigns/spring/publish")["state"] == "published"
    urls = [c["url"] for c in api.get(f"/batches/{batch['id']}/codes?count=2").json["items"]]
    ann, bo = api.customer("ann"), api.customer("bo")

    api.made("/claims", {"url": urls[0], "customer_id": ann})
    claimed = api.made("/claims", {"url": urls[1], "customer_id": bo, "via": api.token(ann)})

    assert claimed["referrer_id"] == ann
    assert claimed["via"] == "accepted"
    shown = [(each["customer_id"], each["amount"], each["state"]) for each in claimed["rewards"]]
    assert shown == [(bo, 20, "pending"), (bo, 50, "pending"), (ann, 50, "pending")]
    profile = api.get(f"/customers/{bo}").json
    assert profile["referrer_id"] == ann
    assert profile["balances"] == {"points": {"available": 0, "pending": 70}}
    tree = api.get(f"/customers/{ann}/tree").json
    assert (tree["id"], tree["direct"], tree["total"]) == (ann, 1, 1)
    assert [child["id"] for child in tree["children"]] == [bo]
    metrics = api.get("/campaigns/spring/metrics").json
    assert (metrics["claims"], metrics["new_customers"], metrics["referred_customers"]) == (2, 2, 1)
    assert (metrics["cost"], metrics["budget_left"]) == (140, 860)
    edge = api.get("/campaigns/spring/spread").json["items"][0]
    assert (edge["hop"], edge["channel"]) == (1, "copy")


# Products


def test_a_product_is_kept_under_its_gtin_14(api):
    response = api.post("/products", {**PRODUCT, "gtin": "6901234567892"})
    assert response.status_code == 201
    expected = {**PRODUCT, "labels": "single", "created_at": "2026-03-02T09:30:00Z"}
    assert response.json == expected
    assert response.headers["Cache-Control"] == "no-store"
    assert problem(api.post("/products", PRODUCT)) == (409, "product-exists")


def test_a_wrong_digit_in_a_gtin_is_refused(api):
    assert problem(api.post("/products", {**PRODUCT, "gtin": "06901234567893"})) == (
        400,
        "bad-gtin",
    )


def test_a_name_is_one_line_that_can_be_seen(api):
    name = "  Cold\nBrew\u202e\tTea \x1b "
    assert api.made("/products", {**PRODUCT, "name": name})["name"] == "Cold Brew Tea"
    refused = api.post("/products", {**PRODUCT, "name": " \u200b "})
    assert problem(refused) == (422, "invalid-input")
    assert refused.json["errors"][0]["field"] == "name"


# Campaigns


def test_a_campaign_is_answered_as_it_was_sent(api, brand):
    sent = {
        "slug": "autumn-2026",
        "title": "秋天一起喝",
        "content": {"zh-Hans": {"title": "秋天", "body": "一起喝。", "share_text": "来一瓶 🍵"}},
        "rules": [{"when": "claim", "for": "person", "what": "points", "amount": 20}],
        "budget": 5000,
        "budgets": {"CNY": 900},
        "gtins": ["6901234567892"],
        "picture": None,
        "more_pictures": [],
        "video_url": None,
        "landing": "page",
        "buy_url": "https://shop.example/tea",
        "organiser": "Tea Ltd.",
        "starts_at": "2026-09-01T00:00:00+08:00",
        "ends_at": "2026-10-01T00:00:00+08:00",
        "hold_days": 14,
        "lasts_days": 200,
        "window_days": 60,
        "touch": "last",
        "market": "CN",
        "permit": "",
        "keep_months": 13,
        "audience": None,
    }
    response = api.post("/campaigns", sent)
    assert response.status_code == 201
    expected = {
        **sent,
        "findings": [],
        "currency": None,
        "gtins": ["06901234567892"],
        "starts_at": "2026-08-31T16:00:00Z",
        "ends_at": "2026-09-30T16:00:00Z",
        "state": "draft",
        "created_at": "2026-03-02T09:30:00Z",
    }
    assert response.json == expected
    assert api.get("/campaigns/autumn-2026").json == expected
    listed = api.get("/campaigns").json
    assert [campaign["slug"] for campaign in listed["items"]] == ["spring", "autumn-2026"]
    assert listed["next"] is None
    assert problem(api.post("/campaigns", sent)) == (409, "campaign-exists")


def test_a_campaign_that_would_pay_too_much_cannot_be_published(api, brand):
    draft = {"title": "T", "budget": 10_000, "rules": RULES}
    api.made("/campaigns", {**draft, "slug": "dear", "rules": [{**RULES[0], "amount": 401}]})
    api.made("/campaigns", {**draft, "slug": "empty", "rules": []})
    api.made("/campaigns", {**draft, "slug": "nothing", "gtins": ["6900000000007"]})
    past = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-02-01T00:00:00Z"}
    api.made("/campaigns", {**draft, "slug": "past", **past})
    refused = api.post("/campaigns/dear/publish")
    assert problem(refused) == (422, "payout-over-bound")
    assert (refused.json["payout"], refused.json["bound"]) == (401, 400)
    assert problem(api.post("/campaigns/empty/publish")) == (422, "no-rules")
    assert problem(api.post("/campaigns/nothing/publish")) == (422, "no-products")
    assert problem(api.post("/campaigns/past/publish")) == (409, "campaign-over")
    assert problem(api.post("/campaigns/spring/publish")) == (409, "already-published")
    assert problem(api.post("/campaigns/none/publish")) == (404, "unknown-campaign")
    assert problem(api.get("/campaigns/none")) == (404, "unknown-campaign")


def test_a_campaign_that_ends_before_it_starts_is_refused(api):
    draft = {"slug": "late", "title": "T", "budget": 100, "rules": RULES}
    before_now = {**draft, "ends_at": "2026-01-01T00:00:00Z"}
    assert problem(api.post("/campaigns", before_now)) == (422, "ends-too-early")
    dates = {"starts_at": "2026-05-02T00:00:00Z", "ends_at": "2026-05-01T00:00:00Z"}
    assert problem(api.post("/campaigns", {**draft, **dates})) == (422, "invalid-input")
    for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-05-02T00:00:00"):
        refused = api.post("/campaigns", {**draft, "starts_at": moment})
        assert problem(refused) == (422, "invalid-input")


def test_two_wrong_fields_are_named_both(api):
    rule = {"when": "claim", "for": "person", "amount": "20"}
    refused = api.post("/campaigns", {"slug": "No!", "title": "T", "budget": 5, "rules": [rule]})
    assert problem(refused) == (422, "invalid-input")
    assert {error["field"] for error in refused.json["errors"]} == {"slug", "rules.0.amount"}


# Customers


def test_a_customer_is_found_by_any_identity(api):
    response = api.post("/customers", {"external_id": "m-1", "name": "小美 🍵"})
    assert response.status_code == 201
    customer = response.json
    assert customer == {
        "id": customer["id"],
        "name": "小美 🍵",
        "created_at": "2026-03-02T09:30:00Z",
        "referrer_id": None,
        "referred": 0,
        "reached": 0,
        "claims": 0,
        "balances": {"points": {"available": 0, "pending": 0}},
    }
    again = api.post(
        "/customers", {"external_id": "m-1", "phone": "138 0013 8000", "name": "Somebody else"}
    )
    assert (again.status_code, again.json) == (200, customer)
    by_phone = api.post("/customers", {"phone": "+8613800138000", "email": "May@Example.com"})
    assert (by_phone.status_code, by_phone.json["id"]) == (200, customer["id"])
    assert api.post("/customers", {"email": "may@example.com"}).json["id"] == customer["id"]
    assert api.get(f"/customers/{customer['id']}").json == customer


def test_identities_of_two_people_are_refused(api):
    api.made("/customers", {"external_id": "m-1"})
    api.made("/customers", {"email": "bo@example.com"})
    both = {"external_id": "m-1", "email": "bo@example.com"}
    assert problem(api.post("/customers", both)) == (409, "customer-exists")


def test_a_customer_needs_an_identity_that_can_be_one(api):
    for body in (None, {}, {"name": "Ann"}, {"external_id": None}):
        assert problem(api.post("/customers", body)) == (422, "invalid-input")
    for body in ({"phone": "12"}, {"email": "@"}, {"external_id": "1", "phone": ""}):
        refused = api.post("/customers", body)
        assert problem(refused) == (422, "bad-contact")
        assert refused.json["errors"][0]["field"] == list(body)[-1]
    for name in ("", "  ", "x" * 4000):
        assert problem(api.post("/customers", {"external_id": "1", "name": name})) == (
            422,
            "bad-name",
        )
    assert problem(api.get("/customers/1")) == (404, "unknown-customer")


def test_a_tree_is_as_deep_and_wide_as_asked_for(api, brand):
    people = [api.customer(f"m-{number}") for number in range(5)]
    top, middle, *_ = people
    parents = {middle: top, people[2]: top, people[3]: middle, people[4]: middle}
    for number, customer in enumerate(people):
        via = {"via": api.token(parents[customer])} if customer in parents else {}
        body = {"url": brand.path(number), "customer_id": customer, **via}
        api.made("/claims", body)
    tree = api.get(f"/customers/{top}/tree?depth=1&limit=1").json
    assert (tree["direct"], tree["total"], len(tree["children"])) == (2, 4, 1)
    branch = tree["children"][0]
    assert (branch["id"], branch["direct"], branch["total"]) == (middle, 2, 2)
    assert branch["children"] == []
    assert branch["referred_at"] == "2026-03-02T09:30:00Z"
    tree = api.get(f"/customers/{top}/tree").json
    assert [child["id"] for child in tree["children"]] == [middle, people[2]]
    assert [child["id"] for child in tree["children"][0]["children"]] == people[3:]
    assert api.get(f"/customers/{top}/tree?depth=0").json["children"] == []
    assert api.get(f"/customers/{top}/tree?depth=999&limit=999").status_code == 200
    assert problem(api.get("/customers/999/tree")) == (404, "unknown-customer")
    assert problem(api.get(f"/customers/{top}/tree?depth=many")) == (422, "invalid-input")


# Links


def test_a_link_carries_campaign_customer_and_channel(api, brand, deployment):
    ann = api.customer("ann")
    response = api.post("/links", {"campaign": "spring", "customer_id": ann, "channel": "wechat"})
    assert response.status_code == 201
    made = response.json
    assert made["url"] == f"http://localhost/s/{made['token']}"
    link = deployment.links.read(made["token"])
    assert (link.campaign, link.customer, link.hop) == (brand.campaign.id, ann, 0)
    assert link.channel is Channel.wechat
    assert deployment.links.read(api.token(ann)).visitor == link.visitor
    plain = api.made("/links", {"campaign": "spring", "customer_id": ann})
    assert deployment.links.read(plain["token"]).channel is Channel.unknown


def test_a_link_needs_what_it_is_for(api, brand):
    ann = api.customer("ann")
    link = {"campaign": "spring", "customer_id": ann}
    assert problem(api.post("/links", {**link, "campaign": "none"})) == (404, "unknown-campaign")
    assert problem(api.post("/links", {**link, "customer_id": 99})) == (404, "unknown-customer")
    assert problem(api.post("/links", {**link, "channel": "pigeon"})) == (422, "invalid-input")


# Figures


def test_metrics_are_integers(api, brand):
    metrics = api.get("/campaigns/spring/metrics").json
    wanted = "fetches opens engagements visitors shares scans claims new_customers cost budget_left"
    of_orders = {"orders", "order_amount", "refunded_amount"}
    assert {*wanted.split(), "referred_customers"} | of_orders == set(metrics)
    assert all(type(value) is int for value in metrics.values())
    assert problem(api.get("/campaigns/none/metrics")) == (404, "unknown-campaign")


def test_the_spread_comes_in_pages(api, brand):
    ann = api.customer("ann")
    token = api.token(ann)
    for number in range(5):
        body = {"url": brand.path(number), "customer_id": api.customer(f"m-{number}")}
        api.made("/claims", {**body, "via": token})
    edges, after = [], ""
    for _ in range(3):
        page = api.get(f"/campaigns/spring/spread?limit=2{after}").json
        edges += page["items"]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert len({edge["child"] for edge in edges}) == 5
    assert len({edge["parent"] for edge in edges}) == 1
    assert set(edges[0]) == {"parent", "child", "hop", "channel", "at"}
    assert problem(api.get("/campaigns/none/spread")) == (404, "unknown-campaign")
    for cursor in ("x", "~~~~", "%00", visitor_name(2**64 - 1)):
        refused = api.get(f"/campaigns/spring/spread?after={cursor}")
        assert problem(refused) == (422, "invalid-input")
