"""The translation catalogues: complete, in step with the code, and good Chinese."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.pofile import read_po

from referral.campaigns import phrases
from referral.config import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
LOCALES = [tag.replace("-", "_") for tag in LANGUAGES]
CHINESE = ["zh_Hans", "zh_Hant"]
# As in the Makefile's target i18n.
KEYWORDS = ["lazy_gettext", "N_"]

SAME_IN_CHINESE = {"GTIN", "GTIN %(gtin)s", "QR code"}
"""Messages that need no translation."""

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%%")
TAG = re.compile(r"</?\w+[^>]*>")
HAN = re.compile("[\u4e00-\u9fff]")

# Two rows of the same characters. Left out are those that are right in both scripts, such as 里,
# 后, 只 and 台.
SIMPLIFIED = (
    "与专丢两个为买产仅从们会传俩关内写减击则刚创删办动励区单卖变号吗听员响围国图处备头奖对导将层属岁币带帮广应废开归录径态总户"
    "扫报拨择换数断无时显暂机权条来标样检横没浏满滥点状环现盗码礼种积称笔类级线组经结给统继续维编网联荐获虫装见规览触计订认让记"
    "许论设访证评识诉词试诗话该详语误说请诺读课谁调谈谢贝负财责账货质购贵费贺赛赠踪车转轮轻载输边达迁过运还这进远连迟适选递邮邻"
    "钥钮钱铁银链销锁错键长门闭问间闻阅队阳阴阶际陆陈险随隐难雾静页顶项顺预领频题颜额风飞饭饮馆马驱验鱼鸟鸡龙"
)
TRADITIONAL = (
    "與專丟兩個為買產僅從們會傳倆關內寫減擊則剛創刪辦動勵區單賣變號嗎聽員響圍國圖處備頭獎對導將層屬歲幣帶幫廣應廢開歸錄徑態總戶"
    "掃報撥擇換數斷無時顯暫機權條來標樣檢橫沒瀏滿濫點狀環現盜碼禮種積稱筆類級線組經結給統繼續維編網聯薦獲蟲裝見規覽觸計訂認讓記"
    "許論設訪證評識訴詞試詩話該詳語誤說請諾讀課誰調談謝貝負財責賬貨質購貴費賀賽贈蹤車轉輪輕載輸邊達遷過運還這進遠連遲適選遞郵鄰"
    "鑰鈕錢鐵銀鏈銷鎖錯鍵長門閉問間聞閱隊陽陰階際陸陳險隨隱難霧靜頁頂項順預領頻題顏額風飛飯飲館馬驅驗魚鳥雞龍"
)

# Said in mainland China, otherwise in Taiwan and Hong Kong: a conversion of characters is no
# translation.
MAINLAND_WORDS = re.compile(
    "軟件|信息|短信|鏈接|登錄|郵箱|二維碼|積分|網絡|用戶|默認|激活|屏幕|視頻|導出|添加|門店|小票|設備|"
    "菜單|搜索|概覽|打開|昵稱|文件|程序|服務器|掃一掃|公眾號"
)

# What chat platforms take for paid or forced sharing, and block a page for.
PUNISHED_WORDS = re.compile(
    "助力|砍价|砍價|集卡|集赞|集讚|红包|紅包|裂变|裂變|拼团|拼團|免费领|免費領|躺赚|躺賺|下线|下線|拉新|"
    "人头|人頭|(分享|转发|轉發|轉傳|邀请|邀請)(领|領|得|赚|賺|有奖|有獎|后可|後可)"
)


@cache
def extracted() -> Catalog:
    """What the code and the templates say now."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = Catalog()
    for place, line, message, comments, context in extract_from_dir(
        ROOT, methods, options, {**DEFAULT_KEYWORDS, **parse_keywords(KEYWORDS)}
    ):
        found.add(message, None, [(place, line)], auto_comments=comments, context=context)
    return found


def path_of(locale: str) -> Path:
    return ROOT / "referral" / "translations" / locale / "LC_MESSAGES" / "messages.po"


@cache
def catalogue(locale: str) -> Catalog:
    with path_of(locale).open("rb") as file:
        return read_po(file, locale=locale, abort_invalid=True)


def messages(locale: str) -> list[Message]:
    """All but the header."""
    return [message for message in catalogue(locale) if message.id]


def forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    """A text, or its forms for one and for many."""
    return [text] if isinstance(text, str) else list(text)


def chinese(locale: str) -> list[tuple[str, str]]:
    """Every English text with its Chinese one."""
    return [(forms(m.id)[0], forms(m.string)[0]) for m in messages(locale)]


def report(locale: str, what: str, found: list[str]) -> str:
    """How a failure is told; what to do comes first."""
    listed = "\n".join(f"  {line}" for line in found)
    return f"{path_of(locale).relative_to(ROOT)}: {what}\n{listed}"


