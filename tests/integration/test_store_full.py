# SPDX-License-Identifier: Apache-2.0
"""A store on a disk that fills up: a clear error, nothing half recorded, the space given back, and all works once there is room."""

import json
import os

from layers_fixture import entry, make_tar, write_layout
from test_storage_erofs import need_erofs

VM = False
SIZE = 12 << 20


def small_disk(t, kind="tmpfs"):
    """The whole root on a small disk: EROFS cannot be mounted from files of a tmpfs."""
    if os.geteuid() != 0:
        t.skip("mounting a small disk needs root")
    t.root.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        t.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", t.root])
    else:
        image = t.tmp / "disk"
        image.write_bytes(b"")
        os.truncate(image, SIZE)
        t.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image])
        if t.run(["mount", "-o", "loop", image, t.root], check=False).rc != 0:
            t.skip("there are no loop devices")
    t.defer(t.run, ["umount", t.root])


def used(t):
    s = os.statvfs(t.root)
    return (s.f_blocks - s.f_bfree) * s.f_frsize


def archive(t, *sizes):
    layout = t.tmp / "layout"
    layout.mkdir()
    write_layout(layout, [make_tar(entry(f"f{i}", data=os.urandom(n))) for i, n in enumerate(sizes)])
    tar = t.tmp / "big.tar"
    t.run(["tar", "-C", layout, "-cf", tar, "."])
    return tar


def settled(t):
    """The store is whole; nothing is left over."""
    report = json.loads(t.havre("system", "check", "--format", "json", check=False).out)
    assert report["Healthy"] is True, report["Problems"]
    assert not any((t.root / "images/ingest").iterdir())


def fails(t, *args, rc=1, **kw):
    r = t.havre(*args, check=False, **kw)
    assert r.rc == rc and ("no space left on device" in r.err or "database or disk is full" in r.err), r
    return r


def load_and_import(t, driver):
    small_disk(t, "tmpfs" if driver == "overlay" else "ext4")
    flags = ("--storage-driver", driver)
    t.havre(*flags, "load", "-i", t.busybox_archive())
    before = used(t)
    # The first layer fits, blob and files; the second does not.
    fails(t, *flags, "load", "-i", archive(t, 1 << 20, 8 << 20))
    assert used(t) - before < 300_000, used(t) - before
    settled(t)
    fails(t, *flags, "import", "-", "big:1", input=make_tar(*[entry(f"f{i}", data=os.urandom(1 << 20)) for i in range(7)]))
    assert used(t) - before < 300_000, used(t) - before
    settled(t)
    assert t.havre("images", "--format", "{{.Repository}}").out == "busybox\n"
    assert t.havre("run", "--rm", "--network", "none", "busybox:test", "echo", "well").out == "well\n"


def test_overlay(t):
    """load and import, unpacked."""
    load_and_import(t, "overlay")


def test_erofs(t):
    """load and import, layers that stay tar files."""
    need_erofs(t)
    t.need("mkfs.ext4")
    load_and_import(t, "erofs")


def test_run_and_remove(t):
    """With no byte left: create and run say so and leave no container; rm, rmi and prune still give space back."""
    small_disk(t)
    t.busybox_image()
    t.havre("create", "--name", "old", "busybox:test", "true")
    filler = t.root / "filler"
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass
    for _ in range(3):  # what is left of the databases' logs is used up, too
        r = t.havre("create", "--name", "more", "busybox:test", "true", check=False)
        if r.rc == 0:
            t.havre("rm", "more")
    fails(t, "run", "--rm", "--network", "none", "busybox:test", "true", rc=125)
    assert t.havre("ps", "-aq").out.count("\n") == 1
    filler.unlink()
    settled(t)
    assert t.havre("start", "-a", "old").rc == 0
    t.havre("rm", "old")
    t.havre("image", "prune", "-af")
    assert used(t) < 1_000_000
    settled(t)
