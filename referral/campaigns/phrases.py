"""How an offer that chat platforms punish is put into words, in Chinese and English.

Patterns are written in simplified characters and small letters; a text in traditional characters,
in full-width letters or with gaps between its characters is read alike. `wording` says which rule
is behind each kind.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum


class Kind(StrEnum):
    """What kind of offer is punished."""

    paid_sharing = "paid-sharing"
    gated_sharing = "gated-sharing"
    help_game = "help-game"
    pressed_sharing = "pressed-sharing"
    paid_following = "paid-following"
    engagement_bait = "engagement-bait"


def punished(text: str) -> Iterator[tuple[Kind, str]]:
    """Kind and words of each offer in a text; of those that overlap the first one."""
    plain, places = _plain(text)
    taken: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(plain):
            start, end = match.span()
            if _is_meant_otherwise(plain, match) or any(a < end and start < b for a, b in taken):
                continue
            taken.append((start, end))
            yield kind, " ".join(text[places[start] : places[end - 1] + 1].split())


# How a text is read

_TRADITIONAL = str.maketrans(
    "轉發領紅獎積點數優錢現禮贈讚贊幫價團邀請連結鏈動態限時鎖觀看後給個滿達賺傭費機會進將這頁鄰親"
    "應該號關註訂閱碼買購單賣員試視頻報瘋傳擴幣張圖資訊選與從對讓還實體無沒別們戶瓶絕謹騙賞誰輪兩條"
    "帳項話為過來裡歡樂離開卡換億萬種車順遲級聲標題層樣國媽認飲熱鬧險貼雙評論獲義務並當須勸誘導記購訪註冊臺",
    "转发领红奖积点数优钱现礼赠赞赞帮价团邀请连结链动态限时锁观看后给个满达赚佣费机会进将这页邻亲"
    "应该号关注订阅码买购单卖员试视频报疯传扩币张图资讯选与从对让还实体无没别们户瓶绝谨骗赏谁轮两条"
    "帐项话为过来里欢乐离开卡换亿万种车顺迟级声标题层样国妈认饮热闹险贴双评论获义务并当须劝诱导记购访注册台",
)
_GAPS = frozenset(" \t\u3000·・•_~丨|\\+-")
"""What is put between characters so that nobody finds the words."""


def _plain(text: str) -> tuple[str, list[int]]:
    """The text as the patterns read it, and where in it each of its letters stood."""
    letters = [_plain_letter(letter) for letter in text]
    follows = [False] * len(letters)
    """Whether the next letter that is no gap is a Chinese one."""
    ahead = False
    for place in range(len(letters) - 1, -1, -1):
        follows[place] = ahead
        if letters[place] not in _GAPS:
            ahead = _is_han(letters[place])
    kept: list[int] = []
    behind = False
    for place, letter in enumerate(letters):
        if letter in _GAPS and behind and follows[place]:
            continue
        kept.append(place)
        if letter not in _GAPS:
            behind = _is_han(letter)
    return "".join(letters[place] for place in kept), kept


def _plain_letter(letter: str) -> str:
    read = unicodedata.normalize("NFKC", letter).lower()
    return read.translate(_TRADITIONAL) if len(read) == 1 else letter


def _is_han(letter: str) -> bool:
    return "\u3400" <= letter <= "\u9fff"


# What is not meant as an offer

_BEFORE = 12
_REFUSED = re.compile(
    r"(?:不要|不必|不用|不需要?|无需|无须|毋须|请勿|勿|切勿|别|谨防|警惕|当心|小心|绝不|从不|不会|不搞"
    r"|不做|不玩|没有|并非|不是|不|无|拒绝|禁止|严禁|杜绝|免去|告别"
    r"|\b(?:never|not|no|without|beware of)|n't)[^。！？!?，,；;\n]{0,6}$"
)
"""What stands before an offer that is none."""
_DENIED = re.compile(
    r"(?<![一非毫])(?:不会|不能|不可|不送|不奖|不得|不给|不发|不再|不产生|不带来|没有|并无|都没|也没"
    r"|无任何|概不|\b(?:never|nothing|no|not)\b|n't\b)"
)
"""What stands within one."""
_FRIEND_BUYS = re.compile(
    r"(?:好友|朋友|亲友|友人|对方|闺蜜|家人|同事|邻居|被邀请人|被推荐人|新客|新人|新用户|ta|他们?|她们?|你)"
    r"[^。！？!?；;\n]{0,8}?"
    r"(?:购买|选购|购入|买|下单|消费|成交|领取第一|第一次领取|首次领取|扫码领取|完成首单|首单)"
    r"|\b(?:friends?|they|she|he|who(?:ever)?|someone|one of them|you)\b[^.!?;\n]{0,24}"
    r"\b(?:buys?|bought|purchases?d?|orders?|claims?|first (?:order|purchase|claim))\b"
)
"""The reward is for a purchase of the friend's."""


