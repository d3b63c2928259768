"""The command `referral`: setting a deployment up, looking after it and starting it."""

import click

import referral.cli.checks
import referral.cli.labels
import referral.cli.packages
import referral.cli.ranges  # noqa: F401 - these add their commands to `codes`
from referral import __version__
from referral.cli.audit import audit_group
from referral.cli.care import doctor, rewards_group, sweep
from referral.cli.cascades import cascades_command
from referral.cli.codes import codes
from referral.cli.coupons import coupons_group
from referral.cli.draws import draws_group
from referral.cli.forecast import dry_run_command, forecast_command
from referral.cli.intake import parked_group, recount_command, worker_command
from referral.cli.ledger import ledger_group
from referral.cli.orders import orders_group
from referral.cli.output import Commands
from referral.cli.replay import replay_command
from referral.cli.risk import risk_group
from referral.cli.service import demo, run, serve
from referral.cli.setup import api_key, campaign, db_group, product, staff
from referral.cli.spread import spread_group
from referral.cli.stores import stores_group


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="referral")
def cli() -> None:
    """Package codes, traced sharing and referral rewards for one brand.

    Settings come from the environment: REFERRAL_DATA_DIR, REFERRAL_DATABASE_URL and others, see
    docs/settings.md. Errors go to standard error with exit code 1, wrong usage with 2.
    """


for command in (
    *(run, serve, worker_command, demo),
    *(db_group, staff, api_key, product, stores_group, campaign, codes, orders_group),
    *(spread_group, cascades_command, replay_command, recount_command, parked_group),
    *(forecast_command, dry_run_command),
    *(coupons_group, draws_group),
    *(ledger_group, audit_group, rewards_group, risk_group, sweep, doctor),
):
    cli.add_command(command)


def main() -> None:
    cli(prog_name="referral")
