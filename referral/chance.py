"""Random bytes from the system, fetched many at a time.

Each fetch lets other threads run before it comes back, and a page takes several. A process that is
forked fetches its own.
"""

import os
import threading

FETCHED = 4_096


class _Fetched(threading.local):
    data = b""
    taken = 0


_fetched = _Fetched()


def random_bytes(count: int) -> bytes:
    """So many, up to `FETCHED`, which nobody else is given."""
    start = _fetched.taken
    if start + count > len(_fetched.data):
        _fetched.data, start = os.urandom(FETCHED), 0
    _fetched.taken = start + count
    return _fetched.data[start : start + count]


def random_bits(count: int) -> int:
    """A whole number of at most so many bits."""
    return int.from_bytes(random_bytes((count + 7) // 8)) >> (-count % 8)


def _forget() -> None:
    _fetched.data = b""


os.register_at_fork(after_in_child=_forget)