def _is_meant_otherwise(plain: str, match: re.Match[str]) -> bool:
    if _REFUSED.search(plain[max(0, match.start() - _BEFORE) : match.start()]):
        return True
    if _DENIED.search(match[0]):
        return True
    return match.lastgroup == "share" and _FRIEND_BUYS.search(match[0]) is not None


# Chinese

_IN_CLAUSE = r"[^。！？!?；;，,\n]"
_IN_SENTENCE = r"[^。！？!?；;\n]"
_REWARD = (
    r"(?:红包|现金|奖金|赏金|佣金|返现|返利|返佣|零钱|奖品|奖励|奖|礼品|礼物|礼包|大礼|好礼|豪礼|赠礼"
    r"|伴手礼|小礼|有礼|赠品|优惠券?|折价券|代金券|抵用券|兑换券|折扣券?|消费券|券|满减|立减|直减|减免"
    r"|积分|点数|金币|话费|流量包?|会员|抽奖|中奖|免单|福利|特权|霸王[餐茶]|购物金|抵用金|回馈金|红利|赢取|赢得|抽取|抽中|免费|机会"
    r"|\d+\s?[元块分点]|[一二两三五十百]+[元块]|(?:一|\d)[瓶杯盒箱份罐]|\d折|半价|钱)"
)
_GET = r"[领得送赚赢抽享拿获换兑返减奖赠有给可能收]"
_FRIENDS = r"(?:好友|朋友|亲友|友人|新人|新用户|新客|闺蜜|同事|邻居|人)"
_SHARE = (
    rf"(?:分享|转发|转给|转到|传给|发到|发至|发给|发朋友圈|转朋友圈|发圈|晒到|晒单到|晒朋友圈"
    rf"|邀请[码链]|[邀揪]请?{_IN_SENTENCE}{{0,5}}?{_FRIENDS}"
    rf"|[拉喊约]{_IN_SENTENCE}{{0,4}}?(?:好友|新人|新用户|人头|人进群|人入群)"
    rf"|推荐(?!人)给?{_IN_SENTENCE}{{0,4}}?{_FRIENDS})"
)
_A_PAGE = (
    r"(?:[给到至本此该这即就可能便后并得有送领赚赢抽享奖返拿换立满达\d,，、]|朋友|家人|同事|大家|活动|链接|连结|页面|海报|贴文|被"
    r"|二维码|朋友圈|微信|群|出去|红包|一次|一下|次数|成功|越多|人数|文章|图文|视频|截图|好友)"
)
"""What follows when a page is shared; a bottle is shared with somebody."""

