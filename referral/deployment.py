"""One deployment is one brand: its settings and the parts built from them."""

from dataclasses import dataclass

from referral.batches import BatchDirectory
from referral.clock import Clock, DatabaseClock
from referral.codes import Code, CodeCodec, MistypedCode, UnknownCode
from referral.config import Config
from referral.crypto import KeyRing
from referral.db import Database
from referral.limits import Limits
from referral.links import LinkCodec
from referral.senders import Sender, sender_for


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
    limits: Limits
    sender: Sender

    def read_code(self, text: str) -> Code:
        """The genuine code in a text as scanned or typed. Raises `MistypedCode`, `UnknownCode`."""
        try:
            return self.codes.decode(text, self.directory)
        except MistypedCode:
            raise
        except UnknownCode:
            if not self.directory.look_again():
                raise
            return self.codes.decode(text, self.directory)

    def address(self, path: str) -> str:
        """The public address of a path that begins with a slash."""
        return self.config.base_url + path


def open_deployment(config: Config, *, clock: Clock | None = None) -> Deployment:
    db = Database(config.database_url)
    clock = clock or DatabaseClock(db.now)
    keys = KeyRing(config.secret_keys)
    return Deployment(
        config=config,
        db=db,
        clock=clock,
        keys=keys,
        links=LinkCodec(keys),
        codes=CodeCodec(keys),
        directory=BatchDirectory(db),
        limits=Limits(db, keys, clock, config.redis_url),
        sender=sender_for(config.sender),
    )
