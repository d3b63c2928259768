"""The console's menu: what there is, in groups, for those whose role allows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from referral.errors import N_
from referral.staff import Right, StaffMember


@dataclass(frozen=True)
class Item:
    """A page of the menu. Pages say by `key` which item they belong to."""

    key: str
    label: str
    endpoint: str
    right: Right = Right.read


GROUPS: Sequence[tuple[str, Sequence[Item]]] = (
    (
        "",
        (
            Item("home", N_("Overview"), "staff.home"),
            Item("store", N_("My store"), "staff.own_store", Right.run_store),
        ),
    ),
    (
        N_("Growth"),
        (
            Item("campaigns", N_("Campaigns"), "staff.campaign_list"),
            Item("tree", N_("Customers"), "staff.tree"),
            Item("segments", N_("Segments"), "staff.segment_list"),
            Item("moments", N_("Moments"), "staff.moments"),
        ),
    ),
    (
        N_("Goods"),
        (
            Item("products", N_("Products"), "staff.products"),
            Item("batches", N_("Batches"), "staff.batch_list"),
            Item("stores", N_("Stores"), "staff.stores"),
            Item("orders", N_("Orders"), "staff.order_list"),
        ),
    ),
    (
        N_("Rewards"),
        (
            Item("items", N_("Items"), "staff.items_list"),
            Item("vouchers", N_("Vouchers"), "staff.vouchers_list"),
            Item("coupons", N_("Coupons"), "staff.coupon_pools"),
        ),
    ),
    (
        N_("Money"),
        (
            Item("money", N_("Money"), "staff.money"),
            Item("exports", N_("Exports"), "staff.exports", Right.export),
        ),
    ),
    (
        N_("Service"),
        (
            Item("complaints", N_("Complaints"), "staff.complaint_list"),
            Item("flags", N_("Flags"), "staff.flags"),
            Item("cases", N_("Cases"), "staff.case_list"),
        ),
    ),
    (
        N_("Running it"),
        (
            Item("intake", N_("Incoming visits"), "staff.intake"),
            Item("members", N_("Members"), "staff.member_list", Right.manage_staff),
            Item("audit", N_("Audit log"), "staff.audit_log_page", Right.audit),
        ),
    ),
)


def menu_of(member: StaffMember | None) -> Iterator[tuple[str, list[Item]]]:
    """The groups in which there is something for a member, with what that is."""
    for title, items in GROUPS:
        allowed = [item for item in items if member is not None and member.may(item.right)]
        if allowed:
            yield title, allowed
