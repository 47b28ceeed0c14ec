# SPDX-License-Identifier: Apache-2.0
"""Image archives: ours read by others, others' read by us, and what is no archive."""

import gzip
import json
import os
import re
import subprocess
import tarfile

from layers_fixture import Tool, assert_same, directory, entry, make_tar, scan, symlink, write_layout

LAYERS = [make_tar(directory("./", mode=0o755), directory("etc"), entry("etc/a", data=b"1" * 5000), entry("etc/b", data=b"2")),
          make_tar(entry("etc/.wh.a"), entry("etc/c", data=b"3", mode=0o4755, uid=7))]


class Store:
    def __init__(self, t, name="store"):
        self.t, self.tool, self.root = t, Tool(t), t.tmp / name

    def load(self, path, check=True):
        with open(path, "rb") as f:
            return self.t.run([self.tool.path, "load", self.root], stdin=f, check=check)

    def save(self, path, *names, format="docker"):
        with open(path, "wb") as f:
            subprocess.run([self.tool.path, "save", self.root, format, *names], stdout=f, check=True, timeout=60)
        return path

    def tree(self, image):
        key = f"k{len(os.listdir(self.root / 'snapshots'))}"
        target = self.t.tmp / f"{self.root.name}-{key}"
        target.mkdir()
        self.tool("mount", self.root, key, image, target)
        self.t.defer(lambda: self.tool("unmount", self.root, key, target, check=False))
        return scan(target)


def loaded_store(t, name="store"):
    """A store with example/app:x of two layers, made by write_layout and loaded from its tar."""
    layout = t.tmp / "layout"
    if not layout.exists():
        write_layout(layout, LAYERS, tag="example/app:x")
        t.run(["tar", "-C", layout, "-cf", t.tmp / "layout.tar", "blobs", "index.json", "oci-layout"])
    store = Store(t, name)
    assert store.load(t.tmp / "layout.tar").out == "Loaded image: example/app:x\n"
    return store


def test_round_trip(t):
    """What we save we load again as the same image, and saving that gives the same bytes, in both formats."""
    store = loaded_store(t)
    want = store.tree("example/app:x")
    assert want["etc/c"]["owner"] == (7, 0) and "etc/a" not in want
    for format in ("docker", "oci"):
        first = store.save(t.tmp / f"{format}1.tar", "example/app:x", format=format)
        again = Store(t, f"again-{format}")
        assert again.load(first).out == "Loaded image: example/app:x\n"
        assert first.read_bytes() == again.save(t.tmp / f"{format}2.tar", "example/app:x", format=format).read_bytes()
        assert_same(again.tree("example/app:x"), want, format)


def test_others_read_ours(t):
    """skopeo reads both formats, config and layers intact; umoci unpacks what we saved to the tree that we mount."""
    t.need("skopeo")
    t.need("umoci")
    store = loaded_store(t)
    docker = store.save(t.tmp / "d.tar", "example/app:x")
    oci = store.save(t.tmp / "o.tar", "example/app:x", format="oci")
    for what in (f"docker-archive:{docker}:example/app:x", f"oci-archive:{oci}:docker.io/example/app:x"):
        copy = t.tmp / ("copy-" + what.split("-")[0])
        t.run(["skopeo", "--insecure-policy", "copy", "-q", what, f"oci:{copy}:y"])
        bundle = t.tmp / (copy.name + "-bundle")
        t.run(["umoci", "unpack", "--image", f"{copy}:y", bundle])
        theirs, ours = scan(bundle / "rootfs", times=False), {}
        for path, facts in store.tree("example/app:x").items():
            ours[path] = {k: v for k, v in facts.items() if k != "mtime"}
        assert_same(ours, theirs, what)


def test_we_read_others(t):
    """Archives of skopeo in both formats, compressed or not, give the same image id as the layout they were made of."""
    t.need("skopeo")
    store = loaded_store(t)
    want = store.tree("example/app:x")
    for i, format in enumerate(("docker-archive", "oci-archive")):
        archive = t.tmp / f"{format}.tar"
        t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{t.tmp}/layout:example/app:x", f"{format}:{archive}:some/name:{i}"])
        packed = t.tmp / f"{format}.tar.gz"
        packed.write_bytes(gzip.compress(archive.read_bytes()))
        for path in (archive, packed):
            other = Store(t, f"other-{path.name}")
            assert other.load(path).out == f"Loaded image: some/name:{i}\n"
            assert_same(other.tree(f"some/name:{i}"), want, path.name)