_CHINESE = {
    Kind.help_game: (
        (
            rf"(?:好友|朋友|亲友|邀请?|请|求|喊|找){_IN_CLAUSE}{{0,6}}"
            r"(?:助力|助我|砍价|砍一刀|砍一下|帮砍|帮我砍|加速|拆红包)(?!乡村|偏乡|健康|环保|公益|成长|代谢|发展)"
        ),
        (
            rf"(?:帮(?:我|忙|他|她|ta|好友|朋友)|为我|给我|替我|来){_IN_CLAUSE}{{0,4}}?"
            r"(?:助力|砍|点个?赞|点一下|点一点|加速|拆|投一?票|集赞|攒|凑)"
        ),
        (
            r"助力(?:免单|领|得|拿|砍|成功|人数|值|码|券|解锁|抽|满|达|[一二两三五十\d]+[次人位])"
            rf"{_IN_CLAUSE}{{0,6}}|\d+人助力"
        ),
        (
            r"砍一刀|帮砍|砍价(?:免费|领|拿|得|到|至|成功|活动|\d|享|[,，、])|(?:一起|来|发起|参与)砍价"
            rf"|砍到[0零底]{_IN_CLAUSE}{{0,4}}"
        ),
        (
            rf"集[齐满够]?{_IN_CLAUSE}{{0,5}}?(?:赞|福卡|五福|福字|字卡|碎片|卡片|张卡|枚卡|套卡|道具)"
            rf"{_IN_SENTENCE}{{0,14}}?(?:[领得换兑送赢抽奖礼免]|瓜分)|集赞|集卡|集五福|集碎片"
        ),
        (
            rf"(?:组队|拉人|一起|邀{_IN_CLAUSE}{{0,4}})瓜分"
            rf"|瓜分{_IN_CLAUSE}{{0,8}}(?:红包|现金|奖金|奖池|[万亿元])"
        ),
        rf"(?:好友|朋友)每?(?:点|点击|打开)(?:一下|一次)?[,，]?{_IN_CLAUSE}{{0,4}}(?:降|减|便宜)",
        r"拼团抽奖|抽奖式?拼团|[0零1一](?:元|分钱?)(?:拼团|抢)",
    ),
    Kind.gated_sharing: (
        (
            rf"{_SHARE}{_IN_SENTENCE}{{0,10}}?(?:后|即可|才能|才可|方可|就能|就可以|可以|可|解锁){_IN_CLAUSE}{{0,5}}?"
            r"(?:查看|解锁|观看|看到|看完整|看答案|看结果|看全文|阅读|揭晓|知道|下载|继续|进入下一|参与|参加|报名"
            r"|领取资料)"
        ),
        (
            rf"(?:查看|解锁|观看|看|阅读|下载|获取|参与|参加){_IN_SENTENCE}{{0,10}}?"
            r"(?:请先|需先|须先|要先|需要先|必须先?|前请|前须|前需|需要?|请)(?:分享|转发|邀请)"
        ),
    ),
    Kind.paid_sharing: (
        rf"(?P<share>{_SHARE}(?={_A_PAGE}){_IN_SENTENCE}{{0,22}}?{_REWARD}{_IN_SENTENCE}{{0,12}})",
        (
            rf"(?P<share>(?:[邀揪]请?|拉|推荐(?!人)){_IN_CLAUSE}{{0,6}}?{_FRIENDS}{_IN_SENTENCE}{{0,16}}?"
            rf"{_REWARD}{_IN_SENTENCE}{{0,12}})"
        ),
        (
            rf"(?P<share>(?:{_GET}{_IN_CLAUSE}{{0,10}}?|要){_REWARD}[^。！!；;\n]{{0,8}}?"
            r"(?:请先|需先|须先|需要先|需要|只需|只要|仅需|就要|必须|先|需|方法|方式|攻略|秘诀|条件)"
            rf"{_IN_SENTENCE}{{0,8}}?(?:分享|转发|邀请{_FRIENDS}|发朋友圈|拉新){_IN_SENTENCE}{{0,10}})"
        ),
        (
            rf"(?P<share>{_FRIENDS}?{_IN_CLAUSE}{{0,4}}?通过[你您]的(?:分享|链接|连结|海报|二维码|邀请)"
            rf"{_IN_SENTENCE}{{0,20}}?{_REWARD}{_IN_SENTENCE}{{0,12}})"
        ),
        (
            rf"(?P<share>{_FRIENDS}(?:每?(?:打开|点击|点开|注册|访问|浏览|加入|进入)){_IN_SENTENCE}{{0,8}}?"
            rf"[你您]{_IN_SENTENCE}{{0,8}}?{_REWARD}{_IN_SENTENCE}{{0,12}})"
        ),
        rf"(?P<share>[每多再](?:分享|转发|邀请){_IN_SENTENCE}{{0,16}}?{_REWARD}{_IN_SENTENCE}{{0,12}})",
        (
            r"(?:分享|转发|转|邀请|裂变|拉新|躺着?)"
            r"(?:有礼|有奖|赚钱|赚现金|赚佣|返现|返利|领红包|得红包|送红包|抽奖|奖励计划)"
            r"|[一二两三多]级(?:分销|返利|分佣|返佣)|[日月][入赚]过?[一二三五十百千万\d]+[元块]?|躺赚"
        ),
    ),
    Kind.paid_following: (
        (
            rf"关注{_IN_SENTENCE}{{0,12}}?(?:公众号|订阅号|服务号|账号|帐号|视频号|我们|[即可就后并领送抽])"
            rf"{_IN_SENTENCE}{{0,8}}?{_GET}{_IN_SENTENCE}{{0,6}}?{_REWARD}"
        ),
    ),
    Kind.engagement_bait: (rf"(?:标记|艾特|@){_IN_CLAUSE}{{0,4}}(?:好友|朋友)",),
    Kind.pressed_sharing: (
        rf"不转发?(?:就?不是|就|会|死|后悔|不){_IN_CLAUSE}{{0,6}}",
        rf"是{_IN_CLAUSE}{{1,5}}就都?(?:转|分享)(?:发|起来|出去|给)?",
        (
            r"必转(?!化)|转疯了|疯转|疯传|速转|快转(?:发|给|到|走)?|赶[紧快](?:转|分享)[发给到]?"
            r"|(?:马上|立刻|立即|火速|抓紧)转发?|(?:跪?求|请|帮忙?)(?:大家)?(?:转发|扩散|转起来)|(?:赶[紧快]|快)?扩散(?:给|出去|周知)"
            rf"|好心人{_IN_CLAUSE}{{0,6}}转"
        ),
        rf"(?:转发|转给|转到){_IN_SENTENCE}{{0,10}}(?:好运|平安|转运|走运|发财|感激|感谢你)",
        rf"看完{_IN_SENTENCE}{{0,8}}(?:转发|转给|转走|都转)",
    ),
}

