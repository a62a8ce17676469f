"""One table from error to wire, and it is complete."""

from __future__ import annotations

from gateway import errors
from gateway.errors import GatewayError
from gateway.wire import WIRE, wire


def kinds(root: type[GatewayError]) -> set[type[GatewayError]]:
    return {root, *(kind for child in root.__subclasses__() for kind in kinds(child))}


def ours() -> set[type[GatewayError]]:
    return {kind for kind in kinds(GatewayError) if kind.__module__ == "gateway.errors"}


def test_every_error_kind_reaches_the_wire():
    families = {GatewayError, errors.ToolkitError, errors.CallError, errors.ProviderError}
    assert ours() - WIRE.keys() <= families


def test_every_kind_has_a_code_of_its_own():
    codes = [kind.code for kind in ours()]
    assert len(codes) == len(set(codes))


def test_the_tree_in_the_docstring_is_the_tree():
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in ours())


def test_an_unknown_tool_is_a_protocol_error_and_bad_arguments_are_the_models_to_mend():
    assert wire(errors.UnknownToolError("x")).mcp == -32602
    assert wire(errors.InvalidArgumentsError("x")).mcp is None