def old_docker_archive(t, *, links=True, config=None, layers=None):
    """As docker save wrote it before version 25: a directory for each layer, equal layers as symbolic links."""
    import hashlib
    diff = ["sha256:" + hashlib.sha256(x).hexdigest() for x in (LAYERS[0], LAYERS[1], LAYERS[1])]
    config = config or json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff}})
    name = hashlib.sha256(config.encode()).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": ["old/app:1", "old/app:2"], "Layers": layers or ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"]}]
    path = t.tmp / "old.tar"
    path.write_bytes(make_tar(directory("aa"), entry("aa/VERSION", data=b"1.0"), entry("aa/layer.tar", data=LAYERS[0]),
                              directory("bb"), entry("bb/layer.tar", data=LAYERS[1]), directory("cc"),
                              symlink("cc/layer.tar", "../bb/layer.tar"), symlink("evil/layer.tar", "/etc/passwd"),
                              symlink("loop", "loop"), entry(name, data=config.encode()),
                              entry("manifest.json", data=json.dumps(manifest).encode())))
    return path


def test_old_docker_archive(t):
    """Linked layers and several tags of old docker archives, from a pipe too; the manifest made for it is always the same."""
    store = Store(t)
    path = old_docker_archive(t)
    assert store.load(path).out == "Loaded image: old/app:1\nLoaded image: old/app:2\n"
    piped = Store(t, "piped")
    out = subprocess.run([piped.tool.path, "load", piped.root], input=path.read_bytes(), stdout=subprocess.PIPE, check=True).stdout
    assert out == b"Loaded image: old/app:1\nLoaded image: old/app:2\n"
    assert (store.root / "index.json").read_text() == (piped.root / "index.json").read_text()


def test_hostile_archives(t):
    """Names in an archive are only names: links out of it, loops, absent files and lying digests are refused, and no file of the host is read."""
    for i, layers in enumerate((["aa/layer.tar", "bb/layer.tar", "evil/layer.tar"], ["loop", "loop", "loop"],
                   ["/etc/passwd", "bb/layer.tar", "bb/layer.tar"], ["../../etc/passwd"] * 3, ["aa/layer.tar"] * 3)):
        r = Store(t, f"hostile{i}").load(old_docker_archive(t, layers=layers), check=False)
        assert r.rc != 0 and "etc/passwd:x" not in r.err, layers
    r = Store(t).load(old_docker_archive(t, layers=["aa/layer.tar"]), check=False)
    assert "manifest.json lists 1 layers, the image's configuration 3" in r.err
    store = Store(t, "lying")
    write_layout(t.tmp / "lying-layout", LAYERS, tag="example/app:x")
    blobs = t.tmp / "lying-layout/blobs/sha256"
    biggest = max(blobs.iterdir(), key=lambda p: p.stat().st_size)
    data = bytearray(biggest.read_bytes())
    data[5000] ^= 1
    biggest.write_bytes(data)
    t.run(["tar", "-C", t.tmp / "lying-layout", "-cf", t.tmp / "lying.tar", "."])
    r = store.load(t.tmp / "lying.tar", check=False)
    assert r.rc != 0 and "corrupt" in r.err and biggest.name[:12] in r.err, r.err
    assert list((store.root / "layers").iterdir()) == []


