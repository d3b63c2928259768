"""Finding a code in what somebody hands in: an address, or a code alone."""

import pytest

from referral import lookup
from referral.claims import WrongProduct
from referral.codes import Code, Label, MistypedCode, UnknownCode
from referral.deployment import Deployment
from referral.gs1.gtin import BadGTIN
from referral.lookup import OtherBatch, SameLabel
from tests.cast import GTIN, OTHER_GTIN, add_product, issue

CODE = "0123456789ABCDEF"


@pytest.mark.parametrize(
    "address",
    [
        f"/01/{GTIN}/21/{CODE}",
        f"https://brand.example/01/{GTIN}/21/{CODE}",
        f"HTTPS://BRAND.EXAMPLE/01/{GTIN}/21/{CODE}/?17=270301#top",
        f"https://brand.example/below/01/{GTIN}/21/{CODE}",
        f"https://brand.example/01/{GTIN}/22/v/10/L%2F1/21/{CODE}",
        f"https://brand.example/01/{GTIN}/21/0123456789%41BCDEF",
        f"https://brand.example/01/{GTIN}/10/21/21/{CODE}",
        f"https://brand.example/01/{GTIN}/10/01/21/{CODE}?from=wechat",
    ],
)
def test_a_code_stands_in_its_address(address: str) -> None:
    assert lookup.in_address(address) == (CODE, GTIN)
    assert lookup.in_text(address) == (CODE, GTIN)


@pytest.mark.parametrize(
    "address",
    [
        "",
        CODE,
        "https://brand.example/",
        f"/01/{GTIN}",
        f"/21/{CODE}",
        f"https://[b/01/1/21/{CODE}",
    ],
)
def test_other_addresses_have_none(address: str) -> None:
    assert lookup.in_address(address) is None


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"https://brand.example/c/{CODE}",
        f"/c/{CODE}/",
        f"brand.example/c/{CODE}#top",
        f"https://brand.example/c/{CODE}?from=wechat&code=1",
        f"https://brand.example/c?from=wechat&code={CODE}",
        "/c/?code=0123456789%41BCDEF",
    ],
)
def test_a_code_may_stand_alone(text: str) -> None:
    assert lookup.in_text(text) == (CODE, None)


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        (f"https://brand.example/01/{GTIN}/21/{CODE}", GTIN),
        (f"https://brand.example/01/{GTIN}/21/{CODE}。", GTIN),
        (f"https://brand.example/01/{GTIN}/21/{CODE}.", GTIN),
        (f"https://brand.example/01/{GTIN}/21/{CODE}?from=wechat，真的吗", GTIN),
        (f"真的吗？https://brand.example/01/{GTIN}/21/{CODE}看看", GTIN),
        (f"Real? a/b (see brand.example/01/{GTIN}/21/{CODE}), please", GTIN),
        (f"https://brand.example/c/{CODE} 看看", None),
        (f"看看 https://brand.example/c?code={CODE}。", None),
    ],
)
def test_an_address_is_found_among_words(text: str, gtin: str | None) -> None:
    assert lookup.in_pasted(text) == (CODE, gtin)


@pytest.mark.parametrize(
    "text",
    ["", CODE, "0123 4567-89AB CDEF", "０１２３", "01/23/45", "https://other.example/" + CODE],
)
def test_what_is_no_address_of_ours_stays_as_typed(text: str) -> None:
    assert lookup.in_pasted(text) == (text, None)


def test_a_broken_address_is_no_code() -> None:
    assert lookup.in_text("https://[b/c/1") == ("https://[b/c/1", None)


def test_a_code_is_found_with_its_batch(deployment: Deployment) -> None:
    add_product(deployment)
    add_product(deployment, OTHER_GTIN)
    batch, other = issue(deployment), issue(deployment)
    code = deployment.codes.encode(batch, 7)
    entry = deployment.directory.batch(batch.id)
    assert lookup.find(deployment, code.grouped.lower(), GTIN) == (code, entry)
    assert lookup.find(deployment, code.text, GTIN.removeprefix("0")) == (code, entry)
    assert lookup.index_in(deployment, batch.id, f"/01/{GTIN}/21/{code.text}") == 7
    for gtin, refused in ((OTHER_GTIN, WrongProduct), ("06901234567893", BadGTIN)):
        with pytest.raises(refused):
            lookup.find(deployment, code.text, gtin)
    for text, unknown in (("0" * 16, UnknownCode), ("", MistypedCode)):
        with pytest.raises(unknown):
            lookup.index_in(deployment, batch.id, text)
    with pytest.raises(OtherBatch):
        lookup.index_in(deployment, other.id, code.text)


def test_a_pair_is_the_outer_and_the_inner_code() -> None:
    outer, inner = Code(1, 7, CODE, Label.outer), Code(1, 7, CODE)
    assert lookup.pair(outer, inner) == lookup.pair(inner, outer) == (outer, inner)
    for same in (outer, inner):
        with pytest.raises(SameLabel):
            lookup.pair(same, same)
