"""How Alembic reaches the database. The address comes from the caller, never from a file.

A migration is one transaction on both databases, and one that is started beside another waits for
it: several processes of one deployment may be told to upgrade at the same moment.
"""

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

import referral.models  # noqa: F401 - importing the parts fills the metadata
from referral.config import Config
from referral.db import Base, use_wal

WAIT_SECONDS = 60


def open_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url)
    # Left to itself the driver commits after every CREATE TABLE.
    arguments = {"timeout": WAIT_SECONDS, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments)
    event.listen(engine, "connect", lambda connection, _record: use_wal(connection))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def wait_for_others(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations'))"))


engine = open_engine(context.config.attributes.get("url") or Config.from_env().database_url)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter a column; Alembic copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        wait_for_others(connection)
        context.run_migrations()
engine.dispose()
