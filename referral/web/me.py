"""A customer's own page: points, friends, how far her links went, and what is missing and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from flask import redirect, render_template, request, session, url_for
from flask_babel import format_date, format_number, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, campaigns, people, segments
from referral.hand_credits import HandCredit
from referral.people import Contact, IdentityKind
from referral.reports import complaints as reports
from referral.reports import customers, hand_credits, orders, reach, wallet
from referral.reports.orders import OwnOrder
from referral.reports.reach import Elsewhere, Reach
from referral.reports.wallet import Friend, NoPoints, Package, Waiting
from referral.rewards import Reward, RewardState, Why
from referral.web import complaints, order_words, reward_words, sharing
from referral.web.brought_by import brought_by
from referral.web.context import customer, deployment, in_wechat, now
from referral.web.coupons import shelf
from referral.web.member import Page, allow_wechat_sign_in, member

Item = TypeVar("Item")

SHOWN = 5
"""How much of each list her page shows; the rest is on pages of its own."""
SHOWN_ALONE = 25
"""How much of it each of those has."""
OFFSET_DIGITS_MAX = 9


@dataclass(frozen=True)
class Line:
    """A line of a list: what it was, when, what it brought, and what is to be said of that."""

    text: str
    at: datetime
    why: str | None
    amount: int = 0
    unit: str = "points"
    state: str | None = None
    claim_id: int | None = None
    """Of a package, which can be rated."""
    score: int | None = None


@dataclass(frozen=True)
class Listed:
    lines: list[Line]
    next: int | None
    """The offset of the following ones; None when these are the last."""


@member.get("/me")
def me() -> Page:
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.me")))
    keys = deployment().keys
    with deployment().db.read() as tx:
        if not people.is_customer(tx, signed_in.id):
            session.clear()  # older than a database that was set up anew
            return redirect(url_for("member.sign_in"))
        brands = [each for each in campaigns.running(tx, now()) if each.store_id is None]
        running = segments.open_to(tx, brands, signed_in.id, now())
        identities = people.identities_of(tx, keys, signed_in.id)
        reached = reach.reach_of(tx, signed_in.id)
        context = {
            "balances": customers.balances(tx, signed_in.id),
            "waiting": _waiting_text(wallet.waiting_of(tx, signed_in.id)),
            "friend_count": wallet.friend_count(tx, signed_in.id),
            "reach": reached,
            "on_the_way": _on_the_way(reached),
            "elsewhere": _elsewhere(reached),
            "brought_by": brought_by(tx, signed_in.id),
            "coupons": shelf(tx, signed_in.id),
            **complaints.shown(reports.of_customer(tx, signed_in.id, limit=complaints.SHOWN)),
            **{name: find(tx, signed_in.id, 0, SHOWN) for name, find in LISTS.items()},
        }
    kinds = {identity.kind for identity in identities}
    offers_wechat = in_wechat() and IdentityKind.wechat not in kinds
    if offers_wechat:
        allow_wechat_sign_in()
    return render_template(
        "me.html",
        share=sharing.share_kit(running[0], sharing.own_link(running[0])) if running else None,
        identities=_shown(identities),
        missing={kind.value for kind in people.CONTACTS - kinds},
        added=session.pop("added", None) if "added" in session else None,
        offers_wechat=offers_wechat,
        **context,
    )


@member.get("/me/<any(friends, rewards, packages, orders, corrections):what>")
def listed(what: str) -> Page:
    """One of the lists of her page, all of it."""
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.me")))
    offset = request.args.get("offset", "")
    is_offset = offset.isascii() and offset.isdigit() and len(offset) <= OFFSET_DIGITS_MAX
    with deployment().db.read() as tx:
        found = LISTS[what](tx, signed_in.id, int(offset) if is_offset else 0, SHOWN_ALONE)
    return render_template("me_list.html", what=what, listed=found)


@member.post("/me/name")
def rename() -> Page:
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.me")), 303)
    # An emptied field takes the name off every page; spaces alone are a slip.
    actions.rename(deployment(), signed_in.id, request.form.get("name") or None)
    return redirect(url_for("member.me"), 303)


# Lists


def _friends(tx: Session, customer_id: int, offset: int, limit: int) -> Listed:
    keys = deployment().keys
    found = wallet.friends_of(tx, keys, customer_id, offset=offset, limit=limit + 1)
    return _listed(_friend, found, offset, limit)


def _rewards(tx: Session, customer_id: int, offset: int, limit: int) -> Listed:
    found = wallet.rewards_of(tx, customer_id, offset=offset, limit=limit + 1)
    told = hand_credits.told_of(tx, [reward.event for reward in found])
    return _listed(lambda reward: _reward(reward, told.get(reward.event)), found, offset, limit)


def _corrections(tx: Session, customer_id: int, offset: int, limit: int) -> Listed:
    found = hand_credits.taken_of(tx, customer_id, offset=offset, limit=limit + 1)
    return _listed(_correction, found, offset, limit)


def _packages(tx: Session, customer_id: int, offset: int, limit: int) -> Listed:
    found = wallet.packages_of(tx, customer_id, offset=offset, limit=limit + 1)
    return _listed(_package, found, offset, limit)


def _orders(tx: Session, customer_id: int, offset: int, limit: int) -> Listed:
    found = orders.of_customer(tx, customer_id, offset=offset, limit=limit + 1)
    return _listed(_order, found, offset, limit)


LISTS: dict[str, Callable[[Session, int, int, int], Listed]] = {
    "friends": _friends,
    "rewards": _rewards,
    "packages": _packages,
    "orders": _orders,
    "corrections": _corrections,
}


def _listed(line: Callable[[Item], Line], found: Sequence[Item], offset: int, limit: int) -> Listed:
    following = offset + limit if len(found) > limit else None
    return Listed([line(each) for each in found[:limit]], following)


def _friend(friend: Friend) -> Line:
    why = None
    if friend.is_looked_at:
        why = reward_words.looked_at_text()
    elif friend.state is RewardState.pending and friend.available_at:
        why = reward_words.spendable_text(friend.available_at)
    elif friend.state is RewardState.reversed:
        why = _("Taken back, because what earned it was undone")
    elif friend.why is not None:
        why = {
            Why.budget_spent: _("No points: those of the campaign were used up."),
            Why.limit_reached: _("No points: as many as one can get were had already."),
            Why.no_win: _("No luck in the draw this time."),
            Why.self_referral: _("No points: it was your own purchase."),
            Why.too_many: _("No points: only so many friends count in a day and in a month."),
            Why.blocked: _("No points for this one. Please ask us why."),
            NoPoints.not_covered: _("No points: the campaign of your link did not cover it."),
            NoPoints.not_promised: _("No points: the campaign gives them to the buyer only."),
        }[friend.why]
    name = friend.name or _("A friend without a name")
    return Line(name, friend.at, why, friend.points, state=friend.state)


def _reward(reward: Reward, told: str | None) -> Line:
    said = [told, reward_words.reward_state_text(reward)]
    return Line(
        reward_words.reward_text(reward.rule, reward.depth),
        reward.granted_at,
        " · ".join(each for each in said if each),
        reward.amount,
        reward.unit,
        reward.state,
    )


def _correction(taken: HandCredit) -> Line:
    """Points that our people took back: never without a word."""
    return Line(
        taken.told or _("Put right by our team. Ask us if you would like to know more."),
        taken.decided_at or taken.asked_at,
        None,
        taken.amount,
    )


def _package(package: Package) -> Line:
    why = None
    if package.why is not None:
        why = {
            Why.budget_spent: _("The campaign's points were used up by then."),
            Why.limit_reached: _("No points: as many as one can get were had already."),
            Why.no_win: _("No luck in the draw this time."),
            Why.self_referral: _("No points: it was your own link."),
            Why.too_many: _("No points: only so many count in a day and in a month."),
            Why.blocked: _("No points for this one. Please ask us why."),
            NoPoints.not_covered: _("No points: no campaign covered it."),
            NoPoints.not_promised: None,
        }[package.why]
    return Line(
        package.product_name,
        package.claimed_at,
        why,
        claim_id=package.claim_id,
        score=package.score,
    )


def _order(own: OwnOrder) -> Line:
    order = own.order
    return Line(
        _("Order %(number)s", number=order.external_id),
        order.at,
        order_words.to_buyer(own),
        order.amount,
        order.currency,
    )


# In words


def _waiting_text(waiting: Waiting | None) -> str | None:
    """When what is on hold can be spent. It is moved some time after it is due."""
    if waiting is None:
        return None
    first, last = (format_date(each, "long") for each in (waiting.first, waiting.last))
    if waiting.last <= now():
        return _("They are yours to spend within a day.")
    if waiting.first <= now():
        return _("Some are yours to spend within a day, all of them from %(last)s.", last=last)
    if first == last:
        return _("They are yours to spend from %(first)s.", first=first)
    return _(
        "The first are yours to spend from %(first)s, all of them from %(last)s.",
        first=first,
        last=last,
    )


def _on_the_way(reached: Reach) -> list[str]:
    """Those who have come part of the way to being a friend here."""
    said = []
    if reached.strangers:
        said.append(
            ngettext(
                "%(people)s has opened a link and not signed in.",
                "%(people)s have opened a link and not signed in.",
                reached.strangers,
                people=_people(reached.strangers),
            )
        )
    if reached.waiting:
        said.append(
            ngettext(
                "%(people)s has signed in and not claimed a package yet.",
                "%(people)s have signed in and not claimed a package yet.",
                reached.waiting,
                people=_people(reached.waiting),
            )
        )
    return said


def _elsewhere(reached: Reach) -> list[str]:
    """Those who claimed and are no friends here, by what the reason was."""
    words: dict[Elsewhere, Callable[[int], str]] = {
        Elsewhere.before: lambda num: ngettext(
            "%(people)s had claimed a package before your link came.",
            "%(people)s had claimed a package before your link came.",
            num,
            people=_people(num),
        ),
        Elsewhere.too_late: lambda num: ngettext(
            "%(people)s claimed when your link was too old to count.",
            "%(people)s claimed when your link was too old to count.",
            num,
            people=_people(num),
        ),
        Elsewhere.another_way: lambda num: ngettext(
            "%(people)s claimed, and another link counted or none.",
            "%(people)s claimed, and another link counted or none.",
            num,
            people=_people(num),
        ),
    }
    return [say(reached.elsewhere[why]) for why, say in words.items() if reached.elsewhere[why]]


def _people(number: int) -> str:
    people = format_number(number)
    return ngettext("%(people)s person", "%(people)s people", number, people=people)


def _shown(identities: Sequence[Contact]) -> list[tuple[str, str]]:
    """What she is known by: of WeChat only that, since its numbers say nothing to anybody."""
    shown = []
    for identity in identities:
        if identity.kind is IdentityKind.phone:
            shown.append((_("Phone"), identity.masked))
        elif identity.kind is IdentityKind.email:
            shown.append((_("E-mail"), identity.masked))
        elif identity.kind is IdentityKind.wechat:
            shown.append((_("WeChat"), _("connected")))
    return list(dict.fromkeys(shown))
