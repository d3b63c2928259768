"""What browsers say they are, as members see it."""

import pytest

from referral.staff.browsers import browser_label
from tests.conftest import DESKTOP_AGENT, PHONE_AGENT
from tests.readers import PHONE

EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
)


@pytest.mark.parametrize(
    ("agent", "label"),
    [
        (PHONE, "WeChat, iPhone"),
        (PHONE_AGENT, "Chrome, Android"),
        (DESKTOP_AGENT, "Chrome, Linux"),
        (EDGE, "Edge, Windows"),
        ("curl/8.5.0", ""),
        ("", ""),
        ("Firefox/1" * 100_000, "Firefox"),
    ],
)
def test_a_browser_is_named_coarsely(agent: str, label: str) -> None:
    assert browser_label(agent) == label
