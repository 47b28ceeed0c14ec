# SPDX-License-Identifier: Apache-2.0
"""Facts about processes, mounts and cgroups of this machine, and cleaning up what a test left of them."""

import ctypes
import os
import shutil
import signal
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CGROUP_ROOT = Path("/sys/fs/cgroup")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8


def prctl(option, value):
    if LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def children_of(pid):
    """Direct children of a process, from /proc (zombies included)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as f:
                fields = f.read().rsplit(b")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid:
            found.append((int(entry), fields[0].decode()))
    return found


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            text = f.read(300).replace(b"\0", b" ").decode(errors="replace").strip()
        with open(f"/proc/{pid}/comm") as f:
            return text or f"[{f.read().strip()}]"
    except OSError:
        return "(ended)"


def unescape(text):
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def mounts_below(directory):
    """Mount points at or below a directory, deepest last."""
    prefix = str(directory)
    points = []
    with open("/proc/self/mountinfo", errors="surrogateescape") as f:
        for line in f:
            point = unescape(line.split(" ")[4])
            if point == prefix or point.startswith(prefix + "/"):
                points.append(point)
    return points


def unmount_below(directory):
    points = mounts_below(directory)
    for point in reversed(points):
        LIBC.umount2(os.fsencode(point), MNT_DETACH | UMOUNT_NOFOLLOW)
    return points


def remove_tree(directory):
    """Removes a directory of a test. Never crosses into a mount: those are detached first."""
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):  # something was made while we removed: once more
        time.sleep(0.2)
        unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def cgroup_mode():
    """v2, hybrid, v1 or none: what the machine mounts at the usual place."""
    v1 = v2 = controllers = False
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            kind = right.split(" ")[0]
            point = unescape(left.split(" ")[4])
            if not (point == str(CGROUP_ROOT) or point.startswith(str(CGROUP_ROOT) + "/")):
                continue
            v1 = v1 or kind == "cgroup"
            if kind == "cgroup2":
                v2 = True
                controllers = controllers or point == str(CGROUP_ROOT)
    if v2 and controllers and not v1:
        return "v2"
    if v1 and v2:
        return "hybrid"
    return "v1" if v1 else "none"


def cgroup_mounts():
    if cgroup_mode() == "v2":
        return [CGROUP_ROOT]
    try:
        return [p for p in CGROUP_ROOT.iterdir() if p.is_dir() and not p.is_symlink()]
    except OSError:
        return []


def cgroup_directories():
    """All cgroup directories below the mount points themselves."""
    found = set()
    for top in cgroup_mounts():
        for directory, names, _ in os.walk(top):
            found.update(os.path.join(directory, n) for n in names)
    return found


def cgroup_parents():
    """The directories that hold the containers' groups."""
    return [str(top / "havre") for top in cgroup_mounts()]


def remove_if_empty(directory):
    try:
        os.rmdir(directory)
    except OSError:
        pass


def cgroup_processes(directory):
    pids = []
    for where, _, _ in os.walk(directory):
        try:
            with open(os.path.join(where, "cgroup.procs")) as f:
                pids += [int(line) for line in f]
        except (OSError, ValueError):
            pass
    return pids


def cgroup_remove(directory):
    """Kills what is inside and removes the directory with its sub-groups."""
    for _ in range(50):
        pids = [p for p in cgroup_processes(directory) if p > 1]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for state, value in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
            try:
                with open(os.path.join(directory, state), "w") as f:
                    f.write(value)
            except OSError:
                pass
        done = True
        for where, _, _ in os.walk(directory, topdown=False):
            try:
                os.rmdir(where)
            except OSError:
                done = False
        if done:
            return
        time.sleep(0.05)
