"""What pytest's workers tell each other about a test must be sendable, whatever a hostile input left in its log."""

from __future__ import annotations

import execnet
import pytest


def test_a_report_that_quotes_half_a_surrogate_pair_can_be_passed_on(pytestconfig: pytest.Config) -> None:
    report = pytest.TestReport(
        nodeid="tests/test_x.py::test_x",
        location=("tests/test_x.py", 1, "test_x"),
        keywords={},
        outcome="failed",
        longrepr="assert '\ud800' == ''",
        when="call",
        sections=[("Captured log call", "WARNING tool \udfff")],
    )

    sent = pytestconfig.hook.pytest_report_to_serializable(config=pytestconfig, report=report)

    assert execnet.loads(execnet.dumps(sent))["sections"] == [("Captured log call", "WARNING tool \\udfff")]
