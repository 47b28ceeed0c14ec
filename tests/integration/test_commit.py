# SPDX-License-Identifier: Apache-2.0
"""What containers have written: diff, commit and export."""

import io
import json
import os
import tarfile

from layers_fixture import assert_same, directory, entry, make_tar, scan, symlink

VM = False

CHANGES = """
echo hi >/x; mkdir -p /new/d; echo a >/new/d/f; ln /new/d/f /new/d/g; rm /etc/group; rm -r /var; mkdir /var; echo y >/var/z; touch /etc
echo >>/etc/passwd; chmod 700 /root; mknod /new/n c 1 3; mkfifo /new/p; chown 7:8 /new/p; rm -r /usr; echo f >/usr; rm /bin/ls; mkdir /bin/ls
echo 1 >/bin/ls/q; ln -s to /new/l; dd if=/dev/zero of=/new/hole bs=1 count=1 seek=3000000 2>/dev/null
mkdir /gone; rmdir /gone; chmod 4755 /bin/busybox; : >/new/empty; touch -d "2001-02-03 04:05:06" /new/empty; chown 3000000 /new/empty
"""
# docker diff of the same container, docker 20.10 (overlay2)
DIFF = """
C /bin
C /bin/busybox
C /bin/ls
A /bin/ls/q
C /etc
D /etc/group
C /etc/passwd
A /new
A /new/d
A /new/d/f
A /new/d/g
A /new/empty
A /new/hole
A /new/l
A /new/n
A /new/p
C /root
C /usr
C /var
A /var/z
A /x
"""
EPOCH = {"SOURCE_DATE_EPOCH": "1750000000"}


def drivers(t):
    yield "overlay"
    yield "vfs"
    if [int(n) for n in os.uname().release.split(".")[:2]] >= [6, 15]:
        yield "erofs"


def run(t, *args, driver="overlay", **kw):
    return t.havre("--storage-driver", driver, "run", "--network", "none", *args, **kw)


def layer_of(t, image):
    """The topmost layer's tar as it is saved."""
    t.havre("save", "-o", t.tmp / "saved.tar", image)
    with tarfile.open(t.tmp / "saved.tar") as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        return tar.extractfile(manifest[0]["Layers"][-1]).read()


def test_diff_commit_export(t):
    """docker's diff; the same changes give the same image with both drivers and a second time; what is committed, and what is exported and
    imported, is the tree that the container saw."""
    t.busybox_image()
    tick = "find / -xdev -mmin -60 -exec touch -hd @1700000001 {} + 2>/dev/null; true"  # what two runs cannot do in the same second
    ids, trees = set(), []
    for driver in drivers(t):
        t.havre("rmi", "-f", "busybox:test")
        t.havre("--storage-driver", driver, "load", "-q", "-i", t.busybox_archive())
        run(t, "--name", "cc", "busybox:test", "sh", "-c", CHANGES, driver=driver)
        assert t.havre("diff", "cc").out.split("\n") == DIFF.strip().split("\n") + [""], driver
        t.havre("rm", "cc")
        run(t, "--name", "cc", "busybox:test", "sh", "-c", CHANGES + tick, driver=driver)
        for _ in range(2):
            ids.add((driver == "vfs", t.havre("commit", "-a", "me", "-m", "text", "-c", "CMD id", "-c", "ENV A=b", "cc", "my/app:1", env=EPOCH).out))
        layer = layer_of(t, "my/app:1")
        exported = t.havre("export", "cc", text=False).out
        assert exported == t.havre("export", "cc", text=False).out
        t.havre("rm", "cc")
        tars = {}
        for name, data in (("layer", layer), ("exported", exported)):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                tars[name] = {m.name: m for m in tar}
                assert not tar.pax_headers
        names = set(tars["layer"])
        assert {"etc/.wh.group", "usr", "new/hole"} | (set() if driver == "vfs" else {"var/.wh..wh..opq", "bin/ls/.wh..wh..opq"}) <= names
        assert not names & {"proc", "dev", "sys", "etc/hosts", "etc/resolv.conf", "etc/hostname", "gone", "tmp/.wh.gone"}
        assert tars["layer"]["new/empty"].uid == 3000000 and tars["layer"]["new/d/g"].linkname == "new/d/f"
        assert max(m.mtime for m in tars["layer"].values()) <= 1750000000
        # As the container saw it: committed, and exported and imported.
        t.run(t.havre_args("import", "-c", "CMD sh", "-", "my/flat:1"), input=exported)
        views = []
        for image in ("my/app:1", "my/flat:1"):
            text = run(t, "--rm", image, "sh", "-c", "cd /; find . -xdev -path ./proc -prune -o -path ./sys -prune -o -path ./dev -prune -o "
                       "! -path ./etc/hosts ! -path ./etc/hostname ! -path ./etc/resolv.conf ! -path ./etc ! -path . "
                       "-exec stat -c '%n %f %u %g %T %Y' {} + ; find . -xdev -type f -links +1 ! -path './bin/*' | sort; md5sum x new/hole etc/passwd var/z; ls etc")
            views.append(sorted(text.out.split("\n")))
        assert views[0] == views[1], set(views[0]) ^ set(views[1])
        trees.append(views[0])
        t.havre("rmi", "-f", "my/app:1", "my/flat:1")
    assert len(ids) == 2, ids  # a whole tree does not know that a directory was made anew
    assert all(tree == trees[0] for tree in trees)


