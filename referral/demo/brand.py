"""The demo's brand: invented cold-brew teas, their batches, one campaign, and its customers' names.

GTINs beginning with 20 to 29 are for use inside one company and identify nobody's goods.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from referral.campaigns import Draft
from referral.campaigns.content import Content
from referral.codes import Labels
from referral.complaints import Kind, State
from referral.redemption.items import ItemDraft
from referral.rewards import ForWhom, Rule, When
from referral.segments import Conditions
from referral.stores import StoreKind

NAME = "雾桥 Mistbridge"
CAMPAIGN = "share-a-bottle"
RUNS_FOR = timedelta(days=60)
"""How long the campaign has run when the demo is loaded, and how long it goes on."""


@dataclass(frozen=True)
class Tea:
    gtin: str
    name: str
    price: int
    """In fen."""
    labels: Labels = Labels.single


@dataclass(frozen=True)
class Seller:
    """A store or a distributor."""

    slug: str
    name: str
    kind: StoreKind
    region: str


@dataclass(frozen=True)
class Batch:
    """A batch and what was done with it. Index ranges are half-open, `None` is nothing."""

    gtin: str
    name: str
    size: int
    activated: tuple[int, int] | None
    sold: tuple[int, int] | None = None
    """Where the packages of the demo's customers come from."""
    weight: float = 0.0
    """How often a purchase is one of this batch."""
    voided: tuple[int, int] | None = None
    voided_because: str = ""
    recalled: tuple[int, int] | None = None
    recalled_because: str = ""
    printed: tuple[int, int] | None = None
    lot: str | None = None
    market: tuple[str, ...] = ("CN",)
    to: str | None = None
    """The slug of whoever all of it went to."""


SHELF_LIFE = timedelta(days=365)
MADE_BEFORE = timedelta(days=9)
"""How long before the campaign began the teas were made."""
SELLERS = (
    Seller("hangzhou-lakeside", "杭州湖滨店", StoreKind.store, "CN-ZJ"),
    Seller("east-china", "华东经销商", StoreKind.distributor, "CN-SH"),
    Seller("south-china", "华南经销商", StoreKind.distributor, "CN-GD"),
)
REGIONS = (
    *("CN-ZJ",) * 7,
    *("CN-SH",) * 5,
    *("CN-JS",) * 4,
    *("CN-GD",) * 3,
    *("CN-FJ", "CN-BJ", "CN-SC", "SG"),
)
"""Where the demo's people are, as often as they are there."""

OOLONG = Tea("02050010001014", "雾桥 冷泡乌龙茶 500 ml", 600)
JASMINE = Tea("02050010001021", "雾桥 冷泡茉莉绿茶 500 ml", 600)
WHITE_TEA = Tea("02050010001038", "雾桥 陈皮白茶 480 ml", 800)
GIFT_BOX = Tea("02050010002011", "雾桥 桂花乌龙礼盒 12 瓶", 7900, Labels.pair)
TEAS = (OOLONG, JASMINE, WHITE_TEA, GIFT_BOX)

TRY_OUT = (90_000, 120_000)
"""The range of the first batch whose codes are handed out for trying."""
BATCHES = (
    Batch(
        OOLONG.gtin,
        "冷泡乌龙 第 1 批",
        200_000,
        activated=(0, 120_000),
        sold=(0, 80_000),
        weight=0.42,
        voided=(81_000, 81_240),
        voided_because="运输途中遗失一箱",
        lot="M1-0917",
        to="east-china",
    ),
    Batch(OOLONG.gtin, "冷泡乌龙 第 2 批", 200_000, activated=None, printed=(0, 150_000)),
    Batch(
        JASMINE.gtin,
        "茉莉绿茶 第 1 批",
        100_000,
        activated=(0, 100_000),
        sold=(0, 60_000),
        weight=0.31,
        recalled=(61_000, 61_600),
        recalled_because="瓶口密封不严，主动召回",
        lot="M2-0920",
        to="east-china",
    ),
    Batch(
        WHITE_TEA.gtin,
        "陈皮白茶 第 1 批",
        60_000,
        activated=(0, 30_000),
        sold=(0, 30_000),
        weight=0.22,
        lot="M1-0925",
        to="south-china",
    ),
    Batch(
        GIFT_BOX.gtin,
        "桂花乌龙礼盒 中秋装",
        5_000,
        activated=(0, 5_000),
        sold=(0, 5_000),
        weight=0.05,
        lot="G1-0901",
        market=("CN-ZJ", "CN-SH", "CN-JS"),
        to="hangzhou-lakeside",
    ),
)