# English

_SAID = r"[^.!?;\n]"
_PRIZE = (
    r"(?:points?|cash|money|coupons?|vouchers?|gifts?|gift cards?|prizes?|rewards?|rewarded"
    r"|discounts?"
    r"|(?:\d+ ?%|percent) off|free (?!delivery|shipping)|red (?:packet|envelope)s?|credits?"
    r"|bonus(?:es)?"
    r"|draw|raffle|chances?|entry|entries|commissions?|dollars?|yuan|rmb|coins?|tickets?|[$¥€£]\d+)"
)
_WIN = (
    r"(?:get|earn|win|receive|collect|score|grab|enter|gain|enjoy|take|claim|be rewarded"
    r"|be entered|make"
    r"|we(?:'ll| will)? (?:send|give) you)"
)
_TO_SHARE = (
    r"\b(?:(?:share|forward|repost|retweet)(?= (?:it|this|that|us|the|our|your|my|on|to|with|and"
    r"|&|more"
    r"|now|friends?|one|two|three|five|ten|\d+)\b|,)"
    r"(?! (?:a|an|the|your|our|this|one) (?:bottle|cup|pot|glass|tea|box|meal|drink|moment|taste"
    r"|can|pack))"
    r"|(?:send|post) (?:it|this|that|the (?:link|page|poster)|your link)(?= (?:to|on|in|and"
    r"|around)\b)"
    r"|post (?:this|the|your) (?:poster|link|page|picture)"
    r"|(?:invite|refer|bring|tell)(?= (?:a|your|more|one|two|three|five|ten|\d+)? ?(?:new )?"
    r"(?:friends?|people|customers?|someone|members?)\b))"
)
_LIKES = r"(?:likes|thumbs|cards?|fragments)"

