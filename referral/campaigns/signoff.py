"""The sign-off that paying the second level needs: named, kept in the audit log, and void as soon
as the rules are not those that were signed any more."""

import hashlib
import json
from datetime import datetime

from sqlalchemy.orm import Session

from referral import audit
from referral.audit import AuditEntry
from referral.campaigns.campaign import AlreadyPublished, Campaign, CampaignState
from referral.campaigns.publishing import DepthTooGreat, deep
from referral.errors import N_, InvalidInput
from referral.rewards.rules import DEPTH_MAX

ACTION = "sign-off-depth"


class NothingToSignOff(InvalidInput):
    slug = "nothing-to-sign-off"
    title = N_("None of these rules needs a sign-off.")
    advice = N_("Only a rule that pays the second level does.")


def sign(tx: Session, campaign: Campaign, *, by: str, now: datetime) -> None:
    """Sign a locked draft's rules off, as they stand.

    Raises `AlreadyPublished`, `NothingToSignOff`, `DepthTooGreat`.
    """
    if campaign.state == CampaignState.published:
        raise AlreadyPublished()
    rules = deep(campaign.checked_rules)
    if not rules:
        raise NothingToSignOff()
    if too_deep := [rule for rule in rules if rule.depth > DEPTH_MAX]:
        raise DepthTooGreat(rules=too_deep)
    details = {"rules": [rule.id for rule in rules], "sha256": fingerprint(campaign)}
    audit.note(tx, by=by, action=ACTION, subject=subject_of(campaign), details=details, now=now)


def signed_by(tx: Session, campaign: Campaign) -> AuditEntry | None:
    """Who signed the rules off as they stand, and when; None where nobody has, or for others."""
    wanted = fingerprint(campaign)
    signed = [e for e in audit.of_subject(tx, subject_of(campaign)) if e.action == ACTION]
    last = signed[-1] if signed else None
    return last if last is not None and last.details.get("sha256") == wanted else None


def is_signed_off(tx: Session, campaign: Campaign) -> bool:
    """Whether paying the second level is signed off, or not needed."""
    return not deep(campaign.checked_rules) or signed_by(tx, campaign) is not None


def subject_of(campaign: Campaign) -> str:
    """Under which subject the audit log has what was decided about a campaign."""
    return f"campaign:{campaign.id}"


def fingerprint(campaign: Campaign) -> str:
    """The SHA-256 of the rules, however they are written down."""
    rules = [rule.dump() for rule in campaign.checked_rules]
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
