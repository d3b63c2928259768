"""The pages of a code: what is true of it, claiming it, comparing the labels of a package."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from referral import actions, campaigns, intake, lookup, product_links, ratings, segments, visits
from referral.batches import Entry
from referral.campaigns import Campaign, of_stores
from referral.checking import check_code
from referral.codes import Code, Label, Labels, MistypedCode, UnknownCode
from referral.errors import NotFound, Unavailable
from referral.flags import Flag
from referral.links import VisitorCookie
from referral.ranges import Span
from referral.reports import customers, scans
from referral.reports.scans import Verdict
from referral.visits import Kind, Visit
from referral.web import kept_scans, promises, reward_words, sharing
from referral.web.brought_by import brought_by
from referral.web.context import (
    customer,
    deployment,
    has_visitor_cookie,
    in_wechat,
    machine,
    now,
    region,
    remote_address,
    signed_in_id,
    visitor,
)
from referral.web.draws import drawn_for
from referral.web.faces import faces
from referral.web.language import in_words, language
from referral.web.plain import IN_VAIN
from referral.web.resolver import answer as answer_for_machines

TYPED_SHOWN_MAX = 500
"""As much as the fields take: room for an address with words around it."""
RECALL = "recallStatus"
"""The GS1 link type of what a brand says about a recall."""

codes = Blueprint("codes", __name__)


@codes.get("/c")
def typed_code() -> AnyResponse | tuple[str, int] | str:
    typed = request.args.get("code", "").strip()
    if not typed:
        return render_template("code_form.html", code="", error=None)
    try:
        code, batch = _find(*lookup.in_pasted(typed))
    except UnknownCode as problem:
        return _typed_wrongly(typed, problem), problem.status
    return redirect(scan_path(batch, code))


def _typed_wrongly(typed: str, problem: UnknownCode) -> str:
    return render_template(
        "code_form.html",
        code=typed[:TYPED_SHOWN_MAX],
        error=in_words(problem),
        mistyped=problem if isinstance(problem, MistypedCode) else None,
    )


@codes.get("/c/<code>")
def scan_short(code: str) -> AnyResponse:
    return redirect(url_for(".typed_code", code=code))


@codes.get("/01/<gtin>/21/<code>")
def scan(gtin: str, code: str) -> AnyResponse | str:
    answer = answer_for_machines(gtin, code)
    if answer is not None:
        return answer
    found, batch = _find(code, gtin)
    deployment().fresh_codes.settle()
    reader = visitor().visitor if machine() is None else None
    with deployment().db.read() as tx:
        moment = deployment().local_now()
        verdict = scans.verdict(tx, found, reader, signed_in_id(), now=moment, region=region())
        found_running = of_stores.for_package(
            campaigns.running(tx, now(), batch), lambda: verdict.span.terms.store_id
        )
        running = segments.open_to(tx, found_running, signed_in_id(), now())
        campaign = campaign_for(running, visitor(), verdict.campaign_id)
    just_claimed = session.pop("just_claimed", None)
    if verdict.word == "claimed_by_you" and just_claimed and just_claimed["code"] == found.text:
        # The answer to a claim: nobody has scanned the package for that.
        return _claimed_page(found, batch, campaign, just_claimed)
    _record_scan(found, verdict, campaign)
    page = render_template(
        "scan.html",
        verdict=verdict,
        product={"name": batch.product_name, "gtin": batch.gtin},
        code_text=found.grouped,
        is_outer=found.label is Label.outer,
        compare_url=_compare_url(found, batch),
        recall_url=_recall_url(batch) if verdict.word == "recalled" else None,
        claim_url=url_for(".claim", gtin=batch.gtin, code=found.text),
        sign_in_url=url_for("member.sign_in", next=scan_path(batch, found)),
        complain_url=url_for("member.new_complaint", code=found.text),
        promise=promises.promise(campaign.checked_rules, campaign.currency) if campaign else [],
        campaign_title=campaign.content_in(language()).title if campaign else None,
        share=_share_kit(campaign),
    )
    if _is_as_others(found, batch, verdict):
        tokens = {} if campaign is None else sharing.tokens_of(sharing.own_link(campaign))
        variant = kept_scans.variant_of(
            found, batch, verdict.span.terms, campaign, language(), in_wechat=in_wechat()
        )
        kept_scans.keep(deployment(), page, variant, found, tokens, g.csp_nonce)
    return page


def _is_as_others(code: Code, batch: Entry, verdict: Verdict) -> bool:
    """Whether other fresh codes have the same page, but for their own texts."""
    is_fresh = verdict.word == "first_seen" and not verdict.first_seen_at
    is_plain = is_fresh and not verdict.is_out_of_market and not request.args
    is_anybodys = is_plain and customer() is None and machine() is None
    return is_anybodys and request.path == scan_path(batch, code)


def _compare_url(code: Code, batch: Entry) -> str | None:
    """Where the labels of a package can be compared, if it has two."""
    if Labels(batch.labels) is Labels.single:
        return None
    return f"{url_for('.compare')}?{code.label}={code.text}"


def _recall_url(batch: Entry) -> str | None:
    """Where the brand explains a recall, if it has said so among the product's links."""
    with deployment().db.read() as tx:
        links = product_links.links_of(tx, batch.product_id)
    return next((link.href for link in links if link.link_type == RECALL), None)


@codes.post("/01/<gtin>/21/<code>/claim")
def claim(gtin: str, code: str) -> AnyResponse:
    found, batch = _find(code, gtin)
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=scan_path(batch, found)), 303)
    deployment().limits.claim(signed_in.number)
    claimed = actions.claim(
        deployment(),
        found,
        signed_in.number,
        visitor=visitor().visitor,
        touches=visitor().touches,
    )
    session["just_claimed"] = {
        "code": found.text,
        "already": claimed.already,
        "budget_spent": claimed.budget_spent,
    }
    return redirect(scan_path(batch, found), 303)


