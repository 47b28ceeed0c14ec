# SPDX-License-Identifier: Apache-2.0
"""The vfs storage driver, a copy for each container, and how a driver is chosen."""

import json
import os

from layers_fixture import assert_same, directory, entry, hardlink, make_tar, scan, symlink, write_layout

VM = False


def info(t, *flags, **kw):
    out = json.loads(t.havre(*flags, "info", "--format", "json", **kw).out)
    return out["Driver"], dict(out["DriverStatus"])


def test_copy(t):
    """What a container of a copied tree sees is what it sees of an overlay: types, modes, owners, times, links, attributes, holes; containers do
    not see each other's changes."""
    layout = t.tmp / "layout"
    layout.mkdir()
    xattrs = {"SCHILY.xattr.user.a": "text", "SCHILY.xattr.security.capability":
              bytes.fromhex("0100000200200000000000000000000000000000").decode("latin-1")}
    base = make_tar(directory("bin"), entry("bin/busybox", data=open(t.busybox(), "rb").read(), mode=0o4755), symlink("bin/sh", "busybox"),
                    directory("d", mode=0o1777, uid=7, gid=8, mtime=1000000001), entry("d/a", data=b"a" * 70000, uid=70000, mtime=1234567890.25),
                    hardlink("d/link", "d/a"), entry("d/only", data=b"o"), entry("gone", data=b"x"), directory("opaque"), entry("opaque/old"))
    more = make_tar(entry(".wh.gone"), entry("opaque/.wh..wh..opq"), entry("opaque/new", data=b"n", pax_headers=xattrs), hardlink("top", "d/only"),
                    entry("fifo", type=b"6", mode=0o600), entry("null", type=b"3", devmajor=1, devminor=3))
    write_layout(layout, [base, more])
    t.run(["tar", "-C", layout, "-cf", t.tmp / "a.tar", "."])
    trees = {}
    for driver in ("overlay", "vfs"):
        t.havre("--storage-driver", driver, "load", "-q", "-i", t.tmp / "a.tar")
        image = t.havre("images", "-q").out.strip()
        t.havre("--storage-driver", driver, "create", "--name", "cc", "--entrypoint", "sh", image)
        path = t.tmp / driver
        path.mkdir()
        t.run(["tar", "--xattrs", "--xattrs-include=*", "-C", path, "-xpf", "-"], input=t.havre("export", "cc", text=False).out)
        trees[driver] = scan(path)
        snapshot = next((t.root / "images/snapshots").iterdir())
        assert (snapshot / "whole").exists() == (driver == "vfs")
        if driver == "vfs":
            ours = scan(snapshot / "upper")
            assert ours["d/a"]["mtime"] == 1234567890 and ours["d/a"]["nlink"] == 2
        t.havre("rm", "cc")
        for n in "12":
            run = t.havre("--storage-driver", driver, "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c",
                          "/bin/busybox ls /; /bin/busybox rm /top; echo $?")
            assert run.out.endswith("top\n0\n") and "gone" not in run.out, run
        t.havre("--storage-driver", driver, "run", "--rm", "--network", "none", "--read-only", "--entrypoint", "sh", image, "-c", "! /bin/busybox touch /x")
        t.havre("rmi", image)
    for tree in trees.values():
        tree.pop("", None)
    assert_same(trees["vfs"], trees["overlay"], "vfs")
    assert trees["vfs"]["opaque/new"]["xattrs"] and "opaque/old" not in trees["vfs"]


def test_same_size_and_time(t):
    """A file that was changed and given its old size and time back is in the layer all the same."""
    t.havre("--storage-driver", "vfs", "load", "-q", "-i", t.busybox_archive())
    t.havre("--storage-driver", "vfs", "run", "--name", "cc", "--network", "none", "busybox:test", "sh", "-c",
            "sed -i s/root:x:0/toor:x:0/ /etc/group; touch -d @1700000000 /etc/group; touch -d @1700000000 /etc/passwd")
    assert t.havre("diff", "cc").out == "C /etc\nC /etc/group\n"
    t.havre("commit", "cc", "my/app")
    assert t.havre("run", "--rm", "--network", "none", "my/app", "head", "-n1", "/etc/group").out == "toor:x:0:\n"
    assert t.havre("system", "check").out.endswith("Nothing is wrong.\n")


def test_choice(t):
    """The flag before the environment before the configuration file before probing; info says which it was; nonsense is refused by name."""
    config = t.tmp / "havre.toml"
    config.write_text('[storage]\ndriver = "vfs"\n[other]\nx = 1\n')
    env = {"HAVRE_CONFIG": config}
    assert info(t)[0] == "overlay" and "works" in info(t)[1]["Chosen Because"] and info(t)[1]["Backing Filesystem"] != "<unknown>"
    assert info(t, env=env) == ("vfs", {**info(t)[1], "Chosen Because": f"chosen by {config}"})
    both = {**env, "HAVRE_STORAGE_DRIVER": "erofs"}
    assert info(t, env=both)[0] == "erofs" and "HAVRE_STORAGE_DRIVER" in info(t, env=both)[1]["Chosen Because"]
    assert info(t, "--storage-driver", "overlay", env=both)[1]["Chosen Because"] == "chosen by --storage-driver"
    assert f"Storage Driver: vfs\n Backing Filesystem: " in t.havre("info", env=env).out
    for text, word in (('[storage]\ndriver = "zfs"\n', "zfs"), ("[storage]\ndriver = 3\n", "string"), ("[storage\n", "havre.toml")):
        config.write_text(text)
        failed = t.havre("load", "-q", "-i", t.busybox_archive(), env=env, check=False)
        assert failed.rc and word in failed.err and str(config) in failed.err, failed
    failed = t.havre("info", env={"HAVRE_CONFIG": t.tmp / "none"}, check=False)
    assert failed.rc == 1 and "none" in failed.err
    assert not os.listdir(t.root / "images/ingest")


def test_file_system_without_overlay(t):
    """On a file system that overlayfs cannot write to (another overlay) containers are copies, without being asked."""
    for d in ("lower", "upper", "work", "m"):
        (t.tmp / d).mkdir()
    havre = [t.bin / "havre", "--root", t.tmp / "m/root", "--run", t.run_dir]
    script = """mount -t overlay o -o lowerdir=lower,upperdir=upper,workdir=work m || exit 77
"$@" info --format '{{.Driver}} {{json .DriverStatus}}' && "$@" load -q -i "$ARCHIVE" &&
"$@" run --name cc --network none busybox:test sh -c 'echo >/x; cat /etc/group' && "$@" diff cc && "$@" rm cc"""
    done = t.run(["unshare", "-m", "sh", "-c", script, "sh", *havre], env={"ARCHIVE": t.busybox_archive()}, check=False)
    if done.rc == 77:
        t.skip("no overlay can be mounted here")
    assert done.rc == 0, done
    assert done.out.startswith('vfs [["Backing Filesystem","overlayfs"],["Chosen Because","overlayfs cannot be used:')
    assert done.out.endswith("A /x\ncc\n") and "root:x:0:" in done.out
