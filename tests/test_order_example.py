"""The worked example of docs/orders.md, number by number."""

import json
import re
from pathlib import Path

from referral import actions, people
from referral.deployment import Deployment
from referral.ledger import Kind, balances
from referral.links import Channel
from referral.orders import OrderIn, RefundIn
from tests.cast import open_brand

DOCS = Path(__file__).parent.parent / "docs" / "orders.md"
BUDGET = 1_000
ROW = re.compile(r"\| (order|refund) (\S+)(?: of (\S+))? \| ([\d.]+) \| (\d+) \| (\d+) \| (\d+) \|")


def test_the_example_comes_out_as_it_says(deployment: Deployment) -> None:
    text = DOCS.read_text(encoding="utf-8")
    rules = json.loads(text.partition("```json")[2].partition("```")[0])
    brand = open_brand(deployment, rules=rules, budget=BUDGET)
    ann, _ = actions.add_customer(deployment, [people.external("ann")], "Ann")
    bo, _ = actions.add_customer(deployment, [people.external("bo")], "Bo")
    link = actions.make_link(deployment, "spring", ann, Channel.wechat)
    via = deployment.links.token(link)
    steps = ROW.findall(text)
    assert len(steps) == 9
    for kind, number, of, amount, *expected in steps:
        cents = int(amount.replace(".", ""))
        if kind == "order":
            sent = OrderIn(
                external_id=number, member_id="bo", via=via, amount=cents, currency="CNY"
            )
            actions.place_order(deployment, sent)
        else:
            actions.refund_order(deployment, of, RefundIn(external_id=number, amount=cents))
        with deployment.db.read() as tx:
            held = [balances(tx, Kind.wallet, each).get("points", 0) for each in (bo, ann)]
        assert [*held, brand.budget_left()] == [int(each) for each in expected], (kind, number)
