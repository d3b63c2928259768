"""The pictures that come with a campaign's form."""

import base64
from collections.abc import Iterator

from flask import request
from flask_babel import gettext as _

from referral import actions, pictures
from referral.campaigns.content import MORE_PICTURES_MAX
from referral.errors import InvalidInput
from referral.pictures import UPLOAD_BYTES_MAX, Ready
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.pictures import ShownPicture
from referral.web.staff.contents import more_pictures_of
from referral.web.staff.forms import Form

FIRST, MORE = "upload", "more_uploads"
"""The fields for files: one for the first picture, one for several more."""


def take_pictures(form: Form) -> None:
    """Keep the pictures that were sent. The form goes on with their hashes, so that they are not
    lost when something else in the form has to be put right."""
    for ready in _sent(form, FIRST):
        form.values["picture"] = actions.add_picture(deployment(), ready).sha256
        form.values.pop("without_picture", None)
    sent = list(_sent(form, MORE))
    if len(more_pictures_of(form)) + len(sent) > MORE_PICTURES_MAX:
        form.refuse(MORE, _("A page shows %(most)s more pictures at most.", most=MORE_PICTURES_MAX))
        return
    for ready in sent:
        form.lists.add("more_pictures", actions.add_picture(deployment(), ready).sha256)


def show_pictures(form: Form, field: str) -> list[ShownPicture]:
    """The pictures that were sent, for a page of which nothing is stored."""
    return [
        ShownPicture(
            f"data:{pictures.MEDIA_TYPE};base64,{base64.b64encode(ready.data).decode()}",
            ready.width,
            ready.height,
        )
        for ready in _sent(form, field)
    ]


def _sent(form: Form, field: str) -> Iterator[Ready]:
    """The pictures in a field as they would be kept; what is none is said at the field."""
    for sent in request.files.getlist(field):
        if not sent.filename:
            continue
        with sent.stream:
            file = sent.read(UPLOAD_BYTES_MAX + 1)
        try:
            yield pictures.made_ready(file)
        except InvalidInput as problem:
            form.refuse(field, in_words(problem))
