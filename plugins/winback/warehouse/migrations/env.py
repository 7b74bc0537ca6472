"""Alembic's entry: runs the migrations of `versions/` on the connection `setup.py` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="schema_version", version_table_schema="ops")
with context.begin_transaction():
    context.run_migrations()
