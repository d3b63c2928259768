"""GS1's link types, however they are written."""

import pytest

from referral.gs1 import link_types


@pytest.mark.parametrize(
    "written",
    ["gs1:pip", "https://ref.gs1.org/voc/pip", "https://gs1.org/voc/pip", "http://gs1.org/voc/pip"],
)
def test_a_link_type_has_one_name(written: str) -> None:
    assert link_types.name_of(written) == "pip"
    assert link_types.short("pip") == "gs1:pip"
    assert link_types.uri("pip") == "https://ref.gs1.org/voc/pip"


@pytest.mark.parametrize(
    "name",
    [
        "defaultLink",
        "defaultLinkMulti",
        "instructions",
        "loyaltyProgram",
        "recallStatus",
        "certificationInfo",
        "hasRetailers",
        "sustainabilityInfo",
        "verificationService",
        "traceability",
        "dpp",
    ],
)
def test_the_words_of_gs1_are_known(name: str) -> None:
    assert link_types.name_of(f"gs1:{name}") == name


@pytest.mark.parametrize(
    "written",
    [
        "",
        "pip",
        "gs1:",
        "gs1:PIP",
        "gs1:pip ",
        "gs1:nothing",
        "https://ref.gs1.org/voc/",
        "schema:pip",
        "https://evil.example/voc/pip",
        "gs1:handledBy",
        "linkset",
    ],
)
def test_other_words_are_not(written: str) -> None:
    assert link_types.name_of(written) is None
