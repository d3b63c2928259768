"""Cases: purchases that the risk rules want somebody to look at."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from referral import actions
from referral.actions import CaseClosed, Choice, NothingToHold, ReasonMissing
from referral.people import UnknownCustomer
from referral.reports import cases as report
from referral.risk import REASON_LENGTH_MAX, Case, Decision, UnknownCase
from referral.texts import Line
from referral.web.api.auth import caller
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Id, Input
from referral.web.context import deployment
from referral.web.problems import invalid_field


class CasesQuery(Page):
    state: Case | None = None
    """In this state only."""


class FindingOut(Output):
    """What a rule found."""

    rule: str
    points: int
    shadow: bool
    """Whether the rule is being tried out: it does not count then."""
    evidence: dict[str, Any]
    """The numbers it went by."""


class CaseOut(Output):
    """The verdict on a purchase, and where its review stands."""

    id: int
    event: str
    """The proof of purchase, such as `claim:17`."""
    customer: int
    referrer: int | None
    """Who would be paid for it but for the customer."""
    at: datetime
    score: int
    decision: Decision
    """What the rules decided."""
    state: Case | None
    """Null where no review was asked for."""
    findings: list[FindingOut]
    amounts: dict[str, int]
    """What was granted for it and not taken back, by unit."""
    blocked: list[int]
    """Who of customer and referrer is blocked."""
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


class CaseList(Output):
    """A page of cases: open ones by score, others the newest first."""

    items: list[CaseOut]
    next: str | None


class DecisionIn(Input):
    """What to do, and why."""

    decision: Literal["accept", "hold", "reverse", "block", "unblock"]
    """`accept` lets what is pending be paid, `hold` keeps it pending, `reverse` takes back all that
    was granted, for good. `block` and `unblock` are about a person: whether the customer gets any
    rewards from now on."""
    reason: Line = Field(min_length=1, max_length=REASON_LENGTH_MAX)
    customer: Id | None = None
    """Whom to block or unblock: somebody of the case. Left out: the buyer."""


@get("/cases", query=CasesQuery, answer=CaseList)
def list_cases(query: CasesQuery) -> CaseList:
    """List cases."""
    with deployment().db.read() as tx:
        found = report.cases(tx, query.state, offset=query.offset, limit=query.size)
        people = {each for line in found.rows for each in (line.customer_id, line.referrer_id)}
        blocked = set(report.blocked_among(tx, [each for each in people if each]))
    return CaseList(items=[_shown(line, blocked) for line in found.rows], next=following(found))


@get("/cases/<int:case_id>", answer=CaseOut, problems=[UnknownCase])
def get_case(case_id: int) -> CaseOut:
    """Get a case."""
    return _case(case_id)


@post(
    "/cases/<int:case_id>/decision",
    body=DecisionIn,
    answer=CaseOut,
    statuses={200: "Decided"},
    problems=[UnknownCase, UnknownCustomer, ReasonMissing, CaseClosed, NothingToHold],
)
def decide_case(case_id: int, body: DecisionIn) -> CaseOut:
    """Decide a case.

    The same decision again changes nothing. After `accept` one may still `hold`, as long as
    something is pending; `reverse` is final.
    """
    if body.decision in {"block", "unblock"}:
        _block(case_id, body)
    else:
        choice = Choice(body.decision)
        if body.customer is not None:
            raise invalid_field("customer", "Only block and unblock are about a person.")
        actions.decide_case(deployment(), case_id, choice, by=caller(), reason=body.reason)
    return _case(case_id)


def _block(case_id: int, body: DecisionIn) -> None:
    with deployment().db.read() as tx:
        found = report.case(tx, case_id)
    customer = body.customer or found.line.customer_id
    if customer not in found.people:
        raise invalid_field("customer", "This customer has no part in the case.")
    change = actions.block_customer if body.decision == "block" else actions.unblock_customer
    change(deployment(), customer, by=caller(), reason=body.reason)


def _case(case_id: int) -> CaseOut:
    with deployment().db.read() as tx:
        found = report.case(tx, case_id)
    return _shown(found.line, set(found.blocked))


def _shown(line: report.CaseLine, blocked: set[int]) -> CaseOut:
    return CaseOut(
        id=line.id,
        event=line.event,
        customer=line.customer_id,
        referrer=line.referrer_id,
        at=line.at,
        score=line.score,
        decision=Decision(line.decision),
        state=Case(line.state) if line.state else None,
        findings=[
            FindingOut(
                rule=each.rule,
                points=each.points,
                shadow=each.is_shadow,
                evidence=dict(each.evidence),
            )
            for each in line.findings
        ],
        amounts=dict(line.amounts),
        blocked=sorted({line.customer_id, line.referrer_id or 0} & blocked),
        decided_by=line.reviewed_by,
        decided_at=line.reviewed_at,
        reason=line.reason,
    )