_ENGLISH = {
    Kind.help_game: (
        (
            r"\bhelp (?:me|him|her|your friends?|a friend) (?:to )?"
            rf"(?:win|unlock|cut|slash|bargain|lower|get|earn|reach|collect)\b{_SAID}{{0,24}}"
        ),
        (
            r"\b(?:slash|cut|chop|knock down|bargain down) (?:the|my|your|our) price\b"
            r"|\bbargain with (?:your )?friends\b"
            rf"|\bfriends?(?: can| to)? (?:help|cut|slash|bargain)\b{_SAID}{{0,30}}\bprice\b"
        ),
        (
            r"\bcollect(?:ing)? (?:all |the |these |\d+ |five |three |four |six |ten |enough )*"
            rf"(?:\w+ )?{_LIKES}\b{_SAID}{{0,24}}?\b(?:to|and|for)\b{_SAID}{{0,20}}?"
            r"\b(?:win|get|earn|swap|exchange|redeem|prize|free|gift|reward)\w*"
        ),
        r"\b(?:get|collect) (?:\d+|ten|twenty|fifty|a hundred) likes\b",
    ),
    Kind.gated_sharing: (
        (
            rf"\b(?:share|forward|repost)\b{_SAID}{{0,36}}\b(?:to|and) "
            r"(?:unlock|reveal|see|view|read|watch|download|continue|access|find out)\b"
        ),
        (
            rf"\b(?:unlock|reveal|see|view|access)\w*\b{_SAID}{{0,30}}"
            r"\b(?:by|after|once you(?:'ve)?) (?:shar|forward|repost)(?:e|ed|ing)\b"
        ),
    ),
    Kind.paid_sharing: (
        (
            rf"(?P<share>{_TO_SHARE}{_SAID}{{0,48}}?"
            r"(?:\b(?:to|and|&|then|for|you(?:'ll| will| can)?)|[,=→]|->) ?(?:(?:you|we|i) )?"
            r"(?:(?:will|can|both|could|also|instantly|automatically|each|all) )*"
            rf"{_WIN}\b{_SAID}{{0,30}}?\b{_PRIZE}{_SAID}{{0,24}})"
        ),
        (
            rf"(?P<share>(?:\b{_WIN}\b{_SAID}{{0,36}}?\b{_PRIZE}|\b\d+ points?"
            rf"|\ba free gift){_SAID}{{0,20}}?"
            r"\b(?:by|for|when|if|once|whenever|every time|each time|after|per) "
            r"(?:(?:you|your|each|every|a|just|simply|friend|person) )*"
            r"(?:shar|forward|repost|invit|tagg|referr)(?:e|es|s|ing|ed|ation)?\b"
            rf"(?! (?:a|an|your|our|this) bottle){_SAID}{{0,30}})"
        ),
        (
            rf"(?P<share>{_TO_SHARE}{_SAID}{{0,48}}?\bfor (?:a |an |your |some )?(?:\w+ ){{0,2}}?"
            rf"\b{_PRIZE}{_SAID}{{0,24}})"
        ),
        (
            rf"(?P<share>\b{_WIN}\b{_SAID}{{0,24}}?{_PRIZE}{_SAID}{{0,12}}?"
            r"\b(?:for|when|if|once|every time|each time|whenever) (?:\w+ ){0,2}?(?:friends?"
            r"|people|someone) "
            rf"(?:opens?|clicks?|taps?|visits?|joins?|signs? up|registers?|sees?)\b{_SAID}{{0,24}})"
        ),
        (
            r"\b(?:friends?'?s?'?|every|each) (?:clicks?|opens?|visits?) (?:earns?|brings?|gets?"
            r"|wins?)\b"
            rf"{_SAID}{{0,24}}"
        ),
        (
            r"\bshare[- ](?:to|and|&|2|for)[- ](?:win|earn|cash|rewards?|prizes?)\b"
            r"|\b(?:get|be) paid (?:to|for) shar(?:e|ing)\b"
        ),
        (
            r"\b(?:every|each) (?:share|forward|repost|invitation) (?:earns?|brings?|wins?|gets?"
            r"|counts?)\b"
            rf"{_SAID}{{0,24}}"
        ),
        (
            rf"\bmore (?:shares?|you share)\b{_SAID}{{0,16}}\b(?:more|better"
            rf"|higher)\b{_SAID}{{0,24}}"
            r"\b(?:points?|chances?|prizes?|earn|win|rewards?|cash)\b"
        ),
    ),
    Kind.paid_following: (
        (
            r"\bfollow (?:us|(?:our|the|this) (?:\w+ )?(?:account|page|channel))\b"
            rf"{_SAID}{{0,36}}?\b(?:to|and|for)\b{_SAID}{{0,16}}?"
            r"\b(?:get|win|earn|receive|claim|coupon|prize|gift|free)\w*\b(?! to know| the latest)"
            rf"{_SAID}{{0,20}}"
        ),
    ),
    Kind.pressed_sharing: (
        (
            rf"\b(?:forward|send|share|repost)\b{_SAID}{{0,16}}\bto (?:at least )?"
            rf"(?:\d+|five|ten|seven|twenty|all your|everyone you know"
            rf"|everybody you know)\b{_SAID}{{0,20}}"
        ),
        r"\b(?:must|please) (?:share|forward|repost) (?:this|it|now|before)\b",
        (
            r"\b(?:share|forward|repost)(?: this| it)?(?: now)? "
            r"(?:before it(?:'s| is) (?:gone|deleted|too late)|or (?:regret|else|you))"
        ),
        (
            r"\bdon'?t break the chain\b|\bpass (?:it|this) on or\b"
            r"|\b(?:share|forward) (?:this )?if you (?:love|care|agree|are a)\b"
        ),
    ),
    Kind.engagement_bait: (
        (
            r"\btag (?:a|an|\d+|one|two|three|four|five|your|some|all) ?(?:\w+ )?"
            r"(?:friends?|mates?|people|family|person|someone|buddies|buddy)\b"
        ),
        r"\blike(?:,| and| &)? (?:share|comment|tag) (?:this|our|the|it|below|to win)\b",
        (
            r"\blike, (?:share|comment)\b|\blike this (?:post|page)\b"
            rf"|\bcomment [“\"']?(?:yes|tea|below|done|amen)[”\"']?{_SAID}{{0,16}}\b(?:to|and"
            rf"|for|if)\b"
        ),
    ),
}

_PATTERNS = tuple(
    (kind, re.compile(pattern))
    for language in (_CHINESE, _ENGLISH)
    for kind, patterns in language.items()
    for pattern in patterns
)
