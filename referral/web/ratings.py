"""What a customer says of a package she has claimed: one tap, and words if she likes."""

from flask import redirect, render_template, request, url_for

from referral import actions, ratings
from referral.actions.complaining import own_claim
from referral.batches import batch_by_id
from referral.catalog import Product
from referral.codes import Code
from referral.ratings import COMMENT_LENGTH_MAX, BadComment, BadRating
from referral.web.context import customer, deployment
from referral.web.faces import faces
from referral.web.language import in_words
from referral.web.member import Page, member

NUMBER = "int(max=9223372036854775807)"


@member.get(f"/me/claims/<{NUMBER}:claim_id>/rating")
def rating(claim_id: int) -> Page:
    if customer() is None:
        return redirect(url_for("member.sign_in", next=url_for("member.rating", claim_id=claim_id)))
    return _page(claim_id)


@member.post(f"/me/claims/<{NUMBER}:claim_id>/rating")
def rate(claim_id: int) -> Page:
    signed_in = customer()
    here = url_for("member.rating", claim_id=claim_id)
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=here), 303)
    deployment().limits.rating(signed_in.number)
    typed, comment = request.form.get("score", ""), request.form.get("comment")
    try:
        score = _score(typed) if typed else None
        actions.rate(deployment(), claim_id, signed_in.number, score=score, comment=comment)
    except (BadRating, BadComment) as problem:
        return _page(claim_id, error=in_words(problem), typed=comment), problem.status
    return redirect(f"{here}{'#comment-title' if comment is None else ''}", 303)


def _score(typed: str) -> int:
    for score in ratings.SCORES:
        if typed == str(score):
            return score
    raise BadRating()


def _page(claim_id: int, error: str | None = None, typed: str | None = None) -> str:
    signed_in = customer()
    assert signed_in is not None  # the views have looked
    keys = deployment().keys
    with deployment().db.read() as tx:
        claim = own_claim(tx, claim_id, signed_in.id)
        batch = batch_by_id(tx, claim.batch_id)
        product = tx.get_one(Product, batch.product_id)
        known = ratings.rating_of(tx, claim_id)
        comment = ratings.comment_of(keys, known) if known else None
        code: Code = deployment().codes.encode(batch, claim.index)
    return render_template(
        "rating.html",
        product=product,
        claim_id=claim_id,
        score=known.score if known else None,
        comment=comment if typed is None else typed,
        has_comment=comment is not None,
        comment_length=COMMENT_LENGTH_MAX,
        error=error,
        faces=faces(),
        complain_url=url_for("member.new_complaint", code=code.text),
    )
