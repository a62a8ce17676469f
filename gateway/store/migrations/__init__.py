"""How the schema came to be, one revision after the other. Alembic reads this folder; `gateway.store.schema` runs it.

To change the schema: change `gateway.store.tables`, add a revision beside the others, and its name to
`gateway.store.schema.REVISIONS`. A revision that was released is never edited.
"""
