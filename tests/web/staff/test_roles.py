"""Every route of the console and every role, cell by cell: let in, or refused."""

from collections.abc import Callable
from types import CellType

import pytest
from flask import Flask, url_for
from werkzeug.routing import Rule

from referral import actions
from referral.deployment import Deployment
from referral.staff import Role
from referral.stores import StoreKind
from tests.readers import Reader
from tests.web.staff.conftest import PASSWORD, sign_in, text

OWNER, MARKETER, ANALYST, SUPPORT, MANAGER = (
    Role.owner,
    Role.marketer,
    Role.analyst,
    Role.support,
    Role.store_manager,
)
EVERYBODY = {*Role}
READERS = {OWNER, MARKETER, ANALYST, SUPPORT}
CHANGERS = {OWNER, MARKETER}
HELPERS = {OWNER, SUPPORT}
EXPORTERS = {OWNER, MARKETER, ANALYST}
OWNERS = {OWNER}
MANAGERS = {MANAGER}
OPEN: set[Role] | None = None
"""For whoever is not signed in yet."""

TABLE: dict[str, set[Role] | None] = {
    "credits_by_hand": {OWNER, MARKETER, SUPPORT},
    **dict.fromkeys(
        (
            "accept_invitation",
            "back_from_elsewhere",
            "check_second_factor",
            "check_sign_in",
            "invitation",
            "needed_factor",
            "passkey_options",
            "second_factor",
            "set_up_needed_factor",
            "sign_in",
            "sign_in_with_passkey",
            "sign_out",
            "start_elsewhere",
        ),
        OPEN,
    ),
    **dict.fromkeys(
        (
            "account",
            "add_passkey",
            "change_password",
            "check_confirm",
            "confirm",
            "confirm_with_passkey",
            "end_own_sessions",
            "home",
            "new_passkey_options",
            "new_recovery_codes",
            "new_totp",
            "remove_passkey",
            "remove_totp",
            "security",
            "set_up_totp",
            "unlink_provider",
        ),
        EVERYBODY,
    ),
    **dict.fromkeys(
        (
            "batch",
            "batch_list",
            "branches",
            "campaign",
            "campaign_card",
            "campaign_dry_run",
            "campaign_forecast",
            "campaign_ledger",
            "campaign_list",
            "case",
            "case_list",
            "code",
            "compare_campaigns",
            "complaint",
            "complaint_list",
            "complaint_picture",
            "count_segment",
            "coupon",
            "coupon_pool",
            "coupon_pools",
            "coupon_search",
            "customer",
            "find",
            "find_coupon",
            "find_voucher",
            "first_sharers",
            "flags",
            "intake",
            "item",
            "items_list",
            "moments",
            "money",
            "money_account",
            "money_accounting",
            "money_accounts",
            "money_budget",
            "money_budgets",
            "money_rewards",
            "order",
            "order_list",
            "product",
            "product_life",
            "products",
            "quadrants",
            "root_branches",
            "search",
            "segment",
            "segment_list",
            "spread",
            "spread_branch",
            "spread_branches",
            "spread_drawn",
            "spread_of",
            "spread_picture",
            "store",
            "store_ranking",
            "store_tills",
            "stores",
            "tree",
            "tree_branch",
            "tree_drawn",
            "tree_of",
            "tree_picture",
            "try_segment",
            "voucher",
            "vouchers_list",
        ),
        READERS,
    ),
    **dict.fromkeys(
        (
            "add_campaign",
            "add_item",
            "add_orders",
            "add_pool",
            "add_product",
            "add_segment",
            "add_store",
            "add_till",
            "amend_terms",
            "approve_credit",
            "better_terms",
            "change_batch",
            "close_till",
            "discard_parked",
            "download_coupons",
            "edit_campaign",
            "edit_content",
            "edit_content_of",
            "generate_coupons",
            "issue_batch",
            "keep_visits",
            "label_sheet",
            "new_campaign",
            "new_item",
            "open_store_links",
            "preview_campaign",
            "publish_campaign",
            "refuse_credit",
            "remove_segment",
            "replay_parked",
            "revise_campaign",
            "revise_item",
            "set_advertising_cost",
            "set_labels",
            "set_links",
            "set_store_limits",
            "upload_coupons",
        ),
        CHANGERS,
    ),
    **dict.fromkeys(
        (
            "act_on_complaint",
            "add_credit",
            "ask_for_contacts",
            "block_in_case",
            "decide_case",
            "find_same",
            "make_coupon_good",
            "merge_customers",
            "same",
            "show_contacts",
            "undo_voucher",
            "withdraw_credit",
        ),
        HELPERS,
    ),
    **dict.fromkeys(
        (
            "add_export",
            "delete_export",
            "export_file",
            "export_list",
            "exports",
        ),
        EXPORTERS,
    ),
    **dict.fromkeys(
        (
            "add_member",
            "audit_file",
            "audit_log_page",
            "change_member",
            "clear_second_factors",
            "end_member_sessions",
            "invite_again",
            "member_list",
            "member_page",
            "sign_off_campaign",
            "switch_member_off",
            "switch_member_on",
        ),
        OWNERS,
    ),
    **dict.fromkeys(
        (
            "add_own_till",
            "close_own_till",
            "open_own_links",
            "own_store",
            "own_tills",
            "run_store_campaign",
        ),
        MANAGERS,
    ),
}
"""Whom each route lets in, by its name."""


