"""Through which app a link came."""

import csv
from pathlib import Path

import pytest

from referral.channels import arrived_through
from referral.links import Channel

PLAIN = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
WECHAT = f"{PLAIN} MicroMessenger/8.0.53 NetType/WIFI Language/zh_CN"
APPS = {
    "WeChat": Channel.wechat,
    "WeChat mini program": Channel.wechat,
    "QQ": Channel.qq,
    "TIM": Channel.qq,
    "Weibo": Channel.weibo,
    "WhatsApp": Channel.whatsapp,
    "Telegram": Channel.telegram,
    "LINE": Channel.line,
    "Facebook": Channel.facebook,
    "Messenger": Channel.facebook,
    "X": Channel.x,
}
OWN_BROWSERS = [
    row
    for row in csv.DictReader((Path(__file__).parent / "agents.csv").read_text().splitlines())
    if row["label"] == "person"
]


def test_a_link_that_names_its_channel_is_believed() -> None:
    for said in set(Channel) - {Channel.unknown, Channel.address}:
        assert arrived_through(said, {"from": "timeline"}, WECHAT) is said


@pytest.mark.parametrize(
    "added, channel",
    [
        ("singlemessage", Channel.wechat),
        ("groupmessage", Channel.wechat),
        ("timeline", Channel.moments),
        ("elsewhere", Channel.wechat),
    ],
)
def test_wechat_writes_into_an_address_how_it_was_forwarded(added: str, channel: Channel) -> None:
    assert arrived_through(Channel.address, {"from": added}, WECHAT) is channel


def test_a_moment_opened_in_another_browser_is_one_all_the_same() -> None:
    assert arrived_through(Channel.unknown, {"from": "timeline"}, PLAIN) is Channel.moments


@pytest.mark.parametrize("said", [Channel.unknown, Channel.address])
def test_a_browser_of_no_app_says_nothing(said: Channel) -> None:
    assert arrived_through(said, {}, PLAIN) is said
    assert arrived_through(said, {}, "") is said


def test_each_apps_own_browser_is_known_and_no_other_is_taken_for_one() -> None:
    wrong = []
    for row in OWN_BROWSERS:
        channel = arrived_through(Channel.unknown, {}, row["agent"])
        if channel is not APPS.get(row["app"], Channel.unknown):
            wrong.append((row["app"], row["platform"], channel.name, row["agent"]))
    assert not wrong
    assert len([row for row in OWN_BROWSERS if row["app"] in APPS]) >= 20
