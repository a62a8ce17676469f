"""Where apps want to be told. An app's own, but for `list_all`, which is the administrator's, and `list_due`.

Not here: what is on its way (`delivery_rows`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, select, update

from gateway.store.audit_rows import AuditRows
from gateway.store.delivery_rows import in_use
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import WEBHOOK_DELIVERIES, WEBHOOKS, belongs_to, from_row, person, to_columns
from gateway.types import AuditEvent, Principal
from gateway.webhook_types import Webhook

_columns = WEBHOOKS.c


class WebhookRows:
    """Webhooks by app. The event of a change is recorded in the transaction that makes it."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def put(
        self, webhook: Webhook, *, most: int, fact: Callable[[Webhook], AuditEvent] | None = None
    ) -> Webhook | None:
        """The app's webhook for this URL afterwards: this one, or the one it had, with these events and in use again.

        None where it would be more than `most` of one app's.
        """
        mine = belongs_to(WEBHOOKS, webhook.principal)

        def write(transaction: Transaction) -> Webhook | None:
            again = (
                update(WEBHOOKS)
                .where(mine, _columns.url == webhook.url)
                .values(events=webhook.events, disabled_at=None)
                .returning(*_columns)
            )
            if found := transaction.execute(again).mappings().one_or_none():
                return from_row(Webhook, found)
            count = transaction.execute(select(func.count()).select_from(WEBHOOKS).where(mine)).scalar_one()
            if count >= most:
                return None
            transaction.execute(self._engines.insert(WEBHOOKS).values(to_columns(webhook)))
            return webhook

        return await self._audit.together(f"webhooks {json.dumps(person(webhook.principal))}", write, fact)

    async def find(self, app: Principal, webhook_id: str) -> Webhook | None:
        return next(iter(await self._list(select(WEBHOOKS).where(_is(app, webhook_id)))), None)

    async def list(self, app: Principal) -> Sequence[Webhook]:
        """The app's webhooks, the oldest first."""
        return await self._list(select(WEBHOOKS).where(belongs_to(WEBHOOKS, app)).order_by(*_OLDEST_FIRST))

    async def list_all(self) -> Sequence[Webhook]:
        """Everybody's, by app."""
        return await self._list(select(WEBHOOKS).order_by(_columns.tenant, _columns.subject, *_OLDEST_FIRST))

    async def list_due(self, now: datetime) -> Sequence[Webhook]:
        """Those in use that have something to be delivered now."""
        waiting = WEBHOOK_DELIVERIES.c
        due = exists().where(waiting.webhook_id == _columns.id, waiting.next_try_at <= now)
        return await self._list(select(WEBHOOKS).where(in_use(), due))

    async def disable(self, webhook: Webhook, now: datetime, event: AuditEvent | None = None) -> bool:
        """Deliver no more to it. False if it was disabled, or is gone."""
        which = and_(_columns.id == webhook.id, _columns.disabled_at.is_(None))
        return await self._audit.change(update(WEBHOOKS).where(which).values(disabled_at=now), event)

    async def drop(self, app: Principal, webhook_id: str, event: AuditEvent | None = None) -> bool:
        """Forget it, and what was on its way to it. False if the app has no such webhook."""

        def write(transaction: Transaction) -> tuple[bool, list[AuditEvent | None]]:
            if transaction.execute(delete(WEBHOOKS).where(_is(app, webhook_id))).rowcount != 1:
                return False, []
            transaction.execute(
                delete(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.webhook_id == webhook_id)
            )  # fmt: skip
            return True, [event]

        return await self._audit.recorded(None, write)

    async def _list(self, statement: Select[tuple[object, ...]]) -> Sequence[Webhook]:
        return [from_row(Webhook, row) for row in await self._engines.rows(statement)]


_OLDEST_FIRST = (_columns.created_at, _columns.id)


def _is(app: Principal, webhook_id: str) -> ColumnElement[bool]:
    return and_(belongs_to(WEBHOOKS, app), _columns.id == webhook_id)
