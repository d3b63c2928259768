"""How Alembic reaches the database: by the caller's address, or by the deployment's settings."""

from alembic import context
from sqlalchemy import create_engine

import referral.models  # noqa: F401 - importing the parts fills the metadata
from referral.config import Config
from referral.db import Base

url = context.config.attributes.get("url") or Config.from_env().database_url
engine = create_engine(url)

with engine.connect() as connection:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter a column; Alembic copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
