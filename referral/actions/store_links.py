"""The share links on a store's posters: who comes by them is traced back to the store."""

from sqlalchemy.orm import Session

from referral import audit, stores
from referral.db import transaction
from referral.deployment import Deployment
from referral.people import new_visitor_id


@transaction
def open_store_links(tx: Session, deployment: Deployment, slug: str, *, by: str) -> int:
    """Give a store links of its own; again is no harm. Returns whose they are. Raises
    `UnknownStore`."""
    store = stores.store_by_slug(tx, slug)
    if store.visitor_id is not None:
        return store.visitor_id
    visitor = stores.visitor_of(tx, store, new_visitor_id())
    audit.note(
        tx,
        by=by,
        action="open_store_links",
        subject=f"store:{store.id}",
        now=deployment.clock.now(),
    )
    return visitor