def said(message: Message) -> str:
    where = ", ".join(sorted({place for place, _ in message.locations}))
    return f"{forms(message.id)[0]!r} ({where})"


@pytest.mark.parametrize("locale", LOCALES)
def test_a_catalogue_has_exactly_the_messages_of_the_code(locale: str) -> None:
    in_code = {(m.id, m.context): m for m in extracted() if m.id}
    in_catalogue = {(m.id, m.context): m for m in messages(locale)}
    missing = [said(in_code[key]) for key in in_code if key not in in_catalogue]
    obsolete = [said(in_catalogue[key]) for key in in_catalogue if key not in in_code]
    assert not missing, report(locale, "run `make i18n` and translate what is new:", missing)
    assert not obsolete, report(locale, "run `make i18n`; no longer used:", obsolete)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_translated(locale: str) -> None:
    empty = [said(m) for m in messages(locale) if not all(forms(m.string))]
    fuzzy = [said(m) for m in messages(locale) if m.fuzzy]
    assert not empty, report(locale, "these have no text yet; please translate them:", empty)
    assert not fuzzy, report(locale, "please check these and remove the mark `fuzzy`:", fuzzy)


@pytest.mark.parametrize("locale", LOCALES)
def test_placeholders_and_markup_are_those_of_the_message(locale: str) -> None:
    wrong = [
        f"{forms(m.id)[-1]!r} -> {text!r}"
        for m in messages(locale)
        for text in forms(m.string)
        if not is_filled_in_alike(forms(m.id)[-1], text)
    ]
    assert not wrong, report(locale, "placeholders and tags must be kept as they are:", wrong)


def is_filled_in_alike(message: str, text: str) -> bool:
    # A percent sign that begins no placeholder would break the page that fills the message in.
    stray = "%" in PLACEHOLDER.sub("", text)
    same = all(Counter(p.findall(message)) == Counter(p.findall(text)) for p in (PLACEHOLDER, TAG))
    return same and not stray


@pytest.mark.parametrize("locale", LOCALES)
def test_a_catalogue_compiles(locale: str) -> None:
    problems = [
        f"{said(message)}: {problem}"
        for message, found in catalogue(locale).check()
        for problem in found
    ]
    assert not problems, report(locale, "does not compile:", problems)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_header_names_nobody_and_does_not_change_with_the_day(locale: str) -> None:
    header = path_of(locale).read_text("utf-8").partition("\n\n")[0]
    assert "@" not in header
    assert "PO-Revision-Date: YEAR-MO-DA HO:MI+ZONE" in header
    assert "POT-Creation-Date: 2026-01-01 00:00+0000" in header


def test_english_says_what_the_code_says() -> None:
    other = [said(m) for m in messages("en") if forms(m.string) != forms(m.id)]
    assert not other, report("en", "the text must be the message itself:", other)


@pytest.mark.parametrize("locale", CHINESE)
def test_chinese_is_chinese(locale: str) -> None:
    left = [
        repr(english)
        for english, text in chinese(locale)
        if english not in SAME_IN_CHINESE and (english == text or not HAN.search(text))
    ]
    assert not left, report(locale, "still English; please translate:", left)


@pytest.mark.parametrize(
    "locale, foreign", [("zh_Hans", TRADITIONAL), ("zh_Hant", SIMPLIFIED)], ids=CHINESE
)
def test_the_two_scripts_are_not_mixed(locale: str, foreign: str) -> None:
    strangers = set(foreign)
    mixed = [
        f"{''.join(sorted(strangers & set(text)))} in {text!r}"
        for _, text in chinese(locale)
        if strangers & set(text)
    ]
    assert not mixed, report(locale, "characters of the other script:", mixed)


def test_the_rows_of_characters_match() -> None:
    assert len(SIMPLIFIED) == len(TRADITIONAL)
    assert not set(SIMPLIFIED) & set(TRADITIONAL)


def test_traditional_chinese_is_a_translation_of_its_own() -> None:
    borrowed = [
        f"{word[0]} in {text!r}"
        for _, text in chinese("zh_Hant")
        for word in MAINLAND_WORDS.finditer(text)
    ]
    assert not borrowed, report("zh_Hant", "said differently in Taiwan and Hong Kong:", borrowed)


@pytest.mark.parametrize("locale", CHINESE)
def test_no_text_reads_like_paid_sharing(locale: str) -> None:
    # The rules themselves, which staff are told, name what they forbid.
    texts = [
        forms(message.string)[0]
        for message in messages(locale)
        if {place for place, _ in message.locations} != {"referral/campaigns/wording.py"}
    ]
    punished = [
        f"{word[0]} in {text!r}" for text in texts for word in PUNISHED_WORDS.finditer(text)
    ]
    punished += [
        f"{words} ({kind}) in {text!r}" for text in texts for kind, words in phrases.punished(text)
    ]
    assert not punished, report(locale, "chat platforms block pages that say this:", punished)
