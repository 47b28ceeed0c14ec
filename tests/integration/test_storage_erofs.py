# SPDX-License-Identifier: Apache-2.0
"""The erofs storage driver: images kept as tar files under an EROFS index, run without being unpacked."""

import json
import os

from layers_fixture import directory, entry, hardlink, make_tar, symlink, write_layout

VM = False


def need_erofs(t):
    if [int(n) for n in os.uname().release.split(".")[:2]] < [6, 15]:
        t.skip("overlayfs takes a detached EROFS mount of a file from Linux 6.15 on")


def erofs(t, *args, **kw):
    return t.havre("--storage-driver", "erofs", *args, **kw)


def layers_of(t):
    return sorted(os.listdir(t.root / "images/layers"))


def test_run(t):
    """Containers run from the tar files: read, write, exec, a second one, and after their removal the image is as before."""
    need_erofs(t)
    erofs(t, "load", "-i", t.busybox_archive())
    assert [n[-4:] for n in layers_of(t)] == [".tar"]
    assert sorted(os.listdir(t.root / "images/layers" / layers_of(t)[0])) == ["index", "root", "tar"]
    assert json.loads(erofs(t, "info", "--format", "{{json .Driver}}").out) == "erofs"
    run = ("run", "--rm", "busybox:test", "sh", "-c")
    assert t.havre(*run, "grep -c . /etc/passwd; rm /etc/passwd; echo x >/etc/new; cd /etc; ls new passwd group 2>/dev/null; true").out == "2\ngroup\nnew\n"
    assert t.havre(*run, "cd /etc; ls new passwd group 2>/dev/null; stat -c %a /tmp").out == "group\npasswd\n1777\n"
    t.havre("run", "-d", "--name", "cc", "busybox:test", "sleep", "1000")
    assert t.havre("exec", "cc", "sh", "-c", "echo y >/root/y; cat /root/y").out == "y\n"
    t.havre("rm", "-f", "cc")
    assert t.havre("rmi", "busybox:test").rc == 0 and layers_of(t) == []


def archive_of(t, *layers):
    layout = t.tmp / f"layout-{len(os.listdir(t.tmp))}"
    layout.mkdir()
    write_layout(layout, layers)
    tar = layout.with_suffix(".tar")
    t.run(["tar", "-C", layout, "-cf", tar, "."])
    return tar


def busybox_layer(t, *more):
    return make_tar(directory("bin"), entry("bin/busybox", data=open(t.busybox(), "rb").read(), mode=0o755), symlink("bin/sh", "busybox"),
                    symlink("bin/cat", "busybox"), symlink("bin/ls", "busybox"), symlink("bin/stat", "busybox"), *more)


def test_layers(t):
    """Whiteouts, opaque directories, links and attributes across layers look the same with both drivers."""
    need_erofs(t)
    archive = archive_of(
        t, busybox_layer(t, directory("d", mode=0o700, uid=7), entry("d/a", data=b"a"), entry("d/b", data=b"b" * 5000),
                         directory("e"), entry("e/old", data=b"old"), entry("gone", data=b"gone")),
        make_tar(entry("d/c", data=b"c"), entry(".wh.gone"), directory("e"), entry("e/.wh..wh..opq"), entry("e/new", data=b"new"),
                 hardlink("d/link", "d/b")),
        make_tar(entry("d/.wh.a"), entry("empty"), symlink("to", "d/c")))
    seen = []
    for driver in ("overlay", "erofs"):
        t.havre("--storage-driver", driver, "load", "-i", archive)
        image = t.havre("images", "-q").out.strip()
        seen.append(t.havre("run", "--rm", "--network", "none", image, "sh", "-c",
                            "cd /; ls -1 / d e; cat d/c e/new to d/link; stat -c '%n %a %u %Y' d e; stat -c '%n %a %u %s %Y' d/b empty to").out)
        names = layers_of(t)
        assert len(names) == 3 and all(n.endswith(".tar") == (driver == "erofs") for n in names), names
        t.havre("rmi", image)
    assert seen[0] == seen[1], [s[-300:] for s in seen]
    assert "gone" not in seen[0] and "old" not in seen[0] and "link" in seen[0]


def test_takes_after_its_parent(t):
    """A layer is kept like the one below it, whatever the driver is now: a chain is of one kind."""
    need_erofs(t)
    base, more = busybox_layer(t), make_tar(entry("f", data=b"f"))
    erofs(t, "load", "-i", archive_of(t, base))
    t.havre("--storage-driver", "overlay", "load", "-i", archive_of(t, base, more))
    assert [n[-4:] for n in layers_of(t)] == [".tar", ".tar"]
    outputs = [t.havre("run", "--rm", i, "sh", "-c", "cat /f || true").out for i in t.havre("images", "-q").out.split()]
    assert sorted(outputs) == ["", "f"], outputs


def test_index_is_made_again(t):
    """An index that is lost is made of the tars; a damaged layer or a bad chain is refused with its name and leaves no image."""
    need_erofs(t)
    erofs(t, "load", "-i", t.busybox_archive())
    index = t.root / "images/layers" / layers_of(t)[0] / "index"
    before = index.read_bytes()
    index.unlink()
    assert t.havre("run", "--rm", "busybox:test", "echo", "there").out == "there\n"
    assert index.read_bytes() == before
    r = erofs(t, "load", "-i", archive_of(t, busybox_layer(t), make_tar(hardlink("x", "nowhere"))), check=False)
    assert r.rc != 0 and "nowhere" in r.err, r
    assert len(t.havre("images", "-q").out.split()) == 1


def test_save_is_the_same(t):
    """What is saved does not depend on the driver."""
    need_erofs(t)
    saved = []
    for driver in ("overlay", "erofs"):
        t.havre("--storage-driver", driver, "load", "-i", t.busybox_archive())
        t.havre("save", "-o", t.tmp / driver, "busybox:test")
        saved.append((t.tmp / driver).read_bytes())
        t.havre("rmi", "busybox:test")
    assert saved[0] == saved[1]


def test_unknown_driver(t):
    """Another driver's name is refused, from the flag and from the environment."""
    for r in (t.havre("--storage-driver", "zfs", "images", check=False), t.havre("images", env={"HAVRE_STORAGE_DRIVER": "zfs"}, check=False)):
        assert r.rc != 0 and 'unknown storage driver "zfs"' in r.err and "erofs" in r.err, r