@codes.get("/01/<gtin>/21/<code>/claim")
def claim_again(gtin: str, code: str) -> AnyResponse:
    """To the package's page, where the button is: a claim that failed and is opened anew, as by
    coming back to a closed browser, is asked for by GET."""
    return redirect(url_for(".scan", gtin=gtin, code=code), 303)


def _claimed_page(
    code: Code, batch: Entry, campaign: Campaign | None, just_claimed: dict[str, Any]
) -> str:
    signed_in = customer()
    if signed_in is None:
        raise NotFound()
    with deployment().db.read() as tx:
        report = customers.claim_report(tx, deployment().keys, code, signed_in.id)
        story = brought_by(tx, signed_in.id) if report.is_first else None
        drawn = drawn_for(tx, code, signed_in.id)
        score = ratings.score_of(tx, report.claim_id) if report.claim_id else None
    return render_template(
        "claimed.html",
        product={"name": batch.product_name, "gtin": batch.gtin},
        already=just_claimed["already"],
        budget_spent=just_claimed["budget_spent"],
        rewards=[
            {
                "text": reward_words.reward_text(reward.rule, reward.depth),
                "amount": reward.amount,
                "unit": reward.unit,
                "state": reward.state,
                "available_at": reward.available_at,
                "is_looked_at": reward.is_looked_at,
            }
            for reward in report.rewards
        ],
        looked_at=reward_words.looked_at_text(),
        drawn=drawn,
        has_referrer=report.brought_in,
        referrer_name=report.referrer_name,
        brought_by=story,
        claim_id=report.claim_id,
        score=score,
        faces=faces(),
        complain_url=url_for("member.new_complaint", code=code.text),
        share=_share_kit(campaign),
    )


@codes.get("/c/compare")
def compare() -> str:
    typed = {label.value: request.args.get(label.value, "")[:TYPED_SHOWN_MAX] for label in Label}
    return render_template("compare.html", typed=typed, errors={}, match=None)


@codes.post("/c/compare")
def compare_labels() -> tuple[str, int]:
    """Whether the code outside and the one under the cap belong to one package."""
    typed = {label: request.form.get(label.value, "").strip() for label in Label}
    found: dict[Label, tuple[Code, Entry]] = {}
    errors: dict[str, str] = {}
    for label, text in typed.items():
        try:
            found[label] = _find(lookup.in_pasted(text)[0])
        except UnknownCode as problem:
            errors[label.value] = in_words(problem)
        else:
            if found[label][0].label is not label:
                errors[label.value] = _("This code belongs in the other field.")
    match = None
    if not errors:
        (outer, batch), (inner, _batch) = found[Label.outer], found[Label.inner]
        match = actions.compare_labels(deployment(), outer, inner, region=region())
    page = render_template(
        "compare.html",
        typed={label.value: text[:TYPED_SHOWN_MAX] for label, text in typed.items()},
        errors=errors,
        match=match,
        scan_url=scan_path(batch, inner) if match else None,
    )
    return page, 422 if errors else 200


def scan_path(batch: Entry, code: Code) -> str:
    return url_for("codes.scan", gtin=batch.gtin, code=code.text)


def _find(text: str, gtin: str | None = None) -> tuple[Code, Entry]:
    """The genuine code in an address, or as typed."""
    signed_in = customer()
    who = None if signed_in is None else lambda: signed_in.id
    return check_code(deployment(), text, gtin=gtin, customer=who, address=remote_address())


def _share_kit(campaign: Campaign | None) -> sharing.ShareKit | None:
    if campaign is None or machine():
        return None
    return sharing.share_kit(campaign, sharing.own_link(campaign))


def campaign_for(
    running: Sequence[Campaign], reader: VisitorCookie, preferred: int | None = None
) -> Campaign | None:
    """The claim's own campaign, one whose link this reader opened, or the newest."""
    wanted = [preferred, *(touch.link.campaign for touch in reader.touches)]
    for campaign_id in wanted:
        for campaign in running:
            if campaign.id == campaign_id:
                return campaign
    return next((each for each in running if each.pays_for_claims), next(iter(running), None))


def _record_scan(code: Code, verdict: Verdict, campaign: Campaign | None) -> None:
    if IN_VAIN in request.environ:
        raise Unavailable()
    reason = machine()
    if reason is None and not has_visitor_cookie():
        guessing = deployment().guessing
        if guessing.is_crowd(code.batch_id, code.index, remote_address()):
            reason = "crowd"
    visit = visit_of(
        code,
        verdict.span,
        campaign,
        visitor().visitor if reason is None else None,
        now(),
        region() if reason is None else None,
        flags=verdict.flags,
        machine=reason,
    )
    intake.hand_in(deployment(), visit, signed_in_id())
    if reason is None and verdict.first_seen_at is None:
        deployment().fresh_codes.note(visit)


def visit_of(
    code: Code,
    span: Span,
    campaign: Campaign | None,
    reader: int | None,
    at: datetime,
    region: str | None,
    *,
    flags: tuple[Flag, ...] = (),
    machine: str | None = None,
) -> Visit:
    """The visit of somebody, or of a machine, at the page of a code."""
    return Visit(
        kind=Kind.fetch if machine else Kind.scan,
        at=at,
        event_id=visits.new_event_id(at),
        visitor=None if machine else reader,
        campaign=campaign.id if campaign else None,
        batch=code.batch_id,
        code_index=code.index,
        label=code.label,
        store=span.terms.store_id,
        region=None if machine else region,
        flags=() if machine else flags,
        machine=machine,
    )
