"""Which app a key belongs to."""

from __future__ import annotations

import pytest

from gateway.secret import Secret
from gateway.surfaces.atp.keys import FixedAppKeys

KEYS = FixedAppKeys({"shop": Secret("first-key"), "other": Secret("second-key"), "unset": Secret("")})


@pytest.mark.parametrize(("key", "app"), [("first-key", "shop"), ("second-key", "other")])
async def test_a_key_belongs_to_its_app(key: str, app: str) -> None:
    assert await KEYS.app(key) == app


@pytest.mark.parametrize("key", ["", "first", "first-key ", "FIRST-KEY", "ключ", "\udcff"])
async def test_any_other_key_belongs_to_none(key: str) -> None:
    assert await KEYS.app(key) is None


def test_keys_do_not_show() -> None:
    assert "first-key" not in repr(vars(KEYS))
