"""Rows at rest, in SQLite or PostgreSQL: the same queries, the same tests.

`store` opens a database and holds the four kinds of rows, `*_rows` are their queries, `tables` and `column_types`
the schema, `engine` the two databases' settings, `schema` and `migrations` how a database gets to this version.

The only room that imports SQLModel and SQLAlchemy. What goes in and comes out is the vocabulary of `gateway.types`;
tokens pass through as sealed bytes. Below: the vocabulary. Above: oauth, and the composition.
"""
