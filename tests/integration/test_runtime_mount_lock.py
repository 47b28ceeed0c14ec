# SPDX-License-Identifier: Apache-2.0
"""What the host set on a mount, a container's root with CAP_SYS_ADMIN in a user namespace of its own cannot take off."""

import json
import os
import subprocess

MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def container(t, mounts, prepare=lambda rootfs: None):
    def edit(spec):
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"]["uidMappings"] = spec["linux"]["gidMappings"] = MAPS
        spec["linux"].pop("seccomp", None)
        for name in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][name].append("CAP_SYS_ADMIN")
        spec["mounts"] += mounts
    bundle = t.bundle(args=["sleep", "100"], edit=edit)
    t.run(["chown", "-R", "100000:100000", bundle / "rootfs"])
    prepare(bundle / "rootfs")
    for path in (t.case_dir, t.tmp, bundle):
        path.chmod(0o755)
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(t.tmp / "out", "w") as out:
        result = t.runtime("run", "-d", "-b", bundle, name, check=False, stdout=out, stderr=out)
    text = (t.tmp / "out").read_text()
    if "does its file system support" in text:
        t.skip("no idmapped tmpfs in this kernel")
    assert result.rc == 0, text
    return name


def host_mount(t, path, options):
    path.mkdir()
    t.run(["mount", "-t", "tmpfs", "-o", options, "havre-test", path])
    t.defer(t.run, ["umount", path])
    return path


def bind(source, destination, *options):
    return {"destination": destination, "type": "bind", "source": str(source), "options": list(options)}


def flags(t, name, path):
    return t.runtime("exec", name, "grep", f" {path} ", "/proc/self/mountinfo").out.split()[5].split(",")


def assert_locked(t, name, path, *kept):
    assert set(kept) <= set(flags(t, name, path)), path
    for change in ("suid", "dev", "exec", "rw"):
        if {"suid": "nosuid", "dev": "nodev", "exec": "noexec", "rw": "ro"}[change] not in kept:
            continue
        others = [flag for flag in kept if flag not in ("nosuid" if change == "suid" else "no" + change, "ro" if change == "rw" else "")]
        result = t.runtime("exec", name, "mount", "-o", ",".join(["remount", "bind", change, *others]), path, check=False)
        assert result.rc != 0, (path, change)
    assert set(kept) <= set(flags(t, name, path)), path


ALL = ("nosuid", "nodev", "noexec", "ro")


def test_flags_of_the_host_stay(t):
    """nosuid, nodev, noexec and ro of the host stay on binds that are idmapped, added later, or behind a closed directory"""
    source = host_mount(t, t.tmp / "source", "nosuid,nodev,noexec")
    (source / "file").write_text("x\n")
    t.run(["mount", "-o", "remount,bind,ro,nosuid,nodev,noexec", source])
    closed = t.tmp / "closed"
    closed.mkdir(mode=0o700)
    below = host_mount(t, closed / "below", "nosuid,nodev,noexec,ro")
    name = container(t, [bind(source, "/plain", "bind"), bind(source, "/mapped", "rbind", "idmap"), bind(below, "/below", "rbind")])
    added = [bind(source, "/added", "rbind"), bind(source / "file", "/added-file", "bind")]
    t.runtime("mounts", "add", name, "-", input=json.dumps(added))
    for path in ("/plain", "/mapped", "/below", "/added", "/added-file"):
        assert_locked(t, name, path, *ALL)
    assert t.runtime("exec", name, "cat", "/added-file").out == "x\n"


def test_mounts_below_and_options(t):
    """a mount below a recursive bind keeps its flags; what the configuration asks for is done first, and then stays"""
    source = t.tmp / "tree"
    source.mkdir()
    os.mkdir(source / "dir")
    host_mount(t, source / "dir/sub", "nosuid,nodev")
    flagged = host_mount(t, t.tmp / "flagged", "nosuid,nodev,noatime")
    name = container(t, [])
    added = [bind(source, "/tree", "rbind"), bind(flagged, "/asked", "rbind", "suid", "relatime", "ro"), bind(flagged, "/shared", "rbind", "rshared")]
    t.runtime("mounts", "add", name, "-", input=json.dumps(added))
    assert_locked(t, name, "/tree/dir/sub", "nosuid", "nodev")
    asked = flags(t, name, "/asked")
    assert "nosuid" not in asked and {"ro", "nodev", "relatime"} <= set(asked), asked
    assert_locked(t, name, "/asked", "ro", "nodev")
    line = t.runtime("exec", name, "grep", " /shared ", "/proc/self/mountinfo").out
    assert " shared:" in line and "master:" not in line, line


def test_root_and_below(t):
    """the flags of the mount that the root is on stay, and those of a mount below it"""
    def prepare(rootfs):
        t.run(["mount", "--bind", rootfs, rootfs])
        t.defer(t.run, ["umount", "-l", rootfs])
        t.run(["mount", "-o", "remount,bind,nosuid,nodev", rootfs])
        host_mount(t, rootfs / "below", "ro,nosuid,nodev,noexec")
    name = container(t, [], prepare)
    assert_locked(t, name, "/", "nosuid", "nodev")
    assert_locked(t, name, "/below", *ALL)


def test_no_user_namespaces_left(t):
    """a container's root that has used up its user namespaces gets no unlocked mount instead"""
    source = host_mount(t, t.tmp / "source", "nosuid,nodev")
    name = container(t, [])
    pid = json.loads(t.runtime("state", name).out)["pid"]
    t.run(["nsenter", "-t", pid, "-U", "-S", "0", "-G", "0", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces"], stdin=subprocess.DEVNULL)
    result = t.runtime("mounts", "add", name, "-", input=json.dumps([bind(source, "/added", "bind")]), check=False)
    assert result.rc == 1 and "/proc/sys/user" in result.err, result
    assert t.runtime("exec", name, "grep", " /added ", "/proc/self/mountinfo", check=False).rc == 1
