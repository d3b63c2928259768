"""Passkeys: what is asked of a browser, and every answer that must not let anybody in."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest

from referral import actions
from referral.actions.second_factors import party
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.staff import StaffMember, passkeys
from referral.staff.passkeys import (
    NoPasskeysHere,
    Passkey,
    PasskeyExists,
    PasskeyRefused,
    party_of,
)
from tests.races import at_once
from tests.staff.authenticator import HAS_KEY, PRESENT, VERIFIED, Device
from tests.staff.conftest import add_member


def add(
    deployment: Deployment, member: StaffMember, device: Device, name: str = "Phone"
) -> list[str]:
    with deployment.db.read() as tx:
        existing = passkeys.of_member(tx, member.id)
    handle, challenge = passkeys.handle_of(existing), passkeys.new_challenge()
    asked = passkeys.asking_to_add(
        party(deployment),
        email=member.email,
        handle=handle,
        challenge=challenge,
        existing=existing,
    )
    return actions.add_passkey(
        deployment,
        member,
        challenge=challenge,
        handle=handle,
        answer=device.make(asked),
        name=name,
    )


def use(deployment: Deployment, device: Device, change: Callable[[Any], None] | None = None) -> str:
    """Sign in; `change` has the answer changed on its way. Returns who it is."""
    challenge = passkeys.new_challenge()
    answer = device.sign(passkeys.asking(party(deployment), challenge))
    if change:
        sent = json.loads(answer)
        change(sent)
        answer = json.dumps(sent)
    return actions.use_passkey(deployment, challenge=challenge, answer=answer).email


def of_olga(deployment: Deployment, olga: StaffMember) -> list[Passkey]:
    with deployment.db.read() as tx:
        return list(passkeys.of_member(tx, olga.id))


def test_a_member_has_several_and_each_lets_him_in(
    deployment: Deployment, olga: StaffMember, clock: HeldClock
) -> None:
    phone, computer = Device(), Device(counts=False)
    assert len(add(deployment, olga, phone)) == 10
    assert add(deployment, olga, computer, "计算机") == [], "recovery codes come with the first"
    for device in (phone, computer, computer, phone):
        assert use(deployment, device) == "olga@brand.example"
    kept = of_olga(deployment, olga)
    assert [each.name for each in kept] == ["Phone", "计算机"]
    assert len({each.user_handle for each in kept}) == 1
    assert [each.sign_count for each in kept] == [3, 0]
    assert [each.used_at for each in kept] == [clock.now()] * 2
    assert kept[0].transports == ["internal"]


def test_what_is_asked_names_the_brand_and_wants_a_person(
    deployment: Deployment, olga: StaffMember
) -> None:
    add(deployment, olga, device := Device())
    existing = of_olga(deployment, olga)
    challenge = passkeys.new_challenge()
    asked = passkeys.asking_to_add(
        party(deployment),
        email=olga.email,
        handle="aGFuZGxl",
        challenge=challenge,
        existing=existing,
    )
    assert asked["rp"] == {"id": "localhost", "name": "Referral"}
    assert asked["challenge"] == challenge
    assert asked["excludeCredentials"][0]["id"] == existing[0].credential_id
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    asked = passkeys.asking(party(deployment), challenge)
    assert (asked["rpId"], asked["userVerification"]) == ("localhost", "required")
    assert asked["allowCredentials"] == [], "the device finds out who it is"
    assert device.user_handle == existing[0].user_handle


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://localhost.evil.example"},
        {"origin": "http://localhost:8000"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
    ],
    ids=str,
)
def test_an_answer_for_another_page_or_without_a_person_lets_nobody_in(
    deployment: Deployment, olga: StaffMember, wrong: dict[str, Any]
) -> None:
    with pytest.raises(PasskeyRefused):
        add(deployment, olga, Device(**wrong))
    assert of_olga(deployment, olga) == []
    device = Device()
    add(deployment, olga, device)
    for name, value in wrong.items():
        setattr(device, name, value)
    with pytest.raises(PasskeyRefused):
        use(deployment, device)


def test_a_count_that_did_not_rise_is_refused(deployment: Deployment, olga: StaffMember) -> None:
    device = Device()
    add(deployment, olga, device)
    use(deployment, device)
    use(deployment, device)
    device.count -= 1  # the next one says what the last one said: a copy
    with pytest.raises(PasskeyRefused):
        use(deployment, device)
    assert use(deployment, device) == "olga@brand.example"


def test_a_challenge_is_good_once(deployment: Deployment, olga: StaffMember) -> None:
    device = Device(counts=False)
    add(deployment, olga, device)
    challenge = passkeys.new_challenge()
    answer = device.sign(passkeys.asking(party(deployment), challenge))
    signing_in = lambda: actions.use_passkey(deployment, challenge=challenge, answer=answer)  # noqa: E731
    outcomes = at_once([signing_in] * 4)
    assert [type(each) for each in outcomes].count(PasskeyRefused) == 3
    with pytest.raises(PasskeyRefused):
        signing_in()


def test_an_answer_to_another_challenge_is_refused(
    deployment: Deployment, olga: StaffMember
) -> None:
    device = Device()
    add(deployment, olga, device)
    answer = device.sign(passkeys.asking(party(deployment), passkeys.new_challenge()))
    with pytest.raises(PasskeyRefused):
        actions.use_passkey(deployment, challenge=passkeys.new_challenge(), answer=answer)


def alter(name: str, value: Any) -> Callable[[Any], None]:
    return lambda sent: sent["response"].__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        alter("signature", "AAAA"),
        alter("signature", None),
        alter("userHandle", "c29tZWJvZHkgZWxzZQ"),
        alter("authenticatorData", "AA"),
        alter("clientDataJSON", "!!!"),
        lambda sent: sent.__setitem__("id", "unknown"),
        lambda sent: sent.__setitem__("id", 7),
        lambda sent: sent.__setitem__("id", "\ud800"),
        lambda sent: sent.__setitem__("id", "a\0b"),
        lambda sent: sent.__setitem__("type", "password"),
        lambda sent: sent.pop("response"),
        lambda sent: sent.__setitem__("response", []),
        lambda sent: sent.__setitem__("response", {}),
    ],
)
def test_an_altered_answer_is_refused(
    deployment: Deployment, olga: StaffMember, change: Callable[[Any], None]
) -> None:
    device = Device()
    add(deployment, olga, device)
    with pytest.raises(PasskeyRefused):
        use(deployment, device, change)


@pytest.mark.parametrize("answer", ["", "x", "[]", "null", "7", "[" * 5000, "{}", '{"id": "x"}'])
def test_what_is_no_answer_is_refused(
    deployment: Deployment, olga: StaffMember, answer: str
) -> None:
    with pytest.raises(PasskeyRefused):
        actions.use_passkey(deployment, challenge=passkeys.new_challenge(), answer=answer)
    with pytest.raises(PasskeyRefused):
        actions.add_passkey(
            deployment,
            olga,
            challenge=passkeys.new_challenge(),
            handle="aGFuZGxl",
            answer=answer,
            name="Phone",
        )


class KeylessDevice(Device):
    """Where its key should be, behind the credential's id, is a list."""

    def _data(self, *, new: bool = False) -> bytes:
        data = super()._data(new=new)
        at = data.index(self.credential_id) + len(self.credential_id)
        return data[:at] + cbor2.dumps([1])


