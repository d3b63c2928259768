"""Risk: what speaks against a purchase, and what is decided because of it.

`rules` are pure: facts in, findings out; `verdicts` adds findings up and decides; `canary` proves
that both still work. `records` is what is stored: verdicts, how rules are set, who is blocked.
`devices` keeps which customers used one browser, `networks` from which networks they signed in.
"""

from referral.risk.canary import canary
from referral.risk.devices import SharedDevice, note_shared
from referral.risk.merging import hand_over
from referral.risk.networks import CustomerNetwork, note_network, sweep_networks
from referral.risk.records import (
    REASON_LENGTH_MAX,
    BlockedCustomer,
    Case,
    RuleSetting,
    UnknownCase,
    VerdictRow,
    asking_to_store,
    block,
    is_blocked,
    merged,
    set_rule,
    settings_of,
    unblock,
    verdict_by_id,
    verdict_of,
)
from referral.risk.rules import (
    POINTS_MAX,
    RULES,
    Evidence,
    Facts,
    Finding,
    Mode,
    Package,
    Quiet,
    RiskRule,
    Setting,
    UnknownRule,
    defaults,
    find,
    rule_named,
)
from referral.risk.verdicts import (
    HOLD_FROM,
    REVIEW_FROM,
    Decision,
    Verdict,
    judge,
    verdict_on,
    worse,
)

__all__ = [
    "HOLD_FROM",
    "POINTS_MAX",
    "REASON_LENGTH_MAX",
    "REVIEW_FROM",
    "RULES",
    "BlockedCustomer",
    "Case",
    "CustomerNetwork",
    "Decision",
    "Evidence",
    "Facts",
    "Finding",
    "Mode",
    "Package",
    "Quiet",
    "RiskRule",
    "RuleSetting",
    "Setting",
    "SharedDevice",
    "UnknownCase",
    "UnknownRule",
    "Verdict",
    "VerdictRow",
    "asking_to_store",
    "block",
    "canary",
    "defaults",
    "find",
    "hand_over",
    "is_blocked",
    "judge",
    "merged",
    "note_network",
    "note_shared",
    "rule_named",
    "set_rule",
    "settings_of",
    "sweep_networks",
    "unblock",
    "verdict_by_id",
    "verdict_of",
    "verdict_on",
    "worse",
]
