"""Share links of customers, for where no browser is at hand: in an app, in a message."""

from typing import Annotated

from pydantic import AfterValidator, Field

from referral import actions
from referral.campaigns import UnknownCampaign
from referral.links import Channel
from referral.people import UnknownCustomer
from referral.web.api.endpoint import Output, post
from referral.web.api.reading import Id, Input
from referral.web.context import deployment


def _known_channel(name: str) -> str:
    if name not in Channel.__members__:
        raise ValueError(f"one of {', '.join(Channel.__members__)}")
    return name


ChannelName = Annotated[
    str,
    AfterValidator(_known_channel),
    Field(json_schema_extra={"enum": list(Channel.__members__)}),
]


class LinkIn(Input):
    """Whose link, and where it will be put."""

    campaign: str = Field(max_length=60)
    """The campaign's slug."""
    customer_id: Id
    channel: ChannelName = Channel.unknown.name


class LinkOut(Output):
    """A share link. It names nobody, and does not expire before its campaign."""

    token: str
    url: str


@post(
    "/links",
    body=LinkIn,
    answer=LinkOut,
    statuses={201: "Made"},
    problems=[UnknownCampaign, UnknownCustomer],
)
def add_link(body: LinkIn) -> LinkOut:
    """Make a customer's share link."""
    channel = Channel.named(body.channel)
    link = actions.make_link(deployment(), body.campaign, body.customer_id, channel)
    token = deployment().links.token(link)
    return LinkOut(token=token, url=deployment().address(f"/s/{token}"))