def campaign(starts_at: datetime) -> Draft:
    """Points for every claim, and for both when a friend makes the first one.

    The texts say that the sharer benefits and ask nobody to share: chat apps ban paid sharing.
    """
    return Draft(
        slug=CAMPAIGN,
        title="请朋友喝一瓶",
        content={
            "zh-Hans": Content(
                title="请朋友喝一瓶",
                body="雾桥冷泡茶用山间的乌龙、茉莉绿茶和陈皮白茶，低温慢泡十二小时，不加糖。\n\n"
                "每一瓶的瓶盖里都有唯一的二维码：扫一扫，验明正品，领取积分。\n\n"
                "如果你是朋友介绍来的，第一次领取时，你们两个人都会得到积分。",
                share_text="我最近常喝雾桥冷泡茶，推荐给你。你买一瓶并扫码领取，我和你都会得到积分。",
            ),
            "zh-Hant": Content(
                title="請朋友喝一瓶",
                body="霧橋冷泡茶用山間的烏龍、茉莉綠茶和陳皮白茶，低溫慢泡十二小時，不加糖。\n\n"
                "每一瓶的瓶蓋裡都有獨一無二的 QR 碼：掃一掃，驗明正品，領取點數。\n\n"
                "如果你是朋友介紹來的，第一次領取時，你們兩個人都會得到點數。",
                share_text="我最近常喝霧橋冷泡茶，推薦給你。你買一瓶並掃碼領取，我和你都會得到點數。",
            ),
            "en": Content(
                title="A bottle for a friend",
                body="Mistbridge brews mountain oolong, jasmine green and tangerine white tea "
                "cold, for twelve hours, without sugar.\n\n"
                "Every cap hides a code of its own: scan it to see that your tea is genuine, and "
                "claim your points.\n\n"
                "If a friend told you about us, your first claim brings points to both of you.",
                share_text="I have been drinking Mistbridge cold-brew tea and like it. If you buy "
                "and claim a bottle, we both get points.",
            ),
        },
        # Together at most 100 points for one purchase: the bound for the cheapest tea is 120.
        rules=[
            Rule.model_validate({"when": When.claim, "for": ForWhom.person, "amount": 20}),
            Rule.model_validate(
                {"when": When.referred_first_claim, "for": ForWhom.both, "amount": 40}
            ),
        ],
        budget=2_000_000,
        gtins=[tea.gtin for tea in TEAS],
        organiser="雾桥茶业（演示品牌）",
        starts_at=starts_at,
        ends_at=starts_at + 2 * RUNS_FOR,
        hold_days=0,
        window_days=30,
    )


ITEMS = tuple(
    ItemDraft.model_validate(
        {"slug": slug, "titles": titles, "price": price, "stock": stock, "per_person": 2}
        | {"value": value, "currency": "CNY"}
    )
    for slug, titles, price, stock, value in (
        (
            "glass",
            {"zh-Hans": "冷泡玻璃杯", "zh-Hant": "冷泡玻璃杯", "en": "Cold-brew glass"},
            120,
            400,
            1200,
        ),
        (
            "bottle",
            {"zh-Hans": "兑换一瓶冷泡茶", "zh-Hant": "兌換一瓶冷泡茶", "en": "A bottle of tea"},
            60,
            2_000,
            600,
        ),
        (
            "tin",
            {"zh-Hans": "山乌龙茶罐", "zh-Hant": "山烏龍茶罐", "en": "Tin of mountain oolong"},
            300,
            80,
            3600,
        ),
    )
)
"""What points are redeemed for."""
TILL = "收银台"
"""At the first of the sellers."""


@dataclass(frozen=True)
class Trouble:
    """A complaint, and what becomes of it."""

    batch: str
    """The name of the batch whose package it is about."""
    kind: Kind
    text: str
    days_ago: int
    state: State = State.open
    answer: str = ""


