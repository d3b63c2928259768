"""One deployment is one brand: its settings and the parts built from them."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from referral.batches import BatchDirectory
from referral.clock import Clock, DatabaseClock
from referral.codes import Code, CodeCodec, MistypedCode, UnknownCode
from referral.config import Config
from referral.crypto import KeyRing
from referral.database_time import DatabaseTime
from referral.db import Database
from referral.dead_links import DeadLinks
from referral.fresh_codes import FreshCodes
from referral.guessing import Guessing
from referral.intake import Intake
from referral.intake.stream import VisitStream
from referral.intake.waiting import WaitingTable
from referral.limits import Limits
from referral.links import LinkCodec
from referral.misses import Misses
from referral.places import Places
from referral.senders import Sender, sender_for
from referral.showcase import Showcase
from referral.staff.provider import Provider
from referral.wechat import OfficialAccount


@dataclass(frozen=True)
class Deployment:
    """What every request, command and worker needs. Made once a process."""

    config: Config
    db: Database
    clock: Clock
    keys: KeyRing
    links: LinkCodec
    codes: CodeCodec
    directory: BatchDirectory
    showcase: Showcase
    fresh_codes: FreshCodes
    limits: Limits
    stream: VisitStream | None
    """Where visits wait for a worker, if they do."""
    waiting: WaitingTable | None
    """Where they wait without a stream, and while it is away; None when they are stored at once."""
    intake: Intake
    guessing: Guessing
    misses: Misses
    dead_links: DeadLinks
    places: Places
    sender: Sender
    wechat: OfficialAccount | None
    """The brand's account at WeChat, if it has one."""
    provider: Provider | None
    """Where staff sign in once for everything, if there is such a place."""

    def read_code(self, text: str, *, is_trusted: bool = True) -> Code:
        """The genuine code in a text as scanned or typed. Raises `MistypedCode`, `UnknownCode`.

        Not `is_trusted`: anybody may have sent it, and a wrong one has to cost nothing.
        """
        try:
            return self.codes.decode(text, self.directory)
        except MistypedCode:
            raise
        except UnknownCode:
            if not is_trusted:
                raise
            # Of several batches issued this moment by another process, only the next one shows by
            # its tag; the others are found in the database.
            self.directory.look_again()
            return self.codes.decode(text, self.directory)

    def local_now(self) -> datetime:
        """The time in the brand's own zone, whose calendar decides what day it is."""
        return self.local(self.clock.now())

    def local(self, moment: datetime) -> datetime:
        """A moment in the brand's own zone."""
        return moment.astimezone(ZoneInfo(self.config.timezone))

    def address(self, path: str) -> str:
        """The public address of a path that begins with a slash."""
        return self.config.base_url + path


def open_deployment(config: Config, *, clock: Clock | None = None) -> Deployment:
    db = Database(config.database_url)
    clock = clock or DatabaseClock(DatabaseTime(db))
    keys = KeyRing(config.secret_keys)
    limits = Limits(db, keys, clock, config.redis_url)
    is_streamed = config.redis_url is not None and config.intake == "stream"
    stream = VisitStream(config.redis_url or "") if is_streamed else None
    waiting = None if config.intake == "direct" else WaitingTable(db, clock)
    return Deployment(
        config=config,
        db=db,
        clock=clock,
        keys=keys,
        links=LinkCodec(keys),
        codes=CodeCodec(keys),
        directory=BatchDirectory(db),
        showcase=Showcase(db),
        fresh_codes=FreshCodes(db),
        limits=limits,
        stream=stream,
        waiting=waiting,
        intake=Intake(db, stream, waiting),
        guessing=Guessing(limits.redis, keys, clock),
        misses=Misses(db, clock),
        dead_links=DeadLinks(db, clock),
        places=Places(config.geoip),
        sender=sender_for(config.sender),
        wechat=OfficialAccount(config.wechat, db, keys, clock) if config.wechat else None,
        provider=Provider(config.oidc, clock) if config.oidc else None,
    )
