"""GS1's link types: what a product's link leads to, by the words of the GS1 Web Vocabulary."""

PREFIX = "gs1:"
NAMESPACE = "https://ref.gs1.org/voc/"
_NAMESPACES = (PREFIX, NAMESPACE, "https://gs1.org/voc/", "http://gs1.org/voc/")
"""All the ways in which a link type is written; the vocabulary has moved over the years."""

DEFAULT = "defaultLink"
DEFAULT_MULTI = "defaultLinkMulti"
VERIFICATION = "verificationService"
PRODUCT_PAGE = "pip"

DESCRIPTIVE = frozenset(
    [
        "activityIdeas",
        "allergenInfo",
        "appDownload",
        "backgroundInfo",
        "brandHomepageClinical",
        "brandHomepagePatient",
        "careersInfo",
        "certificationInfo",
        "consumerHandlingStorageInfo",
        "dpp",
        "eifu",
        "epcis",
        "epil",
        "eventsInfo",
        "faqs",
        "hasRetailers",
        "homepage",
        "ingredientsInfo",
        "instructions",
        "jws",
        "leaveReview",
        "locationInfo",
        "logisticsInfo",
        "loyaltyProgram",
        "masterData",
        "menuInfo",
        "nutritionalInfo",
        "openingHoursInfo",
        "paymentLink",
        "pip",
        "promotion",
        "purchaseSuppliesOrAccessories",
        "quickStartGuide",
        "recallStatus",
        "recipeInfo",
        "registerProduct",
        "registryEntry",
        "relatedImage",
        "relatedVideo",
        "reportFound",
        "review",
        "safetyInfo",
        "scheduleTime",
        "serviceInfo",
        "smartLabel",
        "smpc",
        "socialMedia",
        "statisticInfo",
        "subscribe",
        "support",
        "sustainabilityInfo",
        "traceability",
        "tutorial",
        "userAgreement",
        "verificationService",
        "whatsInTheBox",
    ]
)
"""What a link may be: each says what one finds there."""
REQUESTABLE = DESCRIPTIVE | {DEFAULT, DEFAULT_MULTI}
"""What may be asked for: also the link that is followed when nothing is."""


def name_of(text: str) -> str | None:
    """The bare name, such as ``pip``, of a link type written in any way; None for no link type."""
    for namespace in _NAMESPACES:
        if text.startswith(namespace):
            name = text.removeprefix(namespace)
            return name if name in REQUESTABLE else None
    return None


def short(name: str) -> str:
    """A link type as people write it: ``gs1:pip``."""
    return PREFIX + name


def uri(name: str) -> str:
    """A link type in full, as a linkset has it."""
    return NAMESPACE + name
