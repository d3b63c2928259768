"""The picture that comes with a campaign's form."""

from flask import request

from referral import actions, pictures
from referral.errors import InvalidInput
from referral.pictures import UPLOAD_BYTES_MAX
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff.forms import Form


def take_picture(form: Form) -> None:
    """Keep the picture that was sent, if one was. The form goes on with its hash, so that it is not
    lost when something else in the form has to be put right."""
    sent = request.files.get("upload")
    if sent is None or not sent.filename:
        return
    with sent.stream:
        file = sent.read(UPLOAD_BYTES_MAX + 1)
    try:
        ready = pictures.made_ready(file)
    except InvalidInput as problem:
        form.refuse("upload", in_words(problem))
        return
    form.values["picture"] = actions.add_picture(deployment(), ready).sha256
    form.values.pop("without_picture", None)
