# SPDX-License-Identifier: Apache-2.0
"""image mount and unmount: an image's files at a path of this machine."""
import os


def test_image_mount(t):
    """The path has the image's files and takes no writes; it is listed, keeps the image from removal, and goes with unmount and reset."""
    if os.geteuid() != 0:
        t.skip("mounting on this machine needs root")
    image = t.busybox_image()
    t.defer(t.havre, "image", "unmount", "--all", "--force", check=False)
    path = t.havre("image", "mount", image).out.strip()
    assert os.path.isfile(f"{path}/bin/busybox") and os.path.ismount(path)
    try:
        open(f"{path}/new", "w")
        raise AssertionError("it could be written")
    except OSError as e:
        assert e.errno == 30, e
    assert t.havre("image", "mount", image).out.strip() == path
    assert t.havre("image", "mount").out.split()[-1] == path
    r = t.havre("image", "mount", image, "nobody", check=False)
    assert r.rc == 1 and "nobody" in r.err and path in r.out, r
    r = t.havre("rmi", image, check=False)
    assert r.rc == 1 and "image unmount" in r.err, r
    assert t.havre("system", "check").rc == 0
    busy = os.open(path, os.O_RDONLY)
    r = t.havre("image", "unmount", image, check=False)
    assert r.rc == 1 and "--force" in r.err, r
    t.havre("image", "umount", "--force", image)
    os.close(busy)
    assert not os.path.exists(path) and t.havre("image", "mount").out == ""
    # The kernel forgets mounts, the store does not: the next mount takes over what is left of the one before.
    path = t.havre("image", "mount", image).out.strip()
    t.run(["umount", path])
    assert t.havre("image", "mount").out == "" and t.havre("image", "mount", image).out.strip() == path
    assert os.path.isfile(f"{path}/bin/busybox")
    t.havre("image", "unmount", "-a")
    t.havre("rmi", image)


def test_podman_words(t):
    """image exists, untag, tag with several names, rmi --all and save -m do what podman's do."""
    image = t.busybox_image()
    assert t.havre("image", "exists", image).rc == 0 and t.havre("image", "exists", "nobody", check=False).rc == 1
    t.havre("tag", image, "one:1", "two:2")
    r = t.havre("tag", image, "three:3", "Bad", check=False)
    assert r.rc == 1 and t.havre("image", "exists", "three:3", check=False).rc == 1, r
    t.havre("save", "-m", "-o", t.tmp / "both.tar", "one:1", "two:2")
    t.havre("untag", "one:1", "two:2")
    assert t.havre("image", "exists", "one:1").rc == 0 and t.havre("image", "exists", "two:2", check=False).rc == 1
    r = t.havre("untag", image, "two:2", check=False)
    assert r.rc == 1 and "two:2" in r.err, r
    key = t.havre("images", "-q").out.split()[0]
    t.havre("untag", image)
    assert t.havre("image", "exists", key).rc == 0 and "<none>" in t.havre("images").out
    t.havre("load", "-q", "-i", t.tmp / "both.tar")
    t.havre("rmi", "--all")
    assert t.havre("images", "-q").out == ""
    assert t.havre("rmi", check=False).rc == 1 and t.havre("rmi", "-a", "x", check=False).rc == 1
