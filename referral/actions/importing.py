"""A file of orders: each line of it is one order or refund, and a transaction of its own.

So a file that was stopped halfway, or that has wrong lines, is put right and read again as a whole:
what was kept before is not kept twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from referral import orders
from referral.actions.ordering import check_same, find_buyer, place_order, refund_order
from referral.deployment import Deployment
from referral.errors import Problem, Unavailable
from referral.orders import OrderDiffers, OrderIn, RefundDiffers, RefundTooLarge, UnknownOrder
from referral.orders.files import Fault, Line, OrderFile, RefundOf

FAULTS_MAX = 200
"""How many wrong lines are told; all of them are counted."""

Tell = Callable[[int, int], None]
"""Called with how many lines are done, and of how many."""


@dataclass
class Imported:
    """What a file brought; of one that was only checked, what it would bring."""

    orders: int = 0
    refunds: int = 0
    already: int = 0
    """Orders and refunds that had been reported before."""
    rewards: int = 0
    """How many rewards were granted."""
    wrong: int = 0
    """How many lines could not be taken."""
    faults: list[Fault] = field(default_factory=list)
    """What is wrong with them, by line; the first `FAULTS_MAX`."""

    def refuse(self, fault: Fault) -> None:
        self.wrong += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(fault)

    def keep(self, sent: OrderIn | RefundOf, *, already: bool, rewards: int = 0) -> None:
        self.already += already
        if not already:
            self.orders += isinstance(sent, OrderIn)
            self.refunds += isinstance(sent, RefundOf)
            self.rewards += rewards


def import_orders(deployment: Deployment, file: OrderFile, tell: Tell) -> Imported:
    """Keep every order and refund of a file; a refund may stand before its order."""
    return _through(file, tell, lambda sent: _keep(deployment, sent))


def check_orders(deployment: Deployment, file: OrderFile, tell: Tell) -> Imported:
    """What `import_orders` would do, as far as it can be told without doing it. Only reads."""
    check = _Check(deployment)
    return _through(file, tell, check.would_keep)


Kept = tuple[bool, int]
"""Whether it had been reported before, and how many rewards it brought."""


def _keep(deployment: Deployment, sent: OrderIn | RefundOf) -> Kept:
    if isinstance(sent, OrderIn):
        ordered = place_order(deployment, sent)
        return ordered.already, len(ordered.rewards)
    return refund_order(deployment, sent.order, sent.refund).already, 0


def _through(file: OrderFile, tell: Tell, keep: Callable[[OrderIn | RefundOf], Kept]) -> Imported:
    found = Imported()
    waiting: list[Line] = []
    for line in file:
        number = line.line if isinstance(line, Fault) else line.number
        tell(number - 1, file.lines)
        if isinstance(line, Fault):
            found.refuse(line)
        elif not _take(found, line, keep, is_last=False):
            waiting.append(line)
    for line in waiting:
        _take(found, line, keep, is_last=True)
    tell(file.lines, file.lines)
    found.faults.sort(key=lambda fault: fault.line)
    return found


def _take(
    found: Imported, line: Line, keep: Callable[[OrderIn | RefundOf], Kept], *, is_last: bool
) -> bool:
    """Keep a line; False for a refund whose order may still come."""
    try:
        already, rewards = keep(line.sent)
    except UnknownOrder as problem:
        if not is_last:
            return False
        found.refuse(Fault(line.number, "order", problem.title, problem.advice))
    except Unavailable:
        raise
    except Problem as problem:
        found.refuse(Fault(line.number, None, problem.title, problem.advice))
    else:
        found.keep(line.sent, already=already, rewards=rewards)
    return True


@dataclass(frozen=True)
class _New:
    """An order that is in the file and not in the database."""

    amount: int
    currency: str
    is_guest: bool


class _Check:
    """Looks at lines as they would be kept one after the other."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._orders: dict[str, _New] = {}
        self._refunds: dict[str, dict[str, int]] = {}
        """By order, the refunds of the file that are not in the database."""

    def would_keep(self, sent: OrderIn | RefundOf) -> Kept:
        with self._deployment.db.read() as tx:
            if isinstance(sent, OrderIn):
                return self._order(tx, sent), 0
            return self._refund(tx, sent), 0

    def _order(self, tx: Session, sent: OrderIn) -> bool:
        known = orders.find_order(tx, sent.external_id)
        if known is not None:
            check_same(tx, self._deployment, known, sent)
            return True
        if sent.at is not None:
            orders.check_time(sent.at, self._deployment.clock.now())
        find_buyer(tx, self._deployment, sent)
        new = _New(sent.amount, sent.currency, not sent.names_buyer)
        before = self._orders.setdefault(sent.external_id, new)
        if before != new:
            raise OrderDiffers()
        return before is not new

    def _refund(self, tx: Session, sent: RefundOf) -> bool:
        known, new = orders.find_order(tx, sent.order), self._orders.get(sent.order)
        if known is not None:
            refund = orders.find_refund(tx, known, sent.refund.external_id)
            if refund is not None:
                if refund.amount != sent.refund.amount:
                    raise RefundDiffers()
                return True
            left = known.amount - known.refunded
        elif new is not None:
            left = new.amount
        else:
            raise UnknownOrder()
        beside = self._refunds.setdefault(sent.order, {})
        if sent.refund.external_id in beside:
            if beside[sent.refund.external_id] != sent.refund.amount:
                raise RefundDiffers()
            return True
        if sum(beside.values()) + sent.refund.amount > left:
            raise RefundTooLarge()
        beside[sent.refund.external_id] = sent.refund.amount
        return False
