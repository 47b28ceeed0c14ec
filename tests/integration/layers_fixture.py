# SPDX-License-Identifier: Apache-2.0
"""Layers made by hand, trees compared, image layouts around them."""

import hashlib
import io
import json
import os
import stat
import tarfile
from pathlib import Path


class Tool:
    """tests/tools/layer_tool"""

    def __init__(self, t):
        self.t = t
        self.path = t.build / "tests/tools/layer_tool"

    def __call__(self, *args, check=True, input=None, env=None, timeout=120):
        return self.t.run([self.path, *map(str, args)], check=check, input=input, env=env or {}, timeout=timeout)


def entry(name, type=tarfile.REGTYPE, data=b"", **fields):
    """One member; fields are TarInfo's, or pax={…}."""
    info = tarfile.TarInfo(name)
    info.type = type
    info.size = len(data)
    info.mtime = 1_700_000_000
    info.mode = 0o755 if type == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, "pax_headers" if key == "pax" else key, value)
    return info, data


def directory(name, **fields):
    return entry(name, tarfile.DIRTYPE, **fields)


def symlink(name, target, **fields):
    return entry(name, tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name, target, **fields):
    return entry(name, tarfile.LNKTYPE, linkname=target, **fields)


def make_tar(*entries, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def scan(root, times=True, links=True):
    """Every path below root with all that an unpacker decides: type, mode, owner, device, links, size, times, xattrs, contents."""
    root = os.fspath(root)
    found, inodes = {}, {}
    stack = [""]
    while stack:
        rel = stack.pop()
        path = os.path.join(root, rel) if rel else root
        st = os.lstat(path)
        kind = stat.S_IFMT(st.st_mode)
        facts = {"mode": oct(st.st_mode), "owner": (st.st_uid, st.st_gid)}
        if times:
            facts["mtime"] = int(st.st_mtime)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            facts["rdev"] = st.st_rdev
        if kind == stat.S_IFREG:
            facts["size"] = st.st_size
            facts["digest"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        if kind == stat.S_IFLNK:
            facts["target"] = os.readlink(path)
        facts["xattrs"] = {k: os.getxattr(path, k, follow_symlinks=False) for k in os.listxattr(path, follow_symlinks=False)
                           if not k.startswith("trusted.overlay.")}
        if kind == stat.S_IFDIR:
            stack += [os.path.join(rel, n) for n in os.listdir(path)]
        elif links:
            facts["nlink"] = st.st_nlink
            inodes.setdefault(st.st_ino, []).append(rel)
        found[rel] = facts
    for names in inodes.values():
        for name in names:
            found[name]["same"] = sorted(names)
    return found


def assert_same(ours, theirs, what):
    differences = [f"{p}: ours {ours.get(p)}, theirs {theirs.get(p)}" for p in sorted(ours.keys() | theirs.keys())
                   if ours.get(p) != theirs.get(p)]
    assert not differences, f"{what}: " + "\n".join(differences[:10])


def write_layout(path, layers, tag="x"):
    """An OCI image layout of uncompressed layers, for umoci and skopeo."""
    blobs = Path(path) / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    kind = "application/vnd.oci.image."
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(x).hexdigest()}" for x in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                "config": put(json.dumps(config).encode()) | {"mediaType": kind + "config.v1+json"},
                "layers": [put(x) | {"mediaType": kind + "layer.v1.tar"} for x in layers]}
    top = put(json.dumps(manifest).encode()) | {"mediaType": kind + "manifest.v1+json",
                                                "annotations": {"org.opencontainers.image.ref.name": tag}}
    (Path(path) / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (Path(path) / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


class Applied:
    """Layers applied one after the other by layer_tool, and the tree that overlayfs makes of them."""

    def __init__(self, t, *layers, check=True):
        self.t, self.tool, self.dirs = t, Tool(t), []
        self.base = t.tmp / f"applied-{len(os.listdir(t.tmp))}"
        self.base.mkdir()
        self.result = None
        for i, layer in enumerate(layers):
            tar = self.base / f"{i}.tar"
            tar.write_bytes(layer)
            target = self.base / f"layer{i}"
            self.result = self.tool("apply", target, tar, *reversed(self.dirs), check=check)
            if self.result.rc == 0:
                assert self.result.out.strip() == "sha256:" + hashlib.sha256(layer).hexdigest()
            self.dirs.append(target)

    def tree(self):
        """The directory of one layer, or a mount of several. The EROFS index over the same tars must show the same."""
        target = self.dirs[0]
        if len(self.dirs) > 1:
            target = self.base / "mount"
            target.mkdir()
            self.tool("overlay", target, *reversed(self.dirs))
            self.t.defer(lambda: self.t.run(["umount", target], check=False))
        self.check_index(target)
        return target

    def check_index(self, tree):
        image, target = self.base / "index.erofs", self.base / "index"
        tars = [self.base / f"{i}.tar" for i in range(len(self.dirs))]
        target.mkdir()
        self.tool("index", image, *tars)
        mounted = self.tool("erofs", target, image, *tars, check=False)
        if mounted.rc != 0 and [int(n) for n in os.uname().release.split(".")[:2]] < [6, 12]:
            return
        assert mounted.rc == 0, mounted
        self.t.defer(lambda: self.t.run(["umount", target], check=False))
        links = len(tars) == 1  # a link to a file of a layer below is a copy in directories, and one file in the index
        assert_same(scan(target, links=links), scan(tree, links=links), "EROFS index")