_JASMINE = "茉莉绿茶 第 1 批"
TROUBLES = (
    Trouble(_JASMINE, Kind.damaged, "到手时瓶盖已经松了，漏了半瓶。", 2),
    Trouble(
        _JASMINE,
        Kind.taste,
        "这一瓶有点酸，和上次喝的不一样。",
        4,
        State.waiting,
        "请告诉我们瓶身上的生产时间，可以吗？",
    ),
    Trouble(
        _JASMINE,
        Kind.damaged,
        "瓶口封膜没有封好。",
        9,
        State.answered,
        "抱歉！这一批已经召回，我们给你补寄两瓶。",
    ),
    Trouble("冷泡乌龙 第 1 批", Kind.not_genuine, "扫码说已经有人领过了，是不是假的？", 1),
    Trouble(
        "冷泡乌龙 第 1 批",
        Kind.other,
        "The points from my second bottle took a day to show up.",
        12,
        State.closed,
        "They are there now. Thank you for telling us.",
    ),
    Trouble(
        "陈皮白茶 第 1 批",
        Kind.delivery,
        "快递等了一个星期才到。",
        6,
        State.answered,
        "抱歉让你久等，新仓库下周启用。",
    ),
)
SEGMENTS = {
    "买过两次以上": Conditions(purchases_least=2),
    "带来朋友最多的人": Conditions(brought_least=3),
    "两周没有再买": Conditions(purchases_least=1, not_bought_for=14),
}
SCORES = (5, 4, 5, 3, 5, 4, 5, 2, 4, 5, 4, 5, 1, 5, 4, 3, 5)
"""How people rate their tea, one after the other."""
COMMENTS = {
    5: (
        "不甜，茶味很干净。",
        "夏天冰箱里必备！",
        "Clean and not sweet at all. My whole office drinks it now.",
    ),
    4: (
        "好喝，就是瓶子小了点。",
        "Nice aroma, a little weaker than the oolong.",
        "朋友推荐的，会回购。",
    ),
    3: ("味道可以，价格偏高。", "和想象的差不多。"),
    2: ("对我来说太淡了。",),
    1: ("瓶盖漏了，包里都湿了。",),
}

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = (
    "雨桐",
    "子涵",
    "思远",
    "梦琪",
    "浩然",
    "欣怡",
    "一诺",
    "沐阳",
    "诗涵",
    "晨曦",
    "若溪",
    "嘉怡",
    "俊杰",
    "晓峰",
    "静怡",
    "文博",
)
_FONDLY = "明敏静磊洋艳勇杰娟涛霞婷雪云鱼桃葵川"
_WHAT = (
    "爱喝茶的",
    "早起的",
    "慢吞吞的",
    "山里的",
    "不加糖的",
    "想去海边的",
    "会发光的",
    "加班的",
    "骑车的",
    "路过的",
)
_WHO = (
    "猫",
    "小鹿",
    "企鹅",
    "橘子",
    "阿姨",
    "程序员",
    "兔子",
    "云",
    "松鼠",
    "老王",
    "柠檬",
    "小满",
    "鲸鱼",
)
_FIRST = (
    "Kevin",
    "Mia",
    "Leo",
    "Coco",
    "Vivian",
    "Jason",
    "Amy",
    "Eric",
    "Luna",
    "Ray",
    "Tina",
    "Oscar",
    "Yoyo",
    "Bella",
    "Max",
    "Iris",
    "Ken",
    "Nana",
    "Sophie",
    "Alan",
)
_LAST = (
    "L.",
    "W.",
    "Z.",
    "C.",
    "H.",
    "Chen",
    "Lin",
    "Wu",
    "Tan",
    "Ho",
    "Lee",
)
_SIGNS = ("🍵", "🌿", "☁️", "🍋", "🐟", "🌙")


def nickname(rng: Random) -> str | None:
    """What a customer calls herself; None for the few who never say."""
    kind = rng.random()
    if kind < 0.06:
        return None
    if kind < 0.38:
        return rng.choice(("小", "阿", "老", "大")) + rng.choice(_FONDLY)
    if kind < 0.56:
        return rng.choice(_SURNAMES) + rng.choice(_GIVEN)
    if kind < 0.76:
        return rng.choice(_WHAT) + rng.choice(_WHO)
    if kind < 0.86:
        return rng.choice(_GIVEN) + rng.choice(_SIGNS)
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
