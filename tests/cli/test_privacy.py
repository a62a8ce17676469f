"""What a serving process keeps to itself: its memory, and the secrets it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import ctypes, json, os, resource, subprocess, sys
from gateway.cli.privacy import keep_memory_private

keep_memory_private()
child = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
print(json.dumps({
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "child": subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip(),
}), flush=True)
os.abort()
"""


def test_a_crash_leaves_no_core_and_nobody_may_attach(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert json.loads(done.stdout) == {"dumpable": 0, "core": [0, 0], "child": "0"}
    assert done.returncode < 0
    assert list(tmp_path.iterdir()) == []


def test_a_server_keeps_its_memory_private(tmp_path: Path) -> None:
    """Both ways to serve. Before anything else: even a server that does not come up may have read a secret."""
    for command in ("serve", "stdio"):
        program = (
            "import ctypes\nfrom gateway.cli import main\n"
            f"try:\n    main(['{command}', '--config', 'missing.toml', 'kit.py'])\n"
            "except SystemExit:\n    import sys; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr.splitlines()[-1] == "0"
