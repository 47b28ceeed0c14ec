# SPDX-License-Identifier: Apache-2.0
"""The test runner itself: a runner that overlooks a failure makes every other test worthless."""

import os
import shutil
import sys

from lib.system import command_of

PROBE = '''# SPDX-License-Identifier: Apache-2.0
import os, subprocess
def test_good(t): assert t.run(["echo", "x"]).out == "x\\n"
def test_bad(t): t.run(["sh", "-c", "echo why >&2; exit 3"])
def test_skipped(t): t.skip("because")
def test_late(t):
    t.defer(print, "the cleanup ran")
    subprocess.run(["sleep", "60"])
test_late.timeout = 1
def test_leaves(t):
    subprocess.Popen(["setsid", "sleep", "61.7"])
    if os.geteuid() == 0:
        (t.tmp / "m").mkdir()
        t.run(["mount", "-t", "tmpfs", "x", t.tmp / "m"])
def test_unsteady(t):
    first = not (t.shared / "tried").exists()
    (t.shared / "tried").touch()
    assert not first
def test_terminal(t):
    p = t.terminal(["sh", "-c", "read x; echo got $x; stty size; exit 4"], rows=30, columns=99)
    p.send("hello\\n")
    p.expect("got hello")
    p.expect("30 99")
    assert p.wait() == 4
'''


def test_runner(t):
    """Passes, failures, skips, time-outs and leftovers are told apart and counted, and leftovers are removed."""
    tree = t.tmp / "tree"
    (tree / "tests/integration").mkdir(parents=True)
    (tree / "build/meson-info").mkdir(parents=True)
    (tree / "build/meson-info/intro-tests.json").write_text("[]")
    shutil.copy(t.source / "tests/run.py", tree / "tests/run.py")
    shutil.copytree(t.source / "tests/lib", tree / "tests/lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "tests/integration/test_probe.py").write_text(PROBE)
    (tree / "tests/integration/test_broken.py").write_text("import nonesuch\n")
    done = t.run([sys.executable, tree / "tests/run.py"], check=False)
    lines = done.out.splitlines()
    assert done.rc == 1 and lines[-1] == "3 passed, 4 failed, 1 skipped", done
    for expected in ("ok    integration: probe.good", "FAIL  integration: probe.bad", "      | why", "skip  integration: probe.skipped: because",
                     "FAIL  integration: probe.late", "      | the cleanup ran", "FAIL  integration: probe.leaves", "sleep 61.7",
                     "FAIL  integration: broken", "ok    integration: probe.terminal", "FAIL  integration: probe.unsteady",
                     "ok    integration: probe.unsteady", "unsteady, passed on the second try only:\n  integration: probe.unsteady\n"):
        assert expected in done.out, f"no {expected!r} in {done}"
    assert done.out.count("FAIL  integration: probe.bad") == 2, "what failed is tried twice"
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and command_of(pid) == "sleep 61.7"]
    none = t.run([sys.executable, tree / "tests/run.py", "-k", "nonesuch"], check=False)
    assert none.rc == 1 and none.out.splitlines()[-1] == "0 passed, 0 failed, 0 skipped", none