@pytest.fixture
def cells(app: Flask, monkeypatch: pytest.MonkeyPatch) -> dict[str, CellType | None]:
    """What stands behind the guard of each route, which says no more than that it was reached.

    None for a route that has no guard.
    """
    found = {}
    for rule in routes(app):
        view = app.view_functions[rule.endpoint]
        names = getattr(view, "__code__", None) and view.__code__.co_freevars
        cell = None
        if names and "rights" in names:
            cell = view.__closure__[names.index("view")]
            monkeypatch.setattr(cell, "cell_contents", lambda *_, **__: "let in")
        found[rule.endpoint.removeprefix("staff.")] = cell
    return found


@pytest.fixture
def readers(app: Flask, deployment: Deployment) -> dict[Role, Reader]:
    """Somebody of every role, signed in."""
    actions.add_store(deployment, slug="east", name="East", kind=StoreKind.store, region=None)
    found = {}
    for role in Role:
        store = "east" if role == Role.store_manager else None
        email = f"{role}@brand.example"
        actions.add_staff(deployment, email=email, password=PASSWORD, role=role, store=store)
        found[role] = sign_in(Reader(app), role, then="/staff/account")
        found[role].get("/staff/account")
    return found


def routes(app: Flask) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if rule.endpoint[:6] == "staff."]


def asking(app: Flask, rule: Rule) -> Callable[[Reader, str], tuple[int, str]]:
    """Asks a route as somebody, with a token against forgery: the status, and where to."""
    numbers = {n: 1 for n, of in rule._converters.items() if type(of).__name__[:7] == "Integer"}
    with app.test_request_context():
        path = url_for(rule.endpoint, **{**dict.fromkeys(rule.arguments, "x"), **numbers})

    def ask(reader: Reader, token: str) -> tuple[int, str]:
        if "POST" in (rule.methods or ()):
            answer = reader.post(path, {"csrf_token": token})
        else:
            answer = reader.get(path)
        return answer.status_code, answer.location or ""

    return ask


def test_every_route_is_in_the_table_and_guarded(
    app: Flask, cells: dict[str, CellType | None]
) -> None:
    assert {rule.endpoint.removeprefix("staff.") for rule in routes(app)} == set(TABLE)
    open_ones = {name for name, cell in cells.items() if cell is None}
    assert open_ones == {name for name, roles in TABLE.items() if roles is OPEN}


@pytest.mark.parametrize("role", Role)
def test_a_role_gets_exactly_where_the_table_says(
    app: Flask, readers: dict[Role, Reader], cells: dict[str, CellType | None], role: Role
) -> None:
    reader = readers[role]
    token = reader.form_token()
    wrong = []
    for rule in routes(app):
        name = rule.endpoint.removeprefix("staff.")
        allowed = TABLE.get(name)
        if allowed is OPEN:
            continue
        status, _ = asking(app, rule)(reader, token)
        expected = (200, "let in") if role in allowed else (403, "Your role does not allow this")
        if status != expected[0] or expected[1] not in text(reader):
            wrong.append(f"{role} at {name}: {status}")
    assert wrong == []


def test_a_stranger_gets_nowhere(app: Flask, cells: dict[str, CellType | None]) -> None:
    stranger = Reader(app)
    stranger.get("/staff/sign-in")
    token = stranger.form_token()
    for rule in routes(app):
        if TABLE.get(rule.endpoint.removeprefix("staff.")) is not OPEN:
            status, location = asking(app, rule)(stranger, token)
            assert status == 303, rule
            assert location.startswith("/staff/sign-in?next="), rule
