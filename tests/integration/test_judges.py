# SPDX-License-Identifier: Apache-2.0
"""The tree of a real image with awkward layers over it, as umoci, containers/storage (podman), docker's overlay2, GNU tar and each of our drivers
make it: same paths, types, modes, owners, devices, links, sizes, times, extended attributes and contents."""

import ast
import io
import json
import os
import subprocess
import tarfile

from layers_fixture import assert_same, directory, entry, hardlink, make_tar, scan, symlink, write_layout
from test_runtime_docker import daemon, short_directory

VM = False
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000").decode("latin-1")


def debian_part(t):
    """What is interesting in Debian's root, and small: everything but the contents of large ordinary files."""
    out = io.BytesIO()
    with tarfile.open(t.debian_rootfs_tar()) as source, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target:
        linked = {m.linkname for m in source if m.islnk()}
        for m in source:
            keep = not m.isreg() or m.mode & 0o7000 or m.name in linked or m.pax_headers or m.name.startswith(("./etc/", "./usr/bin/"))
            if keep and (m.islnk() or m.size < 300_000 or m.name in linked):
                target.addfile(m, source.extractfile(m) if m.isreg() else None)
    return out.getvalue()


def layers(t):
    # No link to a file with capabilities: docker 20.10 changes the owner of the link once more, and they are gone.
    base = debian_part(t)
    awkward = make_tar(
        directory("etc", mode=0o755, mtime=1600000001), entry("etc/.wh.passwd"), entry("etc/motd", data=b"changed", mode=0o640, gid=4, mtime=1600000002),
        directory("opt", mode=0o2775, uid=12, gid=70000, mtime=1600000003), entry("opt/cap", data=b"x", pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}),
        entry("opt/big-link", uid=3000000, data=b"l"), entry("opt/big-owner", uid=3000000, gid=4000000), entry("opt/" + "n" * 200, data=b"long"), entry("opt/späß", data=b"utf"),
        hardlink("opt/hard", "opt/big-link", uid=3000000), symlink("opt/sym", "../etc/motd"), entry("opt/setuid", data=b"s", mode=0o6755),
        entry("opt/attr", pax_headers={"SCHILY.xattr.user.note": "text"}), directory("usr", mtime=1600000008), directory("usr/share", mtime=1600000004), entry("usr/share/.wh..wh..opq"),
        directory("usr/share/new", mtime=1600000005), entry("usr/share/new/f", data=b"f"), entry("old", mtime=1), entry("future", mtime=4000000000))
    # With the directories: one that a layer only implies keeps its attributes with umoci and us, and is root's and 0755 with podman and docker.
    replaced = make_tar(
        directory("etc", mtime=1600000009), directory("opt", mode=0o2775, uid=12, gid=70000, mtime=1600000010), entry("var", data=b"a file where a directory was"), directory("etc/motd", mode=0o700, mtime=1600000006), entry("etc/motd/in", data=b"in"),
        entry("opt/.wh.big-owner"), entry("opt/sym", data=b"no link now"), entry("opt/.wh.nothing"), entry(".wh.home"),
        directory("home", mode=0o711, mtime=1600000007), entry("opt/fifo", type=tarfile.FIFOTYPE, mode=0o600))
    return [base, awkward, replaced]


SCAN = "import sys; sys.path.insert(0, sys.argv[1]); from layers_fixture import scan; print(repr(scan(sys.argv[2])))"


def scan_inside(t, script, *args):
    """The tree at the path $root that the script leaves, in a mount namespace of its own."""
    here = os.path.dirname(os.path.abspath(__file__))
    done = t.run(["unshare", "-m", "sh", "-ec", f'here=$1; shift; {script}; exec python3 -c "$SCAN" "$here" "$root"', "sh", here, *args],
                 env={"SCAN": SCAN}, timeout=120)
    return ast.literal_eval(done.out.splitlines()[-1])


def umoci(t, layout):
    t.run(["umoci", "unpack", "--image", f"{layout}:x", t.tmp / "umoci"], timeout=120)
    return scan(t.tmp / "umoci/rootfs")


def podman(t, archive):
    top = short_directory(t)
    return scan_inside(t, 'q() { podman --root "$top/r" --runroot "$top/rr" '
                       '--storage-driver overlay "$@"; }; top=$1; q load -q -i "$2" >/dev/null; root=$(q image mount judge:x)', top, archive)


def docker(t, archive):
    top = short_directory(t)
    base = ["docker", "-H", f"unix://{top}/s", "--config", f"{top}/config"]
    daemon(t, ["dockerd", "-H", f"unix://{top}/s", "--data-root", f"{top}/d", "--exec-root", f"{top}/e", "-p", f"{top}/pid", "--bridge=none",
               "--iptables=false", "--ip6tables=false"], lambda: t.run([*base, "version"], check=False), t.tmp / "dockerd.log")
    t.run([*base, "load", "-q", "-i", archive], timeout=120)
    data = json.loads(t.run([*base, "image", "inspect", "judge:x"]).out)[0]["GraphDriver"]
    if data["Name"] != "overlay2":
        t.skip(f"dockerd uses {data['Name']} here")
    dirs = [data["Data"]["UpperDir"], *data["Data"]["LowerDir"].split(":")]
    return scan_inside(t, 'root=$1; mount -t overlay o -o "lowerdir=$2" "$root"', t.tmp / "docker-mount", ":".join(dirs))


def ours(t, driver, archive):
    """What a container sees is what unpack copies: of a mount, of an index, or of the tars themselves."""
    t.havre("--storage-driver", driver, "load", "-q", "-i", archive)
    target = t.tmp / f"ours-{driver}"
    t.havre("--storage-driver", driver, "image", "unpack", "judge:x", target)
    t.havre("rmi", "judge:x")
    return scan(target / "rootfs")


def test_judges(t):
    """Five judges, one tree."""
    t.need("umoci", "skopeo", "podman", "dockerd", "docker")
    (t.tmp / "docker-mount").mkdir()
    layout, archive = t.tmp / "layout", t.tmp / "judge.tar"
    layout.mkdir()
    stack = layers(t)
    write_layout(layout, stack)
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}:x", f"docker-archive:{archive}:judge:x"])
    # The lowest layer alone is what GNU tar unpacks.
    gnu = t.tmp / "gnu"
    gnu.mkdir()
    subprocess.run(["tar", "-C", gnu, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "-"], input=stack[0], check=True)
    t.run(t.havre_args("import", "-", "plain"), input=stack[0])
    t.havre("image", "unpack", "plain", t.tmp / "plain")
    assert_same(scan(t.tmp / "plain/rootfs"), scan(gnu), "GNU tar")
    want = ours(t, "overlay", archive)
    assert want["var"]["size"] == 28 and "etc/passwd" not in want and len(want) > 500, len(want)
    trees = {"vfs": ours(t, "vfs", archive), "umoci": umoci(t, layout), "podman": podman(t, archive), "docker": docker(t, archive)}
    for name, tree in trees.items():
        tree.pop("", None)
    want.pop("", None)
    for name, tree in trees.items():
        assert_same(want, tree, name)


test_judges.asan, test_judges.timeout = False, 300
