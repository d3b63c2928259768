"""The keys that links, codes and cookies are signed with."""

import os
import secrets
import tempfile
from pathlib import Path

from referral.config.reading import ConfigError

SECRET_LENGTH_MIN = 16


def read_secret_keys(value: str, data_dir: Path) -> tuple[str, ...]:
    """The listed keys, or one made on the first start and kept in the data folder."""
    if value:
        keys = tuple(key.strip() for key in value.split(",") if key.strip())
        if not keys or any(len(key) < SECRET_LENGTH_MIN for key in keys):
            raise ConfigError(
                f"REFERRAL_SECRET_KEYS: every key needs at least {SECRET_LENGTH_MIN} characters; "
                "separate several with commas, oldest first."
            )
        return keys
    path = data_dir / "secret-keys"
    try:
        if not path.exists():
            _make_secret_key(path)
        kept = tuple(key.strip() for key in path.read_text().split(",") if key.strip())
    except OSError as error:
        raise ConfigError(
            f"The file {path} cannot be made or read ({error.strerror}); name a folder that can in "
            "REFERRAL_DATA_DIR, or keys in REFERRAL_SECRET_KEYS."
        ) from None
    if not kept:
        raise ConfigError(f"The file {path} is empty; delete it to have a new key made.")
    return kept


def _make_secret_key(path: Path) -> None:
    """Write the file as a whole: of two processes starting together one makes it, both read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    written = Path(name)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        path.hardlink_to(written)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        written.rename(path)
    finally:
        written.unlink(missing_ok=True)
