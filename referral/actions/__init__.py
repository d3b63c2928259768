"""What people do here. One function is one user-visible write and one database transaction.

Call them as ``actions.claim(deployment, ...)``: `transaction` opens, retries and commits.
"""

from referral.actions.claiming import Claimed, claim, compare_labels
from referral.actions.customers import (
    SignedIn,
    add_contact,
    add_customer,
    make_link,
    rename,
    request_sign_in_code,
    sign_in,
    sign_in_with_wechat,
)
from referral.actions.setup import (
    add_api_key,
    add_campaign,
    add_picture,
    add_product,
    add_staff,
    add_store,
    assign_range,
    edit_content,
    issue_batch,
    publish_campaign,
    record_package,
    revise_campaign,
    set_labels,
    set_product_links,
    set_range,
)
from referral.actions.sifting import Sifted, sift
from referral.actions.upkeep import Swept, release_rewards, sweep

__all__ = [
    "Claimed",
    "Sifted",
    "SignedIn",
    "Swept",
    "add_api_key",
    "add_campaign",
    "add_contact",
    "add_customer",
    "add_picture",
    "add_product",
    "add_staff",
    "add_store",
    "assign_range",
    "claim",
    "compare_labels",
    "edit_content",
    "issue_batch",
    "make_link",
    "publish_campaign",
    "record_package",
    "release_rewards",
    "rename",
    "request_sign_in_code",
    "revise_campaign",
    "set_labels",
    "set_product_links",
    "set_range",
    "sift",
    "sign_in",
    "sign_in_with_wechat",
    "sweep",
]
