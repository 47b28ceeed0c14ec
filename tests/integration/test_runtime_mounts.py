# SPDX-License-Identifier: Apache-2.0
"""havre-runtime mounts add and remove: mounts of a container that runs, also against one that fights back."""

import json
import os

SLEEP = ["sh", "-c", "while :; do sleep 0.05; done"]


def running(t, **kw):
    name, bundle = t.id(), t.bundle(args=kw.pop("args", SLEEP), **kw)
    t.defer(t.runtime, "delete", "--force", name)
    with open(t.tmp / "run.err", "w") as out:
        result = t.runtime("run", "--detach", "--bundle", bundle, name, check=False, stdout=out, stderr=out)
    assert result.rc == 0, (t.tmp / "run.err").read_text()
    return name, bundle


def change(t, verb, name, mounts, **kw):
    return t.runtime("mounts", verb, name, "-", input=json.dumps(mounts), **kw)


def bind(source, destination, *options):
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def table(t, name):
    return [line.split()[4] for line in t.runtime("exec", name, "cat", "/proc/self/mountinfo").out.splitlines()]


def test_add_remove(t):
    """binds of a directory and of a file, a tmpfs and a proc appear in a running container with their options, and go again"""
    name, bundle = running(t)
    source = t.tmp / "source"
    source.mkdir()
    (source / "file").write_text("here\n")
    before = table(t, name)
    mounts = [bind(source, "/new/dir", "ro"), bind(source / "file", "/etc/one"),
              {"destination": "/fresh", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "nosuid"]},
              {"destination": "/proc2", "type": "proc", "source": "proc"}]
    (t.tmp / "mounts.json").write_text(json.dumps({"mounts": mounts}))
    t.runtime("mounts", "add", name, t.tmp / "mounts.json")
    assert t.runtime("exec", name, "cat", "/new/dir/file", "/etc/one").out == "here\nhere\n"
    assert "Read-only" in t.runtime("exec", name, "touch", "/new/dir/x", check=False).err
    assert t.runtime("exec", name, "readlink", "/proc2/self").out.strip().isdigit()
    assert "size=64k" in t.runtime("exec", name, "grep", " /fresh ", "/proc/mounts").out
    assert not any(str(bundle) in line for line in open("/proc/self/mountinfo")), "a mount came to the host"
    t.runtime("mounts", "remove", name, t.tmp / "mounts.json")
    assert table(t, name) == before
    assert (source / "file").read_text() == "here\n"


def test_all_or_none(t):
    """when one mount of a call cannot be made, those before it are taken back, and the error names it"""
    name, _ = running(t)
    before = table(t, name)
    bad = {"destination": "/bad", "type": "tmpfs", "options": ["size=nonsense"]}
    result = change(t, "add", name, [bind(t.tmp, "/a"), bind(t.tmp, "/a/b"), bad], check=False)
    assert result.rc == 1 and "/bad" in result.err and "size" in result.err, result
    assert table(t, name) == before


def test_refusals(t):
    """what is no mount, what confines the container, and containers that do not run are refused by name"""
    name, _ = running(t)
    for mounts, why in (({"a": 1}, "mounts"), ([{"type": "tmpfs"}], "destination"), ([bind("/nonexistent", "/x")], "/nonexistent"),
                        ([bind(t.tmp, "/proc/sys")], "proc file system"), ([bind(t.tmp, "/")], "the root itself"),
                        ([{"destination": "/tmp", "options": ["remount", "ro"]}], "remount"), ("text", "array")):
        result = change(t, "add", name, mounts, check=False)
        assert result.rc == 1 and why in result.err, (mounts, result)
    for path, why in (("/bin", "not a mount point"), ("/", "/"), ("/nothing", "no such file"), ("/proc/kcore", "confines"),
                      ("/bin/sh", "not a mount point")):
        result = change(t, "remove", name, [{"destination": path}], check=False)
        assert result.rc == 1 and why in result.err, (path, result)
    assert "not running" in stopped(t)
    assert "does not exist" in change(t, "add", "nobody", [], check=False).err


def stopped(t):
    name, _ = running(t, args=["true"])
    t.wait_for(lambda: json.loads(t.runtime("state", name).out)["status"] == "stopped")
    return change(t, "add", name, [bind(t.tmp, "/x")], check=False).err


def test_symlinks_stay_inside(t):
    """a container that swaps a directory for a symlink to the host's path, in a loop, never gets a mount outside or removes one there"""
    swap = "mkdir -p /d /a; while :; do mv /d /e; ln -s %s /d; rm /d; mv /e /d; done"
    outside = t.tmp / "outside"
    outside.mkdir()
    name, bundle = running(t, args=["sh", "-c", swap % outside])
    t.wait_for(lambda: (bundle / "rootfs/a").is_dir())
    made = 0
    for _ in range(40):
        if change(t, "add", name, [bind("/etc", "/d/m")], check=False).rc == 0:
            made += 1
            change(t, "remove", name, [{"destination": "/d/m"}], check=False)
    assert made and os.listdir(outside) == []
    here = open("/proc/self/mountinfo").read()
    assert str(outside) not in here and str(bundle) not in here


test_symlinks_stay_inside.timeout = 180


def test_user_namespace(t):
    """a container with a user namespace of its own gets mounts, too, and its root owns the directories made for them"""
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]

    def edit(spec):
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"]["uidMappings"] = spec["linux"]["gidMappings"] = maps
    bundle = t.bundle(args=SLEEP, edit=edit)
    for path in (bundle / "rootfs", *(bundle / "rootfs").iterdir()):
        os.chown(path, 100000, 100000)
    for parent in (bundle, *bundle.parents):
        if not os.stat(parent).st_mode & 0o001:
            t.skip(f"{parent} is closed to other users")
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(t.tmp / "run.err", "w") as out:
        result = t.runtime("run", "--detach", "--bundle", bundle, name, check=False, stdout=out, stderr=out)
    assert result.rc == 0, (t.tmp / "run.err").read_text()
    source = t.tmp / "source"
    source.mkdir()
    (source / "file").write_text("here\n")
    mounts = [bind(source, "/new", "ro"), {"destination": "/fresh", "type": "tmpfs"}]
    change(t, "add", name, mounts)
    assert t.runtime("exec", name, "cat", "/new/file").out == "here\n"
    assert os.stat(bundle / "rootfs/new").st_uid == 100000
    change(t, "remove", name, mounts)
    assert "/new" not in table(t, name)