def test_a_passkey_without_a_key_is_refused(deployment: Deployment, olga: StaffMember) -> None:
    with pytest.raises(PasskeyRefused):
        add(deployment, olga, KeylessDevice())
    assert of_olga(deployment, olga) == []


def test_a_passkey_that_is_there_is_not_added_again_nor_to_another_member(
    deployment: Deployment, olga: StaffMember
) -> None:
    device = Device()
    add(deployment, olga, device)
    for member in (olga, add_member(deployment, "ann")):
        with pytest.raises(PasskeyExists):
            add(deployment, member, device)


def test_a_removed_one_and_that_of_somebody_switched_off_let_nobody_in(
    deployment: Deployment, olga: StaffMember
) -> None:
    ann, device, other = add_member(deployment, "ann"), Device(), Device()
    add(deployment, olga, device)
    add(deployment, ann, other)
    own = of_olga(deployment, olga)[0]
    assert actions.remove_passkey(deployment, ann, own.id) is None, "it is not hers"
    assert use(deployment, device) == "olga@brand.example"
    assert actions.remove_passkey(deployment, olga, own.id) == "Phone"
    with pytest.raises(PasskeyRefused):
        use(deployment, device)
    actions.switch_staff_off(deployment, ann.id, by="olga@brand.example")
    with pytest.raises(PasskeyRefused):
        use(deployment, other)


def test_there_are_none_at_an_address_where_browsers_allow_none(deployment: Deployment) -> None:
    none = ("http://127.0.0.1:8000", "https://192.0.2.1", "https://[::1]", "http://brand.example")
    assert [party_of(url, "Tea") for url in none] == [None] * 4
    known = {
        "https://Brand.example": ("brand.example", "https://brand.example"),
        "https://brand.example:443": ("brand.example", "https://brand.example"),
        "https://brand.example:8443": ("brand.example", "https://brand.example:8443"),
        "http://localhost:8000": ("localhost", "http://localhost:8000"),
    }
    for url, (host, origin) in known.items():
        found = party_of(url, "Tea")
        assert found
        assert (found.id, found.origin, found.name) == (host, origin, "Tea")
    elsewhere = replace(deployment.config, base_url="http://127.0.0.1:8000")
    with pytest.raises(NoPasskeysHere):
        party(replace(deployment, config=elsewhere))


def test_the_device_of_these_tests_says_what_a_device_says() -> None:
    assert (PRESENT, VERIFIED, HAS_KEY) == (1, 4, 64)
