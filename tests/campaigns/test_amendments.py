"""Terms of a campaign that runs: whatever is worse is found and named, better is taken."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, audit, campaigns, ledger, people
from referral.campaigns import Campaign, amendments
from referral.campaigns.amendments import NotPublished, Terms, TermsMadeWorse, worsenings
from referral.campaigns.publishing import CampaignOver, PayoutOverBound, PointsNeverExpire
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.rewards import Odds, Percent, Rule, Tiers, When
from tests.cast import BUDGET, RULES, add_product, cast_of, draft, open_brand, publish
from tests.conftest import START
from tests.rules import rule_sets

END = START + timedelta(days=90)
TERMS = Terms(
    ends_at=END,
    budget=1000,
    budgets={"CNY": 500, "item:mug": 5},
    hold_days=7,
    window_days=30,
    lasts_days=365,
    rules=[],
)


def ruled(*told: dict[str, Any]) -> Terms:
    rules = [Rule.model_validate({"when": "claim", "for": "person", **each}) for each in told]
    return replace(TERMS, rules=rules)


@pytest.mark.parametrize(
    "changed, term",
    [
        ({"ends_at": END - timedelta(seconds=1)}, "ends_at"),
        ({"budget": 999}, "budget"),
        ({"budgets": {"CNY": 499, "item:mug": 5}}, "budgets.CNY"),
        ({"budgets": {"CNY": 500}}, "budgets.item:mug"),
        ({"hold_days": 8}, "hold_days"),
        ({"window_days": 29}, "window_days"),
        ({"lasts_days": 364}, "lasts_days"),
    ],
)
def test_what_is_worse_is_named(changed: dict[str, Any], term: str) -> None:
    (found,) = worsenings(TERMS, replace(TERMS, **changed))
    assert found.term == term
    assert found.why
    assert found.was != found.now
    assert worsenings(replace(TERMS, **changed), TERMS) == [], "the other way round it is better"


CARD = {"when": "nth_claim", "nth": 10, "amount": 100, "within_days": 90}
FRIENDS = {"when": "nth_referral", "for": "referrer", "nth": 10, "amount": 100}
ORDER = {"when": "order", "amount": {"basis_points": 500, "cap": 100}}
TIERS = {"when": "referred_first_claim", "for": "referrer"}
ODDS = [{"per_million": 1000, "amount": 500}, {"per_million": 100_000, "amount": 5}]


@pytest.mark.parametrize(
    "old, new, part",
    [
        ({"amount": 10}, {"amount": 9}, "amount"),
        ({"amount": 10}, {"amount": 10, "limits": {"per_person": 5}}, "limits.per_person"),
        ({"amount": 10, "limits": {"total": 5}}, {"amount": 10, "limits": {"total": 4}}, "total"),
        (
            {"amount": 10, "limits": {"budget": 5}},
            {"amount": 10, "limits": {"budget": 4}},
            "budget",
        ),
        (CARD, {**CARD, "nth": 11}, "nth"),
        (CARD, {**CARD, "within_days": 89}, "within_days"),
        ({**CARD, "every": True}, CARD, "every"),
        ({**CARD, "within_days": None}, CARD, "within_days"),
        ({**FRIENDS, "every": True}, FRIENDS, "every"),
        (ORDER, {**ORDER, "least": 1000}, "least"),
        (ORDER, {**ORDER, "amount": {"basis_points": 499, "cap": 100}}, "amount"),
        (ORDER, {**ORDER, "amount": {"basis_points": 600, "cap": 99}}, "amount"),
        (ORDER, {**ORDER, "amount": 99}, "amount"),
        (ORDER, {**ORDER, "what": "credit"}, "amount"),
        (
            {**TIERS, "amount": {"tiers": [{"from": 1, "amount": 5}, {"from": 5, "amount": 9}]}},
            {**TIERS, "amount": {"tiers": [{"from": 1, "amount": 5}, {"from": 6, "amount": 9}]}},
            "amount",
        ),
        (
            {**TIERS, "amount": 5},
            {**TIERS, "amount": {"tiers": [{"from": 2, "amount": 9}]}},
            "amount",
        ),
        ({"amount": {"odds": ODDS}}, {"amount": {"odds": ODDS[:1]}}, "amount"),
        (
            {"amount": {"odds": ODDS}},
            {"amount": {"odds": [{**ODDS[0], "per_million": 999}, ODDS[1]]}},
            "amount",
        ),
        (
            {"amount": {"odds": ODDS}},
            {"amount": {"odds": [{**ODDS[0], "amount": 499}, ODDS[1]]}},
            "amount",
        ),
        # Much more of something else is not what was promised.
        (
            {"amount": {"odds": ODDS}},
            {"amount": {"odds": [{**ODDS[0], "what": "item", "of": "mug"}, ODDS[1]]}},
            "amount",
        ),
        ({"amount": 10}, {"amount": {"odds": [{"per_million": 999_999, "amount": 99}]}}, "amount"),
        ({"amount": 10}, {"what": "item", "of": "mug", "amount": 10}, "amount"),
    ],
)
def test_what_is_worse_in_a_rule_is_named(
    old: dict[str, Any], new: dict[str, Any], part: str
) -> None:
    (found,) = worsenings(ruled(old), ruled(new))
    assert found.term.startswith(ruled(old).rules[0].id + ".")
    assert found.term.endswith(part)


@pytest.mark.parametrize(
    "old, new",
    [
        ({"amount": 10}, {"amount": 11}),
        ({"amount": 10, "limits": {"total": 5}}, {"amount": 10}),
        (CARD, {**CARD, "nth": 9, "every": True, "within_days": 100}),
        (FRIENDS, {**FRIENDS, "every": True}),
        (ORDER, {**ORDER, "amount": 100}),
        ({**ORDER, "least": 10}, ORDER),
        (
            {**TIERS, "amount": 5},
            {**TIERS, "amount": {"tiers": [{"from": 1, "amount": 5}, {"from": 2, "amount": 6}]}},
        ),
        (
            {**TIERS, "amount": {"tiers": [{"from": 2, "amount": 9}]}},
            {**TIERS, "amount": 9},
        ),
        ({"amount": {"odds": ODDS}}, {"amount": 500}),
        (
            {"amount": {"odds": ODDS}},
            {"amount": {"odds": [{"per_million": 101_000, "amount": 500}]}},
        ),
        ({"amount": 10}, {"amount": {"odds": [{"per_million": 1_000_000, "amount": 10}]}}),
    ],
)
def test_what_is_better_in_a_rule_is_fine(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert worsenings(ruled(old), ruled(new)) == []


def test_another_number_of_friends_is_another_promise() -> None:
    (found,) = worsenings(ruled(FRIENDS), ruled({**FRIENDS, "nth": 5}))
    assert found.now is None


@given(rule_sets())
def test_nothing_is_worse_than_itself(rules: list[Rule]) -> None:
    assert worsenings(replace(TERMS, rules=rules), replace(TERMS, rules=rules[::-1])) == []


@given(rule_sets(least=1), rule_sets(), st.data())
def test_a_rule_that_goes_is_found_and_more_rules_are_fine(
    rules: list[Rule], others: list[Rule], data: st.DataObject
) -> None:
    ids = {rule.id for rule in rules}
    more = [*rules, *(rule for rule in others if rule.id not in ids)]
    assert worsenings(replace(TERMS, rules=rules), replace(TERMS, rules=more)) == []
    gone = data.draw(st.integers(0, len(rules) - 1))
    left = [*rules[:gone], *rules[gone + 1 :]]
    assert worsenings(replace(TERMS, rules=rules), replace(TERMS, rules=left))


@given(rule_sets(least=1), st.data())
def test_one_worse_thing_is_found_and_the_same_thing_better_is_not(
    rules: list[Rule], data: st.DataObject
) -> None:
    """A rule, and the same rule with a little less in it."""
    place = data.draw(st.integers(0, len(rules) - 1))
    worse = data.draw(st.sampled_from(list(_worse(rules[place])) or [None]))
    if worse is None or any(worse.id == r.id for r in rules if r is not rules[place]):
        return
    changed = [*rules[:place], worse, *rules[place + 1 :]]
    old, new = replace(TERMS, rules=rules), replace(TERMS, rules=changed)
    assert worsenings(old, new)
    assert worsenings(new, old) == []


def _worse(rule: Rule) -> list[Rule]:
    """The same rule with one thing in it worse, for each thing there is."""
    told = rule.model_dump(by_alias=True)
    found: list[dict[str, Any]] = []
    if isinstance(rule.amount, int) and rule.amount > 1:
        found.append({**told, "amount": rule.amount - 1})
    if isinstance(rule.amount, Percent) and rule.amount.cap > 1:
        found.append({**told, "amount": {**told["amount"], "cap": rule.amount.cap - 1}})
    if isinstance(rule.amount, Tiers):
        last = told["amount"]["tiers"][-1]
        later = {**last, "from": last["from"] + 1}
        found.append({**told, "amount": {"tiers": [*told["amount"]["tiers"][:-1], later]}})
    if isinstance(rule.amount, Odds) and rule.amount.odds[0].per_million > 1:
        first, *rest = told["amount"]["odds"]
        fewer = {**first, "per_million": first["per_million"] - 1}
        found.append({**told, "amount": {"odds": [fewer, *rest]}})
    if rule.when is When.nth_claim and (rule.nth or 0) < 1000:
        found.append({**told, "nth": (rule.nth or 0) + 1})
    if rule.every:
        found.append({**told, "every": False})
    if rule.when.of_orders and (rule.least or 0) < 10**9:
        found.append({**told, "least": (rule.least or 0) + 1})
    limits = {name: getattr(rule.limits, name) for name in type(rule.limits).model_fields}
    for limit, most in limits.items():
        tighter = {**limits, limit: most - 1 if most else 1000}
        if most != 1:
            found.append({**told, "limits": tighter})
    return [Rule.model_validate(each) for each in found]


# Put into effect


def amended(deployment: Deployment, **changed: Any) -> Campaign:
    return actions.amend(
        deployment, "spring", lambda was: replace(was, **changed), by="olga@brand.example"
    )


def test_better_terms_hold_at_once_and_are_kept_in_the_audit_log(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    shown = deployment.showcase.find(brand.campaign.id)
    assert shown is not None
    more = [Rule.model_validate({**rule, "amount": rule["amount"] + 1}) for rule in RULES]
    end = brand.campaign.ends_at + timedelta(days=1)
    amended(deployment, ends_at=end, budget=BUDGET + 500, window_days=60, rules=more)
    with deployment.db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, "spring")
        _added, _published, entry = audit.of_subject(tx, f"campaign:{campaign.id}")
    assert (campaign.ends_at, campaign.budget, campaign.window_days) == (end, BUDGET + 500, 60)
    assert campaign.checked_rules == more
    assert brand.budget_left() == BUDGET + 500
    assert entry.by == "olga@brand.example"
    assert set(entry.details) == {"ends_at", "budget", "window_days", "rules"}
    assert entry.details["budget"] == {"was": BUDGET, "now": BUDGET + 500}
    again = deployment.showcase.find(brand.campaign.id)
    assert again is not None
    assert again.campaign.ends_at == end, "readers see it at once"


def test_worse_terms_change_nothing(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    with pytest.raises(TermsMadeWorse) as refused:
        amended(deployment, budget=BUDGET - 1, window_days=29, hold_days=0)
    named = [each["term"] for each in refused.value.details["worsenings"]]
    assert named == ["budget", "window_days"]
    assert brand.budget_left() == BUDGET
    with deployment.db.read() as tx:
        assert campaigns.campaign_by_slug(tx, "spring").window_days == 30
        noted = audit.of_subject(tx, f"campaign:{brand.campaign.id}")
    assert [each.action for each in noted] == ["campaign added", "campaign published"]


def test_the_same_terms_again_leave_no_trace(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    amended(deployment)
    with deployment.db.read() as tx:
        noted = audit.of_subject(tx, f"campaign:{brand.campaign.id}")
    assert [each.action for each in noted] == ["campaign added", "campaign published"]


def test_better_terms_are_refused_like_any_others(deployment: Deployment) -> None:
    open_brand(deployment)
    dear = [Rule.model_validate({**rule, "amount": 1000}) for rule in RULES]
    with pytest.raises(PayoutOverBound):
        amended(deployment, rules=dear)
    with pytest.raises(PointsNeverExpire):
        amended(deployment, lasts_days=None)
    deep = Rule.model_validate({**TIERS, "amount": 1, "depth": 2})
    with pytest.raises(Exception, match="sign-off"):
        amended(deployment, rules=[*(Rule.model_validate(r) for r in RULES), deep])


def test_a_second_kind_of_reward_gets_a_budget_of_its_own(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    credit = Rule.model_validate(
        {"when": "first_claim", "for": "person", "what": "credit", "amount": 5}
    )
    rules = [*(Rule.model_validate(rule) for rule in RULES), credit]
    amended(deployment, rules=rules, budgets={"CNY": 700})
    amended(deployment, budgets={"CNY": 900})
    with deployment.db.read() as tx:
        found = ledger.balances(tx, ledger.Kind.budget, brand.campaign.id)
    assert found == {"points": BUDGET, "CNY": 900}


def test_a_draw_that_joins_later_has_a_seed_before_anybody_draws(deployment: Deployment) -> None:
    open_brand(deployment, organiser="Tea Co")
    draw = Rule.model_validate(
        {"when": "claim", "for": "person", "amount": {"odds": [{"per_million": 5, "amount": 5}]}}
    )
    changed = amended(deployment, rules=[*(Rule.model_validate(rule) for rule in RULES), draw])
    assert changed.draw_commitment is not None
    assert amended(deployment, window_days=31).draw_commitment == changed.draw_commitment


def test_drafts_and_what_is_over_are_not_amended(deployment: Deployment, clock: HeldClock) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft())
    with pytest.raises(NotPublished):
        amended(deployment, window_days=31)
    actions.publish_campaign(deployment, "spring")
    clock.advance(days=90)
    with pytest.raises(CampaignOver):
        amended(deployment, ends_at=clock.now() + timedelta(days=1))


def test_changes_are_told_by_term() -> None:
    assert amendments.changes(TERMS, TERMS) == {}
    told = amendments.changes(TERMS, replace(TERMS, ends_at=END + timedelta(days=1)))
    assert told == {"ends_at": {"was": END.isoformat(), "now": "2026-06-01T09:30:00+00:00"}}


# What a rule is called


STAMPS = {"when": "nth_claim", "nth": 5, "for": "person", "amount": 100}
LIMITED = {
    "when": "order", "for": "person", "amount": 100, "least": 2000,
    "limits": {"per_person": 1, "budget": 100},
}  # fmt: skip


def parsed(*told: dict[str, Any]) -> list[Rule]:
    return [Rule.model_validate(each) for each in told]


def renamed(old: list[Rule], new: list[Rule]) -> list[str]:
    was = replace(TERMS, rules=old)
    return [rule.id for rule in amendments.named(was, replace(TERMS, rules=new)).rules]


def test_a_card_that_was_paid_is_not_paid_again_for_fewer_stamps(deployment: Deployment) -> None:
    alice, bob, _ = cast_of(open_brand(deployment, rules=[STAMPS]))
    for index in range(5):
        alice.claim(index)
    assert alice.points() == 100
    amended(deployment, rules=parsed({**STAMPS, "nth": 4}))
    alice.claim(5)
    assert alice.points() == 100
    for index in range(10, 14):
        bob.claim(index)
    assert bob.points() == 100, "four are enough by now"


def test_limits_go_on_counting_when_smaller_orders_are_paid(deployment: Deployment) -> None:
    open_brand(deployment, rules=[LIMITED])
    customer, *_ = actions.add_customer(deployment, [people.external("m1")], None)
    assert buy(deployment, customer, "1") == ["order:person:points:least-2000"]
    assert buy(deployment, customer, "2") == []
    for least in (1500, 1400):  # the second time it has a name that it no longer says
        changed = amended(deployment, rules=parsed({**LIMITED, "least": least}))
        assert [rule.id for rule in changed.checked_rules] == ["order:person:points:least-2000"]
        assert buy(deployment, customer, f"3 {least}") == []


def buy(deployment: Deployment, customer: int, number: str) -> list[str]:
    """The rules that paid for an order."""
    told = {"external_id": number, "amount": 5000, "currency": "CNY", "customer_id": customer}
    placed = actions.place_order(deployment, OrderIn.model_validate(told))
    return [reward.rule for reward in placed.rewards]


def test_nobody_can_name_a_rule_as_another_one_is_named() -> None:
    order, claim = parsed(
        {**LIMITED, "least": 1000}, {"when": "claim", "for": "person", "amount": 5}
    )
    posing = claim.model_copy(update={"key": order.id})
    assert renamed([order, claim], [order, posing]) == [order.id, claim.id]
    more = Rule.model_validate({"when": "first_claim", "for": "person", "amount": 5})
    for key in (order.id, claim.id, "made:up"):
        added = more.model_copy(update={"key": key})
        assert renamed([order, claim], [order, claim, added]) == [order.id, claim.id, more.id]


def test_rules_are_told_apart_by_the_names_they_are_sent_with() -> None:
    first, second = parsed({**LIMITED, "least": 2000}, {**LIMITED, "least": 1500})
    amended_first, amended_second = (
        rule.model_copy(update={"least": least, "key": rule.id})
        for rule, least in ((first, 1500), (second, 1000))
    )
    assert renamed([first, second], [amended_second, amended_first]) == [second.id, first.id]


def test_a_new_rule_that_says_what_another_said_before_has_a_name_of_its_own() -> None:
    (before,) = parsed(LIMITED)
    (better,) = parsed({**LIMITED, "least": 1500})
    was = replace(TERMS, rules=[before])
    now = amendments.named(was, replace(TERMS, rules=[better]))
    assert renamed(list(now.rules), [better, before]) == [before.id, f"{before.id}:2"]


@given(rule_sets())
def test_rules_that_stay_keep_their_names(rules: list[Rule]) -> None:
    assert renamed(rules, rules[::-1]) == [rule.id for rule in rules[::-1]]


def test_a_draft_with_rules_of_another_campaign_starts_with_names_of_its_own() -> None:
    (rule,) = parsed({**STAMPS, "key": "nth_claim:person:points:nth-9"})
    assert [each.key for each in draft(rules=[rule]).rules] == [None]


def test_better_terms_are_held_against_the_campaigns_beside(deployment: Deployment) -> None:
    open_brand(deployment, rules=[{"when": "claim", "for": "person", "amount": 200}])
    orders = {"when": "order", "for": "person", "amount": 200, "least": 2000}
    publish(deployment, slug="orders", rules=[orders])
    with pytest.raises(PayoutOverBound) as refused:
        amended(deployment, rules=parsed({"when": "claim", "for": "person", "amount": 201}))
    assert refused.value.details["campaign"] == "orders"
    amended(deployment, budget=BUDGET + 1)
