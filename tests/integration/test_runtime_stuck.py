# SPDX-License-Identifier: Apache-2.0
"""Containers whose processes do not die at once: frozen by somebody, or waiting in the kernel."""

import ctypes
import json
import os
import struct
import threading
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_FORCE, MNT_DETACH = 1, 2
CGROUP = Path("/sys/fs/cgroup")


class SilentFuse:
    """A FUSE file system that has a root directory and answers nothing about what is in it."""

    INIT, GETATTR, STATFS = 26, 3, 17

    def __init__(self, t):
        self.directory = t.tmp / "fuse"
        self.directory.mkdir()
        self.asked = threading.Event()
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError:
            t.skip("there is no FUSE on this machine")
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if LIBC.mount(b"silent", bytes(self.directory), b"fuse", 0, options):
            t.skip("FUSE cannot be mounted")
        t.defer(self.end)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 20)
            except OSError:
                return
            _, opcode, unique = struct.unpack_from("IIQ", request)
            answer = None
            if opcode == self.INIT:
                answer = struct.pack("IIIIHHI", 7, 22, 0, 0, 0, 0, 4096)
            elif opcode == self.GETATTR:
                answer = struct.pack("QII", 1, 0, 0) + struct.pack("6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
            elif opcode == self.STATFS:
                answer = struct.pack("5Q10I", *[0] * 5, 4096, 255, 4096, *[0] * 7)
            else:
                self.asked.set()
            if answer:
                os.write(self.fd, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)

    def end(self):
        """Whoever waits gets an error."""
        if self.fd >= 0:
            LIBC.umount2(bytes(self.directory), MNT_FORCE | MNT_DETACH)
            os.close(self.fd)
            self.fd = -1


def container(t, script, edit=None):
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(t.tmp / "out", "w+") as out:
        done = t.runtime("run", "--detach", "--bundle", t.bundle(args=["sh", "-c", script], edit=edit), name, stdout=out, stderr=out, check=False)
        out.seek(0)
        assert done.rc == 0, out.read()
    return name


def state(t, name):
    return json.loads(t.runtime("state", name).out)


def freezer(t, name):
    """The container's group that can be frozen, and how."""
    if t.cgroup_mode() == "v2":
        return CGROUP / "havre" / name, "cgroup.freeze", "1", "0"
    return CGROUP / "freezer/havre" / name, "freezer.state", "FROZEN", "THAWED"


def gone(t, name):
    left = [d for d, _, _ in os.walk(CGROUP) if name in d]  # others' groups come and go meanwhile
    return not left and t.runtime("state", name, check=False).rc != 0


def test_stuck_in_the_kernel(t):
    """a process that waits for a file system that does not answer: delete --force ends in time and names it; a later one succeeds"""
    fuse = SilentFuse(t)
    name = container(t, "cat /fuse/file; sleep 1000", lambda s: s["mounts"].append(
        {"destination": "/fuse", "type": "bind", "source": str(fuse.directory), "options": ["bind"]}))
    assert fuse.asked.wait(20)
    child = t.wait_for(lambda: [p for p in json.loads(t.runtime("ps", "--format", "json", name).out)
                                if "cat" in Path(f"/proc/{p}/comm").read_text()])[0]
    began = time.monotonic()
    t.runtime("kill", name, "KILL")
    wrong = t.runtime("delete", "--force", name, check=False)
    took = time.monotonic() - began
    assert wrong.rc == 1 and took < 30, (took, wrong)
    assert f"process {child} of container {name} is killed but does not end" in wrong.err and "state D" in wrong.err, wrong
    fuse.end()
    t.runtime("delete", "--force", name, timeout=20)
    assert gone(t, name)


test_stuck_in_the_kernel.timeout = 120


def test_frozen_sub_group(t):
    """processes in a group that the container froze inside its own die, and the groups go"""
    name = container(t, "sleep 1000 & sleep 1000; true")
    group, file, frozen, _ = freezer(t, name)
    inner = group / "inner"
    inner.mkdir()
    child = [p for p in json.loads(t.runtime("ps", "--format", "json", name).out) if p != state(t, name)["pid"]][0]
    for p in (child, state(t, name)["pid"]):
        (inner / "cgroup.procs").write_text(str(p))
    (inner / file).write_text(frozen)
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: state(t, name)["status"] == "stopped")
    t.runtime("delete", name)
    assert gone(t, name)