def test_no_archive(t):
    """What is no image archive is named as what it is."""
    cases = {"plain.tar": (make_tar(entry("bin/sh")), "neither manifest.json nor index.json"),
             "text": (b"hello world\n" * 100, "checksum"), "short": (b"x", "ends in the middle"),
             "xz": (b"\xfd7zXZ\0" + b"x" * 100, "xz -dc")}
    for name, (data, says) in cases.items():
        (t.tmp / name).write_bytes(data)
        r = Store(t).load(t.tmp / name, check=False)
        assert r.rc == 1 and says in r.err, (name, r.err)
    store = loaded_store(t, "full")
    whole = store.save(t.tmp / "whole.tar", "example/app:x").read_bytes()
    for size in (len(whole) // 2, 700, 600):
        (t.tmp / "cut.tar").write_bytes(whole[:size])
        r = Store(t, "cut").load(t.tmp / "cut.tar", check=False)
        assert r.rc == 1 and "ends in the middle" in r.err, r.err


def test_import(t):
    """A tar becomes an image of one layer: the same id every time, instructions applied, SOURCE_DATE_EPOCH and newest file as its time."""
    tar = LAYERS[0]
    changes = ["CMD [\"/etc/a\"]", "ENV A=b", "EXPOSE 80"]

    def run(store, data, env=None, args=changes, check=True):
        return t.run([store.tool.path, "import", store.root, "imported:1", *args], input=data, env=env or {}, check=check)

    one, two = Store(t, "one"), Store(t, "two")
    ids = [run(s, tar).out for s in (one, one, two)]
    assert len(set(ids)) == 1 and re.fullmatch(r"sha256:[0-9a-f]{64}\n", ids[0])
    config = json.loads((one.root / "blobs/sha256" / ids[0].strip()[7:]).read_text())
    assert config["config"] == {"ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Cmd": ["/etc/a"]}
    assert config["created"].startswith("2023-11-14T22:13:20")
    assert run(two, gzip.compress(tar, mtime=0)).out == ids[0], "the id does not depend on the compression"
    assert run(two, tar, env={"SOURCE_DATE_EPOCH": "86400"}).out != ids[0]
    assert run(one, tar, args=["CMD x", "FROM y"], check=False).err.startswith("layer_tool: invalid: change \"FROM y\"")
    assert run(one, b"", check=False).rc == 1
    assert_same(one.tree("imported:1"), two.tree("imported:1"), "the imported tree")


def test_snapshots(t):
    """A snapshot is writable, keeps its changes over mounts, is not seen by others, and leaves nothing; volatile ones mount again."""
    store = loaded_store(t)
    target = t.tmp / "mounted"
    target.mkdir()
    for extra in ([], ["volatile"], ["volatile"], ["ro"]):
        store.tool("mount", store.root, "snap", "example/app:x", target, *extra)
        try:
            if extra == ["ro"]:
                try:
                    (target / "new").write_bytes(b"x")
                    assert False, "a read-only snapshot was written to"
                except OSError:
                    pass
            else:
                with open(target / "log", "a") as f:
                    f.write("x")
                (target / "etc/b").unlink(missing_ok=True)
            log = (target / "log").read_text()
        finally:
            t.run(["umount", target])
    assert log == "xxx"
    assert "etc/b" in store.tree("example/app:x")
    t.run(["mount", "-t", "tmpfs", "none", target])
    store.tool("unmount", store.root, "snap", target)
    assert not (store.root / "snapshots/snap").exists() and list((store.root / "ingest").iterdir()) == []


def test_concurrent_and_killed_loads(t):
    """Eight loads at once give one image; a load that is killed at any moment leaves nothing that the next one minds."""
    loaded_store(t, "reference")
    store = Store(t)
    for delay in (0, 0.001, 0.003, 0.006, 0.01, 0.02):
        with open(t.tmp / "layout.tar", "rb") as f:
            p = subprocess.Popen([store.tool.path, "load", store.root], stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            p.wait(delay)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    started = []
    for _ in range(8):
        with open(t.tmp / "layout.tar", "rb") as f:
            started.append(subprocess.Popen([store.tool.path, "load", store.root], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for p in started:
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0 and out == "Loaded image: example/app:x\n", err
    assert "etc/c" in store.tree("example/app:x")
    assert len(list((store.root / "layers").iterdir())) == 2


def test_full_disk(t):
    """A disk that fills up while loading is reported as such, and what was written is given back."""
    disk = t.tmp / "disk"
    disk.mkdir()
    t.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", disk])
    t.defer(lambda: t.run(["umount", disk], check=False))
    big = make_tar(*[entry(f"f{i}", data=os.urandom(1 << 20)) for i in range(12)])
    store = Store(t, "disk/store")
    r = t.run([store.tool.path, "import", store.root, "big:1"], input=big, check=False)
    assert r.rc == 1 and r.err.startswith("layer_tool: no-space:"), r.err
    assert sum(f.stat().st_size for f in (store.root / "ingest").rglob("*") if f.is_file()) == 0
