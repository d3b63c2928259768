"""The staff console: what a brand's people see and do. One noun, one file."""

# Importing a file adds its routes to the blueprint.
import referral.web.staff.account
import referral.web.staff.amending
import referral.web.staff.audit
import referral.web.staff.auth
import referral.web.staff.batch
import referral.web.staff.batches
import referral.web.staff.campaign
import referral.web.staff.campaigns
import referral.web.staff.cases
import referral.web.staff.codes
import referral.web.staff.compare
import referral.web.staff.complaints
import referral.web.staff.coupon_codes
import referral.web.staff.coupons
import referral.web.staff.credits
import referral.web.staff.customers
import referral.web.staff.editing
import referral.web.staff.exports
import referral.web.staff.flags
import referral.web.staff.forecasts
import referral.web.staff.home
import referral.web.staff.intake
import referral.web.staff.items
import referral.web.staff.labels
import referral.web.staff.members
import referral.web.staff.merging
import referral.web.staff.moments
import referral.web.staff.money
import referral.web.staff.money_accounts
import referral.web.staff.money_budgets
import referral.web.staff.orders
import referral.web.staff.passkeys
import referral.web.staff.product
import referral.web.staff.product_life
import referral.web.staff.products
import referral.web.staff.revealing
import referral.web.staff.search
import referral.web.staff.second_step
import referral.web.staff.security
import referral.web.staff.segments
import referral.web.staff.sign_in
import referral.web.staff.single_sign_on
import referral.web.staff.spread
import referral.web.staff.store
import referral.web.staff.stores
import referral.web.staff.tills
import referral.web.staff.tree
import referral.web.staff.tree_nodes
import referral.web.staff.tree_picture
import referral.web.staff.vouchers  # noqa: F401 - all of these
from referral.web.staff.blueprint import staff

__all__ = ["staff"]
