"""The first page of the console."""

import re

import pytest

from referral.deployment import Deployment
from referral.links import LinkFault
from tests.readers import Reader
from tests.web.staff.conftest import sign_in


@pytest.mark.usefixtures("ann")
def test_staff_see_how_many_links_led_nowhere_and_why(
    deployment: Deployment, alice: Reader
) -> None:
    sign_in(alice, "ann")
    alice.get("/staff/")
    assert "Links that led nowhere" not in alice.page
    for fault in (*LinkFault, LinkFault.cut, LinkFault.cut):
        deployment.dead_links.count(fault)
    deployment.dead_links.flush()
    alice.get("/staff/")
    _, _, panel = alice.page.partition("Links that led nowhere")
    rows = re.findall(r"<tr><td>([^<]+)<small>[^<]+</small></td><td[^>]*>(\d+)</td>", panel)
    assert rows[0] == ("Cut off on the way", "3")
    assert dict(rows) == {
        "Cut off on the way": "3",
        "Without a token": "1",
        "Changed on the way": "1",
        "Not made here": "1",
        "Campaign not running": "1",
    }
