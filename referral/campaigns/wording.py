"""Words in a campaign's texts that chat platforms punish, up to a ban of the brand's address.

What is looked for is an offer, not a word: that sharing earns something, opens something, or helps
somebody to a lower price. That a friend's purchase is paid for may be said; so may that sharing
is not paid for. The patterns are in `phrases`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from referral.campaigns import phrases
from referral.campaigns.phrases import Kind
from referral.errors import N_

FINDINGS_MAX = 20

RULES = {
    Kind.paid_sharing: N_(
        "WeChat's rules for external links of 28 October 2019: nobody may be induced to share by "
        "money, red packets, goods, coupons, points, or a better chance in a draw."
    ),
    Kind.gated_sharing: N_(
        "WeChat's rules for external links of 28 October 2019: nothing may be shown only after "
        "sharing."
    ),
    Kind.help_game: N_(
        "WeChat's rules for external links of 28 October 2019: no games in which friends help, "
        "bargain or speed something up, and no collecting of likes or cards."
    ),
    Kind.pressed_sharing: N_(
        "WeChat's rules for external links of 28 October 2019: nobody may be pressed to share by "
        "exaggeration or threats."
    ),
    Kind.paid_following: N_(
        "WeChat's rules for external links of 28 October 2019: nobody may be induced to follow an "
        "account by a reward."
    ),
    Kind.engagement_bait: N_(
        "Facebook's rules on engagement bait of 18 December 2017: no asking for likes, shares, "
        "comments or tags."
    ),
}
"""The rule behind each kind, as it is shown."""

INSTEAD = {
    Kind.paid_sharing: N_(
        "Say what a friend's purchase brings: “If you buy and claim one, we both get points.”"
    ),
    Kind.gated_sharing: N_("Show it to everybody, and leave sharing to whoever likes it."),
    Kind.help_game: N_("Name the price or the gift, and who gets it for a purchase of their own."),
    Kind.pressed_sharing: N_("Say what is good about the product, and ask nobody to forward it."),
    Kind.paid_following: N_("Say what the account offers its readers, without a reward for it."),
    Kind.engagement_bait: N_("Say what is good about the product, and ask for nothing back."),
}
"""What to write in place of it."""


@dataclass(frozen=True)
class Finding:
    """Words that are punished."""

    field: str
    """The name of the text they stand in, such as `content.en.body`."""
    words: str
    """As they were written."""
    kind: Kind

    @property
    def rule(self) -> str:
        """The rule they break; marked for translation."""
        return RULES[self.kind]

    @property
    def instead(self) -> str:
        """What to write; marked for translation."""
        return INSTEAD[self.kind]

    def dump(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "words": self.words,
            "kind": self.kind,
            "rule": self.rule,
            "instead": self.instead,
        }


def check(texts: Mapping[str, str]) -> list[Finding]:
    """What is punished in these texts, by the name of their field."""
    found = [
        Finding(field, words, kind)
        for field, text in texts.items()
        for kind, words in phrases.punished(text)
    ]
    return found[:FINDINGS_MAX]
