# SPDX-License-Identifier: Apache-2.0
"""image unpack, repack, insert and config: images changed without running them, beside umoci."""

import json
import os
import subprocess
import tarfile

from layers_fixture import assert_same, directory, entry, hardlink, make_tar, scan, symlink, write_layout

VM = False


def load(t, *layers, tag="x"):
    layout = t.tmp / "layout"
    layout.mkdir()
    write_layout(layout, layers, tag=tag)
    t.run(["tar", "-C", layout, "-cf", t.tmp / "layout.tar", "."])
    t.havre("load", "-q", "-i", t.tmp / "layout.tar")
    return layout


def inspect(t, image):
    return json.loads(t.havre("image", "inspect", image).out)[0]


def last_layer(t, image):
    t.havre("save", "-o", t.tmp / "saved.tar", image)
    with tarfile.open(t.tmp / "saved.tar") as tar:
        layers = json.load(tar.extractfile("manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=tar.extractfile(layers[-1])) as layer:
            return len(layers), sorted(layer.getnames())


def change(root):
    """The same work on both bundles."""
    (root / "d/new").write_text("new")
    (root / "gone").unlink()
    os.chmod(root / "d", 0o711)
    os.link(root / "d/new", root / "d/newlink")
    subprocess.run(["rm", "-r", root / "olddir"], check=True)
    (root / "olddir").write_text("a file now")
    os.setxattr(root / "d/a", "user.note", b"n")
    before = os.stat(root / "same")
    (root / "same").write_text("B" * 100)  # the same size and time as before
    os.utime(root / "same", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.mkfifo(root / "fifo")
    os.chown(root / "link", 5, 6, follow_symlinks=False)
    for path in ("d/new", "olddir", "d", "fifo", "."):
        os.utime(root / path, (1700000500, 1700000500))
    os.utime(root / "link", (1700000500, 1700000500), follow_symlinks=False)


def test_against_umoci(t):
    """We and umoci unpack the same tree of the same image; after the same work on both, both repacked images are the same tree again, by both
    unpackers."""
    t.need("umoci", "skopeo")
    layout = load(t, make_tar(directory("./", mode=0o755), directory("d", uid=7, mtime=1600000000), entry("d/a", data=b"a" * 5000, mode=0o4711),
                              hardlink("d/b", "d/a"), entry("gone", data=b"g"), directory("olddir"), entry("olddir/x"), symlink("link", "d/a"),
                              entry("same", data=b"A" * 100, mtime=1500000000)),
                  make_tar(entry("d/c", data=b"c", uid=70000, gid=80000), entry("d/.wh.b")), tag="example/app:x")
    ours, theirs = t.tmp / "ours", t.tmp / "theirs"
    t.havre("image", "unpack", "example/app:x", ours)
    t.run(["umoci", "unpack", "--image", f"{layout}:example/app:x", theirs], check=False)
    if not theirs.exists():
        t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}:example/app:x", f"oci:{t.tmp}/again:x"])
        layout = t.tmp / "again"
        t.run(["umoci", "unpack", "--image", f"{layout}:x", theirs])
    assert_same(scan(ours / "rootfs"), scan(theirs / "rootfs"), "unpacked")
    for bundle in (ours, theirs):
        change(bundle / "rootfs")
    t.havre("image", "repack", ours, "example/app:ours")
    tag = "x" if layout.name == "again" else "example/app:x"
    t.run(["umoci", "repack", "--image", f"{layout}:new", theirs])
    assert tag
    want = scan(ours / "rootfs")
    t.havre("save", "--format", "oci-archive", "-o", t.tmp / "a.tar", "example/app:ours")
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci-archive:{t.tmp}/a.tar", f"oci:{t.tmp}/ours-layout:x"])
    t.run(["umoci", "unpack", "--image", f"{t.tmp}/ours-layout:x", t.tmp / "b1"])
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}:new", f"oci-archive:{t.tmp}/b.tar:example/app:theirs"])
    t.havre("load", "-q", "-i", t.tmp / "b.tar")
    t.havre("image", "unpack", "example/app:theirs", t.tmp / "b2")
    for name in ("b1", "b2"):
        tree = scan(t.tmp / name / "rootfs")
        for each in (tree, want):
            each.pop("", None)  # nobody changes root's time
        assert_same(tree, want, name)


def test_repack(t):
    """Nothing changed: the same image. Masked paths and volumes are left out. The same work gives the same image. --refresh-bundle goes on from
    there. What is no bundle is said to be none."""
    load(t, make_tar(directory("d"), entry("d/a"), directory("vol"), entry("vol/a")), tag="example/app:x")
    t.havre("image", "config", "--config.volume", "/vol", "example/app:x")
    b = t.tmp / "b"
    t.havre("image", "unpack", "example/app:x", b)
    config = json.loads((b / "config.json").read_text())
    assert config["process"]["args"] and not any(m["destination"].startswith("/etc") for m in config["mounts"])
    assert t.havre("image", "repack", b, "same").out.strip() == inspect(t, "example/app:x")["Id"]
    for path in ("d/new", "vol/new", "d/masked"):
        (b / "rootfs" / path).write_text("x")
    env = {"SOURCE_DATE_EPOCH": "1500000000"}
    first = t.havre("image", "repack", "--mask-path", "/d/masked/", b, "one", env=env).out
    assert first == t.havre("image", "repack", "--mask-path", "d/masked", b, "one", env=env).out
    assert last_layer(t, "one") == (2, ["d", "d/new"])
    assert inspect(t, "one")["Created"] == "2017-07-14T02:40:00Z"
    t.havre("image", "repack", "--mask-path", "d/masked", "--refresh-bundle", b, "one")
    (b / "rootfs/d/a").unlink()
    t.havre("image", "repack", "--no-mask-volumes", b, "two")
    two = last_layer(t, "two")
    assert two == (3, ["d", "d/.wh.a", "d/masked", "vol", "vol/new"]), two
    failed = t.havre("image", "unpack", "two", b, check=False)
    assert failed.rc == 1 and "rootfs" in failed.err
    failed = t.havre("image", "repack", t.tmp, "three", check=False)
    assert failed.rc == 1 and "havre image unpack" in failed.err
    t.havre("rmi", "-f", "example/app:x", "one", "two", "same")
    failed = t.havre("image", "repack", b, "three", check=False)
    assert failed.rc == 1 and "no such image" in failed.err
    failed = t.havre("image", "unpack", "nothing", t.tmp / "no", check=False)
    assert failed.rc == 1 and not (t.tmp / "no").exists()
    assert not os.listdir(t.root / "images/ingest")


def test_insert(t):
    """Files and trees go in under their name, a tree may hide what was there, and a target goes away."""
    load(t, make_tar(directory("opt"), entry("opt/old"), entry("etc/x")), tag="example/app:x")
    tree = t.tmp / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/f").write_text("f")
    os.chmod(tree / "sub/f", 0o4755)
    t.havre("image", "insert", "--tag", "one", "example/app:x", tree / "sub/f", "//usr/./bin/f/")
    assert last_layer(t, "one") == (2, ["usr/bin/f"]) and inspect(t, "example/app:x")["Id"] != inspect(t, "one")["Id"]
    t.havre("image", "insert", "one", tree, "/opt")  # the name goes with the new image
    assert last_layer(t, "one") == (3, ["opt", "opt/sub", "opt/sub/f"])
    t.havre("image", "insert", "--tag", "opaque", "--opaque", "--history.comment", "why", "one", tree, "opt")
    t.havre("image", "insert", "--whiteout", "opaque", "etc/x")
    assert last_layer(t, "opaque") == (5, ["etc/.wh.x"])
    t.havre("image", "unpack", "opaque", t.tmp / "b")
    assert sorted(scan(t.tmp / "b/rootfs")) == ["", "etc", "opt", "opt/sub", "opt/sub/f", "usr", "usr/bin", "usr/bin/f"]
    assert "why" in t.havre("history", "opaque").out
    for wrong, word in ((("one", tree, "/"), "root"), (("one", tree, "../x"), ".."), (("one", "/no/such", "x"), "/no/such"), (("one", "x"), "SOURCE"),
                        (("--whiteout", "one", "a", "b"), "--whiteout"), (("one", tree, "a/.wh.b"), ".wh."), (("--opaque", "one", tree / "sub/f", "x"), "opaque")):
        failed = t.havre("image", "insert", *wrong, check=False)
        assert failed.rc and word in failed.err, failed
    assert not os.listdir(t.root / "images/ingest")


def test_config(t):
    """Each of umoci's flags does what it says, --clear first; layers stay; a wrong value changes nothing."""
    load(t, make_tar(entry("f")), tag="example/app:x")
    before = inspect(t, "example/app:x")
    t.havre("image", "config", "--config.user", "1:2", "--config.env", "A=x y", "--config.env", 'B="q"', "--config.cmd", "c", "--config.cmd", "d e",
            "--config.entrypoint", "e", "--config.label", "k=v w", "--config.label", "l=\\$x", "--config.workingdir", "/w", "--config.stopsignal", "SIGINT",
            "--config.exposedports", "80/udp", "--config.volume", "/v 1", "--author", "me", "--architecture", "arm64", "--os", "linux", "--created",
            "2020-02-02T02:02:02Z", "--manifest.annotation", "a.b=c", "--no-history", "-c", "HEALTHCHECK NONE", "--tag", "new", "example/app:x")
    after = inspect(t, "new")
    assert after["Config"] == {
        "User": "1:2", "ExposedPorts": {"80/udp": {}}, "Env": after["Config"]["Env"], "Entrypoint": ["e"], "Cmd": ["c", "d e"],
        "Volumes": {"/v 1": {}}, "WorkingDir": "/w", "Labels": {"k": "v w", "l": "\\$x"}, "StopSignal": "SIGINT", "Healthcheck": {"Test": ["NONE"]}}
    assert {"A=x y", 'B="q"'} <= set(after["Config"]["Env"]) and after["RootFS"] == before["RootFS"]
    assert (after["Author"], after["Architecture"], after["Created"]) == ("me", "arm64", "2020-02-02T02:02:02Z")
    manifest = json.loads((t.root / "images/blobs/sha256" / after["Descriptor"]["digest"].split(":")[1]).read_text())
    assert manifest["annotations"] == {"a.b": "c"}
    assert inspect(t, "example/app:x")["Id"] == before["Id"]
    t.havre("image", "config", *[a for n in ("config.labels", "config.env", "config.cmd", "manifest.annotations") for a in ("--clear", n)],
            "--config.env", "C=1", "new")
    cleared = inspect(t, "new")
    assert cleared["Config"]["Env"] == ["C=1"] and not {"Labels", "Cmd"} & set(cleared["Config"]) and cleared["Config"]["Entrypoint"] == ["e"]
    for wrong in (("--clear", "x"), ("--created", "today"), ("--config.exposedports", "0"), ("--manifest.annotation", "x"), ("--config.env", "x"),
                  ("--config.stopsignal", "NO"), ("--history.created", "x"), ("--tag", "UPPER")):
        failed = t.havre("image", "config", *wrong, "new", check=False)
        assert failed.rc and wrong[1] in failed.err, failed
    assert inspect(t, "new")["Id"] == cleared["Id"]


def test_inspect(t):
    """docker's members of image inspect: where the layers are, when the name was given, what the name points to."""
    load(t, make_tar(entry("f")), make_tar(entry("g")), tag="example/app:x")
    i = inspect(t, "example/app:x")
    assert {"Id", "RepoTags", "RepoDigests", "Parent", "Comment", "Created", "DockerVersion", "Author", "Config", "Architecture", "Os", "Size", "GraphDriver",
            "RootFS", "Metadata", "Descriptor"} <= set(i)
    data = i["GraphDriver"]["Data"]
    assert i["GraphDriver"]["Name"] == "overlay" and os.path.exists(data["UpperDir"] + "/g") and os.path.exists(data["LowerDir"] + "/f")
    assert i["Descriptor"]["mediaType"] == "application/vnd.oci.image.manifest.v1+json" and i["Descriptor"]["size"] > 300
    first = i["Metadata"]["LastTagTime"]
    assert first.startswith("20") and inspect(t, "example/app:x")["Metadata"]["LastTagTime"] == first
    t.havre("tag", "example/app:x", "other")
    assert inspect(t, "other")["Metadata"]["LastTagTime"] > first
