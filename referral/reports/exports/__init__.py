"""What can be exported: each file declares its kinds. Importing this makes them known.

Whoever adds a list declares it in a file here, or calls `referral.exports.register` in its own
module and imports that here.
"""

from referral.reports.exports import (  # noqa: F401 - each registers its kinds
    audit,
    ledger,
    people,
    purchases,
    rewards,
    segments,
    spread,
)
