"""What people do here. One function is one user-visible write and one database transaction.

Call them as ``actions.claim(deployment, ...)``: `transaction` opens, retries and commits.
"""

from referral.actions.claiming import Claimed, Credit, claim, compare_labels
from referral.actions.customers import (
    SignedIn,
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
    issue_batch,
    publish_campaign,
    record_package,
    revise_campaign,
    set_labels,
    set_product_links,
    set_range,
)
from referral.actions.upkeep import Swept, release_rewards, sweep

__all__ = [
    "Claimed",
    "Credit",
    "SignedIn",
    "Swept",
    "add_api_key",
    "add_campaign",
    "add_customer",
    "add_picture",
    "add_product",
    "add_staff",
    "add_store",
    "assign_range",
    "claim",
    "compare_labels",
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
    "sign_in",
    "sign_in_with_wechat",
    "sweep",
]