def test_umoci_reads_a_commit(t):
    """umoci unpacks a committed image to the tree that we export, extended attributes and hard links included."""
    t.need("umoci", "skopeo")
    t.busybox_image()
    run(t, "--name", "cc", "busybox:test", "sh", "-c", CHANGES)
    upper = next((t.root / "images/snapshots").iterdir()) / "upper"
    (upper / "new/cap").write_bytes(b"x")
    os.setxattr(upper / "new/cap", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(upper / "new/d", "user.note", b"some text")
    t.havre("commit", "cc", "my/app:1")
    t.havre("save", "--format", "oci-archive", "-o", t.tmp / "a.tar", "my/app:1")
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci-archive:{t.tmp}/a.tar", f"oci:{t.tmp}/layout:x"])
    t.run(["umoci", "unpack", "--image", f"{t.tmp}/layout:x", t.tmp / "bundle"])
    (t.tmp / "exported").mkdir()
    t.run(["tar", "--xattrs", "--xattrs-include=*", "-C", t.tmp / "exported", "-xpf", "-"], input=t.havre("export", "cc", text=False).out)
    ours, theirs = scan(t.tmp / "exported"), scan(t.tmp / "bundle/rootfs")
    for tree in (ours, theirs):
        for made in ("etc/hosts", "etc/hostname", "etc/resolv.conf", ""):
            tree.pop(made, None)
        for facts in tree.values():
            if isinstance(facts.get("mtime"), (int, float)):
                facts["mtime"] = int(facts["mtime"])
    assert_same(ours, theirs, "umoci")
    assert "user.note" in str(ours["new/d"]) and "security.capability" in str(ours["new/cap"])


def test_configuration(t):
    """docker's rules for the new image's configuration: the container's, then the changes; an entrypoint drops the command."""
    t.busybox_image()
    run(t, "--name", "cc", "-e", "A=1", "-u", "1000", "-w", "/tmp", "-l", "k=v", "-v", "/vol", "--stop-signal", "SIGINT", "busybox:test", "echo", "hi")

    def config(*changes):
        t.havre("commit", *[a for c in changes for a in ("-c", c)], "cc", "my/app")
        document = json.loads(t.havre("image", "inspect", "my/app").out)[0]
        return document["Config"]
    plain = config()
    assert plain["Cmd"] == ["echo", "hi"] and "A=1" in plain["Env"] and plain["User"] == "1000" and plain["WorkingDir"] == "/tmp"
    assert plain["Labels"] == {"k": "v"} and plain["Volumes"] == {"/vol": {}} and plain["StopSignal"] == "SIGINT"
    changed = config("ENTRYPOINT [\"e\"]", "ENV A=2 B=3", "EXPOSE 80", "HEALTHCHECK --interval=3s CMD true", "ONBUILD RUN x", "WORKDIR sub", "LABEL m=n")
    assert "Cmd" not in changed and changed["Entrypoint"] == ["e"] and {"A=2", "B=3"} <= set(changed["Env"])
    assert changed["ExposedPorts"] == {"80/tcp": {}} and changed["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 3000000000}
    assert changed["OnBuild"] == ["RUN x"] and changed["WorkingDir"] == "/tmp/sub" and changed["Labels"] == {"k": "v", "m": "n"}
    before = t.havre("images", "-aq").out
    for wrong, word in ((("-c", "RUN x", "cc"), "RUN x"), (("cc", "UPPER:x"), "UPPER"), (("nobody",), "nobody"), (("cc", "a@sha256:" + "0" * 64), "digest")):
        failed = t.havre("commit", *wrong, check=False)
        assert failed.rc and word in failed.err, failed
    assert t.havre("images", "-aq").out == before
    assert t.havre("commit", "cc", env={"SOURCE_DATE_EPOCH": "yesterday"}, check=False).rc == 1
    # A run of what was committed, and a commit of that.
    assert run(t, "--name", "c2", "my/app", "-c", "echo $A; echo 2 >two", check=False).rc == 127  # its entrypoint is "e"
    assert run(t, "--name", "c3", "--entrypoint", "sh", "my/app", "-c", "echo $A; echo 2 >two").out == "2\n"
    t.havre("commit", "c3", "my/third")
    assert run(t, "--rm", "--entrypoint", "cat", "my/third", "two").out == "2\n"


def test_running(t):
    """A running container is frozen while it is committed and goes on afterwards; without that, and one that is paused, it works too."""
    t.busybox_image()
    run(t, "-d", "--name", "cc", "busybox:test", "sh", "-c", "echo 1 >/f; while true; do sleep 0.02; echo x >>/log; done")
    t.wait_for(lambda: t.havre("exec", "cc", "cat", "/f", check=False).out == "1\n")
    state = lambda: json.loads(t.havre("inspect", "cc").out)[0]["State"]["Status"]
    for flags in ((), ("--pause=false",), ("--no-pause",)):
        t.havre("commit", *flags, "cc", "my/app")
        assert state() == "running"
        assert t.havre("run", "--rm", "my/app", "cat", "/f").out == "1\n"
    t.havre("pause", "cc")
    t.havre("commit", "cc", "my/app")
    assert state() == "paused"
    names = tarfile.open(fileobj=io.BytesIO(t.havre("export", "cc", text=False).out)).getnames()
    assert "f" in names and "bin/busybox" in names
    assert "A /f\n" in t.havre("diff", "cc").out
    t.havre("rm", "-f", "cc")


test_running.asan = False  # the freezer and sanitized monitors together are slow


def test_bare_image(t):
    """What only starting a container makes is no change: an image without /etc, /proc and /dev stays without."""
    busybox = make_tar(directory("bin"), entry("bin/busybox", data=open(t.busybox(), "rb").read(), mode=0o755), symlink("bin/sh", "busybox"))
    t.run(t.havre_args("import", "-c", "CMD [\"sh\"]", "-", "bare"), input=busybox)
    run(t, "--name", "cc", "bare", "sh", "-c", ":")
    assert t.havre("diff", "cc").out == ""
    t.havre("commit", "cc", "again")
    layers = json.loads(t.havre("image", "inspect", "again").out)[0]["RootFS"]["Layers"]
    assert layers[1] == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # an empty tar: docker's, too
    # A file of that name with contents is a change, and so is its directory.
    run(t, "--name", "c2", "bare", "sh", "-c", "echo x >/etc/own; echo y >/.wh.no")
    assert t.havre("diff", "c2").out == "A /.wh.no\nA /etc\nA /etc/own\n"
    failed = t.havre("commit", "c2", check=False)
    assert failed.rc == 1 and ".wh.no" in failed.err and "rename" in failed.err


def test_export_to(t):
    """-o writes a file whole or not at all; a terminal gets no archive."""
    t.busybox_image()
    t.havre("create", "--name", "cc", "busybox:test")
    t.havre("export", "-o", t.tmp / "a.tar", "cc")
    assert tarfile.open(t.tmp / "a.tar").getmember("bin/busybox").mode == 0o755
    assert t.havre("export", "-o", "/dev/full", "cc", check=False).rc == 1
    assert t.havre("export", "-o", t.tmp / "no/such", "cc", check=False).rc == 1
    terminal = t.terminal(t.havre_args("export", "cc"))
    terminal.expect("terminal")
    assert terminal.wait() == 1 and os.listdir(t.tmp) == ["a.tar"]
