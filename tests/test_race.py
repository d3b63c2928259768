"""Many people at once, through the running server: one claim a code, one credit, no 5xx."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.claims import Claim
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Touch
from referral.reports import customers
from referral.rewards import Reward
from referral.risk import Mode
from tests.servers import ServiceProcess
from tests.web.conftest import PER_CLAIM, PER_FRIEND, make_brand

CODES, CLAIMANTS = 20, 100
PAIRS = 10
FRIENDS, EACH = 6, 15
TIMEOUT_SECONDS = 60


@pytest.fixture
def now(config: Config) -> Iterator[Deployment]:
    """On the real clock, as the running server is."""
    opened = open_deployment(config)
    yield opened
    opened.db.close()


def pay_for_any_number_of_friends(d: Deployment) -> None:
    """Else the risk rules stop paying for the sixth friend of a day."""
    for rule in ("too_many_in_a_day", "too_many_in_a_month"):
        actions.set_risk_rule(d, rule, Mode.off, by="tests")


def post(url: str, key: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


@pytest.mark.race
def test_a_hundred_claims_of_a_code_at_once_are_one(
    now: Deployment, live_server: Callable[..., ServiceProcess]
) -> None:
    brand, deployment, server = make_brand(now), now, live_server()
    pay_for_any_number_of_friends(now)
    key = actions.add_api_key(deployment, "race")
    sharer, _ = actions.add_customer(deployment, [people.phone("13800138000")], None)
    racers = [
        actions.add_customer(deployment, [people.external(f"racer-{n}")], None)[0]
        for n in range(CLAIMANTS)
    ]
    token = deployment.links.token(actions.make_link(deployment, "spring", sharer, Channel.wechat))
    codes = [deployment.codes.encode(brand.batch, index).text for index in range(CODES)]
    together = threading.Barrier(CLAIMANTS)

    def race(customer: int) -> list[tuple[int, str]]:
        answers = []
        for code in codes:
            together.wait()
            status, body = post(
                f"{server.url}/api/v1/claims",
                key,
                {"code": code, "customer_id": customer, "via": token},
            )
            answers.append((status, str(body.get("type", "")).rpartition("#")[2]))
        return answers

    with ThreadPoolExecutor(CLAIMANTS) as pool:
        outcomes = Counter(answer for answers in pool.map(race, racers) for answer in answers)

    assert outcomes == {(201, ""): CODES, (409, "already-claimed"): CODES * (CLAIMANTS - 1)}
    with deployment.db.read() as tx:
        claimed = tx.scalars(sa.select(Claim.customer_id)).all()
        credited = tx.execute(
            sa.select(sa.func.count(), sa.func.count(Reward.event.distinct())).where(
                Reward.beneficiary_id == sharer
            )
        ).one()
        assert len(claimed) == CODES
        newcomers = len(set(claimed))
        assert tuple(credited) == (newcomers, newcomers), "the sharer is credited once a newcomer"
        assert customers.balances(tx, sharer)[0].available == newcomers * PER_FRIEND
        paid = sum(customers.balances(tx, racer)[0].available for racer in racers)
        assert paid == CODES * PER_CLAIM + newcomers * PER_FRIEND


@pytest.mark.race
def test_friends_and_their_referrer_claim_at_once_without_waiting_in_a_circle(
    now: Deployment,
) -> None:
    brand = make_brand(now, rules=[{"when": "claim", "for": "both", "amount": 5}])
    pay_for_any_number_of_friends(now)
    sharer, *friends = (
        actions.add_customer(now, [people.external(f"friend-{n}")], None)[0]
        for n in range(FRIENDS + 1)
    )
    link = actions.make_link(now, "spring", sharer, Channel.wechat)
    touches = [Touch(link, now.clock.now())]

    def claim_all(place: int) -> int:
        codes = (now.codes.encode(brand.batch, place * EACH + n) for n in range(EACH))
        who, by = (sharer, []) if place == FRIENDS else (friends[place], touches)
        return sum(len(actions.claim(now, code, who, touches=by).rewards) for code in codes)

    with ThreadPoolExecutor(FRIENDS + 1) as pool:
        granted = list(pool.map(claim_all, range(FRIENDS + 1)))
    assert granted == [2 * EACH] * FRIENDS + [EACH]
    with now.db.read() as tx:
        assert customers.balances(tx, sharer)[0].available == 5 * EACH * (FRIENDS + 1)


@pytest.mark.race
def test_two_who_name_each_other_do_not_go_round_in_a_circle(
    now: Deployment, live_server: Callable[..., ServiceProcess]
) -> None:
    brand, deployment, server = make_brand(now), now, live_server()
    key = actions.add_api_key(deployment, "race")
    for pair in range(PAIRS):
        two = [
            actions.add_customer(deployment, [people.external(f"{pair}-{n}")], None)[0]
            for n in range(2)
        ]
        claims = []
        for n in range(2):
            other = actions.make_link(deployment, "spring", two[1 - n], Channel.wechat)
            code = deployment.codes.encode(brand.batch, pair * 2 + n).text
            via = deployment.links.token(other)
            claims.append({"code": code, "customer_id": two[n], "via": via})
        together = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            claim = partial(claim_together, together, f"{server.url}/api/v1/claims", key)
            assert list(pool.map(claim, claims)) == [201, 201]
        with deployment.db.read() as tx:
            referrers = [customers.profile(tx, deployment.keys, who)["referrer_id"] for who in two]
        assert referrers in ([two[1], None], [None, two[0]]), "one brought in the other, not both"


def claim_together(together: threading.Barrier, url: str, key: str, body: dict[str, object]) -> int:
    together.wait()
    return post(url, key, body)[0]
