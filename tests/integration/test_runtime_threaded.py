# SPDX-License-Identifier: Apache-2.0
"""Threaded groups of cgroup v2: their cgroup.procs cannot be read, and domains below them take no processes."""

import json
import os
from pathlib import Path


def v2_top(t):
    mode = t.cgroup_mode()
    if mode not in ("v2", "hybrid"):
        t.skip("needs a cgroup v2 mount")
    return Path("/sys/fs/cgroup") if mode == "v2" else Path("/sys/fs/cgroup/unified")


def parent_group(t):
    """A group of v2, and the same name in the other hierarchies, that goes with the test."""
    name = t.id("threaded")
    group = v2_top(t) / name
    group.mkdir()

    def remove():
        tops = [Path("/sys/fs/cgroup")] if t.cgroup_mode() == "v2" else [p for p in Path("/sys/fs/cgroup").iterdir() if (p / "cgroup.procs").exists() and not p.is_symlink()]
        for top in tops:
            if (top / name).exists():
                (top / name).rmdir()
    t.defer(remove)
    return name, group


def started(t, path):
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle({"linux": {"cgroupsPath": path}}, args=["sleep", "1000"]), name, stdout=null, stderr=null)
    return name


def make_threaded(group):
    """As an administrator does it, once no domain controllers are enabled above."""
    control = group.parent / "cgroup.subtree_control"
    for controller in control.read_text().split():
        control.write_text(f"-{controller}")
    (group / "cgroup.type").write_text("threaded")


def test_threaded_group(t):
    """a container whose group is threaded: ps, exec, kill --all and delete still find its processes"""
    above, parent = parent_group(t)
    group = parent / "inner"
    group.mkdir()
    make_threaded(group)
    name = started(t, f"/{above}/inner")
    pid = json.loads(t.runtime("state", name).out)["pid"]
    assert group.joinpath("cgroup.type").read_text() == "threaded\n"
    assert json.loads(t.runtime("ps", "--format", "json", name).out) == [pid]
    assert t.runtime("exec", name, "echo", "in").out == "in\n"
    t.runtime("kill", "--all", name, "KILL")
    t.wait_for(lambda: json.loads(t.runtime("state", name).out)["status"] == "stopped", what="the end of the container")
    t.runtime("delete", name)
    assert not group.exists()


def test_threaded_sub_group(t):
    """a sub-group that a container made threaded: its processes are listed once, and it goes with the container"""
    above, parent = parent_group(t)
    name = started(t, f"/{above}/inner")
    pid = json.loads(t.runtime("state", name).out)["pid"]
    worker = parent / "inner/worker"
    worker.mkdir()
    make_threaded(worker)
    (worker / "cgroup.threads").write_text(str(pid))
    assert (worker / "cgroup.threads").read_text().split() == [str(pid)]
    assert json.loads(t.runtime("ps", "--format", "json", name).out) == [pid]
    t.runtime("delete", "--force", name)
    assert not (parent / "inner").exists()


def test_below_a_threaded_group(t):
    """a group below a threaded one cannot take a container: the error names both and the remedy, and nothing is left"""
    above, parent = parent_group(t)
    middle = parent / "middle"
    middle.mkdir()
    t.defer(middle.rmdir)
    make_threaded(middle)
    for path in (f"/{above}/middle/c", f"/{above}/middle/c/d"):
        result = t.runtime("run", "-b", t.bundle({"linux": {"cgroupsPath": path}}), t.id(), check=False)
        assert result.rc == 1 and "threaded" in result.err and str(middle) in result.err and "linux.cgroupsPath" in result.err, result
        assert not (middle / "c").exists()
