"""The outbox of webhooks: events on their way to apps.

A delivery is put in by the transaction that writes its event to the audit (`put_in`), so there is none without the
other. Several processes may empty one outbox: a try is claimed, which moves `next_try_at` to the end of the claim and
counts `attempts`, and whoever reports how it went says which try that was. So one who dies in the middle of it only
delays it, and one who was paused changes nothing.

Not here: sending (`gateway.webhooks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, func, or_, select, update

from gateway.key_types import KeyKind
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import API_KEYS, WEBHOOK_DELIVERIES, WEBHOOKS, belongs_to, from_row
from gateway.types import Principal
from gateway.webhook_types import Delivery, DeliveryStatus, Webhook

_columns, _webhooks = WEBHOOK_DELIVERIES.c, WEBHOOKS.c
APP = "app"
"""The issuer of an app that has keys of its own."""
MOST_WAITING = 10_000
"""Deliveries that one webhook may have waiting. Beyond that it misses events: the outbox is not to fill the disk."""


class Notice(Protocol):
    """An event that an app may want to hear of. `delivery` is asked for only where one of its webhooks does."""

    @property
    def app(self) -> Principal: ...

    @property
    def type(self) -> str: ...

    def delivery(self, webhook_id: str) -> Delivery: ...


class DeliveryRows:
    """Deliveries by webhook. Whoever asks for one has made sure whose webhook it is."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def put(self, delivery: Delivery) -> bool:
        """Put one in by itself. False if too many wait already."""

        def write(transaction: Transaction) -> bool:
            if _room(transaction, delivery.webhook_id) < 1:
                return False
            transaction.execute(self._engines.insert(WEBHOOK_DELIVERIES).values(_to_columns(delivery)))
            return True

        return await self._engines.together(write)

    async def claim(self, webhook_id: str, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        """Become the one who tries those that are due, until then; the rows, one try on. The longest due first."""
        due = and_(_columns.webhook_id == webhook_id, _columns.next_try_at <= now)
        first = select(_columns.id).where(due).order_by(_columns.next_try_at, _columns.id).limit(limit)
        statement = (
            update(WEBHOOK_DELIVERIES)
            .where(due, _columns.id.in_(first.with_for_update(skip_locked=True)))
            .values(attempts=_columns.attempts + 1, next_try_at=until)
            .returning(*_columns)
        )

        def write(transaction: Transaction) -> Sequence[RowMapping]:
            return transaction.execute(statement).mappings().all()

        return [Delivery(**row) for row in await self._engines.together(write)]

    async def put_off(self, tried: Delivery, next_try_at: datetime, **more: Any) -> bool:
        """A claimed try failed: when the next one is due. False if it was claimed again, or replayed, meanwhile."""
        return await self._change(_tried(tried), {"next_try_at": next_try_at, **more})

    async def end(self, tried: Delivery, status: DeliveryStatus, now: datetime, kept: timedelta, **more: Any) -> bool:
        """A claimed try was the last. False as for `put_off`."""
        ended = {"status": status, "next_try_at": None, "ended_at": now, "forget_at": now + kept}
        return await self._change(_tried(tried), ended | more)

    async def find(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        rows = await self._engines.rows(select(WEBHOOK_DELIVERIES).where(_is(webhook_id, delivery_id)))
        return Delivery(**rows[0]) if rows else None

    async def list_latest(self, webhook_id: str, status: DeliveryStatus | None, limit: int) -> Sequence[Delivery]:
        """The webhook's latest deliveries, the newest event first."""
        statement = select(WEBHOOK_DELIVERIES).where(_columns.webhook_id == webhook_id)
        if status is not None:
            statement = statement.where(_columns.status == status)
        rows = await self._engines.rows(statement.order_by(_columns.created_at.desc(), _columns.id).limit(limit))
        return [Delivery(**row) for row in rows]

    async def replay(
        self, webhook_id: str, now: datetime, kept: timedelta, *, more: int, only: str | None = None
    ) -> Sequence[str]:
        """Make deliveries due again, with `more` tries: this one, however it ended, or all that are dead. Their ids."""
        which = _columns.id == only if only is not None else _columns.status == DeliveryStatus.DEAD
        statement = (
            update(WEBHOOK_DELIVERIES)
            .where(_columns.webhook_id == webhook_id, which)
            .values(
                status=DeliveryStatus.PENDING,
                next_try_at=now,
                most_attempts=_columns.attempts + more,
                ended_at=None,
                forget_at=now + kept,
            )
            .returning(_columns.id)
        )

        def write(transaction: Transaction) -> Sequence[str]:
            return [row["id"] for row in transaction.execute(statement).mappings()]

        return await self._engines.together(write)

    async def prune(self, now: datetime) -> int:
        """Forget what has been kept for long enough; how many that were."""
        return await self._engines.change(delete(WEBHOOK_DELIVERIES).where(_columns.forget_at <= now))

    async def _change(self, which: ColumnElement[bool], values: dict[str, Any]) -> bool:
        return await self._engines.change(update(WEBHOOK_DELIVERIES).where(which).values(values)) == 1


def in_use() -> ColumnElement[bool]:
    """Not disabled, and of an app that still has a key: whose keys were all revoked is to hear of nobody any more."""
    keys = API_KEYS.c
    key = exists().where(
        keys.kind == KeyKind.APP,
        keys.tenant == _webhooks.tenant,
        keys.name == _webhooks.subject,
        keys.revoked_at.is_(None),
    )
    return and_(_webhooks.disabled_at.is_(None), or_(_webhooks.issuer != APP, key))


def put_in(transaction: Transaction, engines: Engines, notices: Iterable[Notice]) -> int:
    """Put in what the apps' webhooks want to hear of these; how many deliveries that were.

    Putting an event in again changes nothing. The cost depends on the apps in question, not on all there are.
    """
    by_app: dict[Principal, list[Notice]] = {}
    for notice in notices:
        by_app.setdefault(notice.app, []).append(notice)
    theirs = or_(*(belongs_to(WEBHOOKS, app) for app in by_app))
    rows = transaction.execute(select(WEBHOOKS).where(theirs, in_use()))
    count = 0
    for webhook in [from_row(Webhook, row) for row in rows.mappings().all()]:
        wanted = [notice for notice in by_app[webhook.principal] if notice.type in webhook.events]
        if wanted:
            count += _put_in(transaction, engines, webhook, wanted)
    return count


def _put_in(
    transaction: Transaction, engines: Engines, webhook: Webhook, wanted: Sequence[Notice]
) -> int:  # fmt: skip
    room = _room(transaction, webhook.id)
    if missed := len(wanted[room:]):
        more = update(WEBHOOKS).where(WEBHOOKS.c.id == webhook.id).values(missed=WEBHOOKS.c.missed + missed)
        transaction.execute(more)
    deliveries = [_to_columns(notice.delivery(webhook.id)) for notice in wanted[:room]]
    if deliveries:
        transaction.execute(engines.insert(WEBHOOK_DELIVERIES).on_conflict_do_nothing(), deliveries)
    return len(deliveries)


def _room(transaction: Transaction, webhook_id: str) -> int:
    """How many more deliveries may wait for this webhook."""
    waiting = and_(_columns.webhook_id == webhook_id, _columns.next_try_at.is_not(None))
    some = select(_columns.id).where(waiting).limit(MOST_WAITING).subquery()
    count: int = transaction.execute(select(func.count()).select_from(some)).scalar_one()
    return MOST_WAITING - count


_FIELDS = tuple(field.name for field in fields(Delivery))


def _to_columns(delivery: Delivery) -> dict[str, Any]:
    return {name: getattr(delivery, name) for name in _FIELDS}


def _is(webhook_id: str, delivery_id: str) -> ColumnElement[bool]:
    return and_(_columns.webhook_id == webhook_id, _columns.id == delivery_id)


def _tried(tried: Delivery) -> ColumnElement[bool]:
    """The row as its claim left it: nobody claimed it since, and nobody had it replayed."""
    unmoved = and_(_columns.attempts == tried.attempts, _columns.next_try_at == tried.next_try_at)
    return and_(_is(tried.webhook_id, tried.id), unmoved)