def test_frozen_sub_group_force(t):
    """delete --force alone does the same, also when only processes that are not the first are frozen"""
    name = container(t, "sleep 1000 & sleep 1000; true", lambda s: s["linux"].update(
        namespaces=[n for n in s["linux"]["namespaces"] if n["type"] != "pid"]))
    group, file, frozen, _ = freezer(t, name)
    inner = group / "inner"
    inner.mkdir()
    first = state(t, name)["pid"]
    child = t.wait_for(lambda: [p for p in json.loads(t.runtime("ps", "--format", "json", name).out) if p != first])[0]
    (inner / "cgroup.procs").write_text(str(child))
    (inner / file).write_text(frozen)
    t.runtime("delete", "--force", name, timeout=20)
    assert gone(t, name)
    t.wait_for(lambda: not os.path.exists(f"/proc/{child}"))


def test_frozen_before(t):
    """a group that exists and is frozen would never let a container start: that is said, and nothing is left; thawed, it serves"""
    if t.cgroup_mode() == "none":
        t.skip("there are no control groups here")
    name = t.id()
    group, file, frozen, thawed = freezer(t, name)
    group.mkdir(parents=True)
    t.defer(lambda: group.exists() and group.rmdir())
    (group / file).write_text(frozen)
    t.defer(lambda: group.exists() and (group / file).write_text(thawed))
    bundle = t.bundle({"linux": {"cgroupsPath": f"/havre/{name}"}}, args=["echo", "hi"])
    for verb in ("run", "create"):
        refused = t.runtime(verb, "--bundle", bundle, name, check=False, timeout=20)
        assert refused.rc == 1 and "container's cgroup unexpectedly frozen" in refused.err and "thaw" in refused.err, refused
        assert t.runtime("state", name, check=False).rc != 0
    (group / file).write_text(thawed)
    assert t.runtime("run", "--bundle", bundle, name, timeout=20).out == "hi\n"


def test_frozen_from_outside(t):
    """a container that somebody else froze is paused, is killed and is deleted"""
    name = container(t, "sleep 1000")
    group, file, frozen, _ = freezer(t, name)
    (group / file).write_text(frozen)
    t.wait_for(lambda: state(t, name)["status"] == "paused")
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: state(t, name)["status"] == "stopped")
    t.runtime("delete", name)
    assert gone(t, name)


def test_frozen_above(t):
    """v1: under a frozen ancestor nothing dies; delete says which one to thaw, in time, and succeeds after it"""
    if t.cgroup_mode() == "v2":
        t.skip("what cgroup v2 has frozen dies all the same")
    above = CGROUP / "freezer" / t.id("above")
    above.mkdir()
    t.defer(above.rmdir)
    name = container(t, "sleep 1000", lambda s: s["linux"].update(cgroupsPath=f"/{above.name}/inner"))
    (above / "freezer.state").write_text("FROZEN")
    t.defer((above / "freezer.state").write_text, "THAWED")
    wrong = t.runtime("delete", "--force", name, check=False, timeout=30)
    assert wrong.rc == 1 and str(above) in wrong.err and "thaw" in wrong.err, wrong
    (above / "freezer.state").write_text("THAWED")
    t.runtime("delete", "--force", name)
    assert not (above / "inner").exists()


test_frozen_above.timeout = 90


def test_frozen_below_v2(t):
    """v2: an ancestor that is frozen does not keep a container from being deleted"""
    if t.cgroup_mode() != "v2":
        t.skip("needs cgroup v2")
    above = CGROUP / t.id("above")
    above.mkdir()
    t.defer(above.rmdir)
    name = container(t, "sleep 1000", lambda s: s["linux"].update(cgroupsPath=f"/{above.name}/inner"))
    (above / "cgroup.freeze").write_text("1")
    t.runtime("delete", "--force", name, timeout=20)
    assert not (above / "inner").exists()
