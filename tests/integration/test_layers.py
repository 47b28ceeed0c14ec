# SPDX-License-Identifier: Apache-2.0
"""Applying layers: hostile ones stay inside, ordinary ones come out as other unpackers make them."""

import hashlib
import os
import stat
import struct
import subprocess
import tarfile

from layers_fixture import Applied, Tool, assert_same, directory, entry, hardlink, make_tar, scan, symlink, write_layout

SECRET = b"outside"


def outside(t):
    """A directory beside the layers with a file that nothing may touch."""
    path = t.tmp / "outside"
    path.mkdir(exist_ok=True)
    (path / "victim").write_bytes(SECRET)
    os.chmod(path / "victim", 0o640)
    return path, scan(path)


def contained(t, *layers):
    """Applies; whatever happens, what lies outside is as it was. Returns the result of the last layer."""
    path, before = outside(t)
    etc = os.lstat("/etc/passwd")
    done = Applied(t, *layers, check=False)
    assert_same(scan(path), before, "the outside")
    after = os.lstat("/etc/passwd")
    assert (etc.st_mode, etc.st_mtime, etc.st_nlink, etc.st_size) == (after.st_mode, after.st_mtime, after.st_nlink, after.st_size)
    return done


def test_cve_2018_15664_symlink_parent(t):
    """CVE-2018-15664, CVE-2021-29136: a symlink in the layer as parent of a later entry leads inside the root, absolute or with dots."""
    for target in (str(t.tmp / "outside"), "../../../../../../../.." + str(t.tmp / "outside"), "/proc/self/cwd", "/proc/self/root"):
        done = contained(t, make_tar(symlink("link", target), entry("link/victim", data=b"evil"), entry("link/new", data=b"evil")))
        if done.result.rc == 0:
            names = [p for p in scan(done.dirs[0]) if p.endswith("/new")]
            assert names and all(not n.startswith("..") for n in names), names


def test_cve_2025_47290_chmod_through_symlink(t):
    """CVE-2025-47290, CVE-2021-32760: mode, owner, times and xattrs of an entry never land on what a symlink of that name points to."""
    victim = str(t.tmp / "outside/victim")
    contained(t, make_tar(symlink("f", victim, mode=0o777, uid=1, gid=1), entry("f", data=b"x", mode=0o4777, uid=7, gid=7)))
    contained(t, make_tar(symlink("d", str(t.tmp / "outside")), directory("d", mode=0o777, uid=7)))
    contained(t, make_tar(symlink("d", str(t.tmp / "outside"), pax={"SCHILY.xattr.user.a": "b"})))


def test_cve_2026_17106_hardlink_escape(t):
    """CVE-2026-17106: a hard link target is a path from the layer's root, never the host's, also through symlinks."""
    victim = str(t.tmp / "outside/victim")
    for layer in (make_tar(hardlink("h", victim), entry("h", data=b"evil")),
                  make_tar(hardlink("h", "../../../../../../.." + victim)),
                  make_tar(symlink("s", str(t.tmp / "outside")), hardlink("h", "s/victim")),
                  make_tar(hardlink("passwd", "/etc/passwd"))):
        assert contained(t, layer).result.rc != 0
    # A link to a symlink is a second name of the symlink.
    done = contained(t, make_tar(symlink("s", victim), hardlink("h", "s"), entry("h", data=b"evil")))
    assert (done.dirs[0] / "h").read_bytes() == b"evil" and os.readlink(done.dirs[0] / "s") == victim


def test_dots_and_absolute_names(t):
    """Names with .. and absolute names stay below the root."""
    done = contained(t, make_tar(entry("../../../../outside/victim", data=b"evil"), entry("/abs", data=b"1"),
                                 entry("a/../../b", data=b"2"), entry("./c/./d", data=b"3")))
    assert done.result.rc == 0
    assert {p for p in scan(done.dirs[0])} == {"", "outside", "outside/victim", "abs", "b", "c", "c/d"}


def test_whiteout_abuse(t):
    """Whiteouts of ".", ".." and nothing are refused, as are paths through a whiteout; those of absent names leave nothing behind."""
    for name in (".wh..", ".wh...", ".wh.", "a/.wh..", ".wh.x/y"):
        assert contained(t, make_tar(entry(name))).result.rc != 0, name
    done = contained(t, make_tar(entry(".wh.absent"), directory("d"), entry("d/.wh..wh..opq"), entry("d/.wh.gone"),
                                 entry(".wh..wh.plnk/1.2", data=b"x"), entry(".wh..wh.aufs")))
    assert done.result.rc == 0 and set(scan(done.dirs[0])) == {"", "d"}
    through = contained(t, make_tar(symlink("s", str(t.tmp / "outside")), entry("s/.wh.victim")))
    assert through.result.rc == 0


def test_overlay_xattrs_dropped(t):
    """An archive cannot steer the merging of layers: overlayfs' own xattrs are dropped, a device 0/0 only hides."""
    redirect = {"SCHILY.xattr.trusted.overlay.redirect": "/secret", "SCHILY.xattr.trusted.overlay.opaque": "y",
                "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.kept": "1", "SCHILY.xattr.security.selinux": "x"}
    done = Applied(t, make_tar(directory("d", pax=redirect), entry("d/f", pax=redirect)))
    for path in ("d", "d/f"):
        assert os.listxattr(done.dirs[0] / path) == ["user.kept"]
    done = Applied(t, make_tar(entry("f", data=b"1"), entry("g")), make_tar(entry("f", tarfile.CHRTYPE, devmajor=0, devminor=0),
                                                                              entry("n", tarfile.CHRTYPE, devmajor=0, devminor=0)))
    assert sorted(os.listdir(done.tree())) == ["g"]


def test_device_nodes(t):
    """Device nodes and FIFOs come with mode, owner and times, and are never opened."""
    done = Applied(t, make_tar(entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
                               entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o660, gid=6),
                               entry("pipe", tarfile.FIFOTYPE, mode=0o622, uid=5),
                               entry("null", data=b"now a file"), entry("pipe2", tarfile.FIFOTYPE), entry("pipe2", data=b"file")))
    tree = scan(done.dirs[0])
    assert tree["disk"]["mode"] == oct(stat.S_IFBLK | 0o660) and tree["disk"]["owner"] == (0, 6)
    assert tree["pipe"]["mode"] == oct(stat.S_IFIFO | 0o622) and tree["pipe"]["owner"] == (5, 0)
    assert (done.dirs[0] / "null").read_bytes() == b"now a file" and (done.dirs[0] / "pipe2").read_bytes() == b"file"


def test_cve_2025_58183_sparse_lies(t):
    """CVE-2025-58183, CVE-2017-14992: sparse maps without end, out of order, outside the file or against the stored bytes are refused."""
    def sparse(data, **records):
        return make_tar(entry("f", data=data, pax={"GNU.sparse." + k.replace("_", "."): v for k, v in records.items()}))

    version1 = {"major": "1", "minor": "0", "realsize": "1000"}
    bad = [
        sparse(b"9" * 512, **version1),
        sparse(b"99999999\n".ljust(512, b"0"), **version1),
        sparse(b"1\n990\n20\n".ljust(512, b"\0") + b"x" * 20, **version1),
        sparse(b"2\n500\n10\n400\n10\n".ljust(512, b"\0") + b"x" * 20, **version1),
        sparse(b"1\n0\n30\n".ljust(512, b"\0") + b"x" * 20, **version1),
        sparse(b"x" * 20, size="1000", map="0,10,5,10"),
        sparse(b"x" * 20, size="1000", map="0,10,20"),
        sparse(b"x" * 20, size="-1", map="0,20"),
        sparse(b"x" * 20, size="10", map="18446744073709551610,20"),
    ]
    for layer in bad:
        result = contained(t, layer).result
        assert result.rc != 0 and "sparse" in result.err or "size" in result.err or "bad value" in result.err, result.err
    good = Applied(t, sparse(b"x" * 20, size="1000", map="0,10,500,10"), )
    assert (good.dirs[0] / "f").read_bytes() == b"x" * 10 + b"\0" * 490 + b"x" * 10 + b"\0" * 490


def test_decompression_bomb(t):
    """CVE-2023-25153: what grows beyond its cap ends in an error (here: pax headers and names)."""
    result = contained(t, make_tar(entry("f", pax={"SCHILY.xattr.user.x": "y" * (2 << 20)}))).result
    assert result.rc != 0 and "limit" in result.err
    result = contained(t, make_tar(entry("a/" * 3000 + "f"))).result
    assert result.rc != 0 and "longer than 4095" in result.err


def test_damaged(t):
    """Truncated and damaged layers are named as such and never half believed."""
    layer = make_tar(directory("d"), entry("d/f", data=b"x" * 5000), entry("g", data=b"y" * 700))
    for size in (1, 511, 513, 1100, 1600, 6000):
        result = contained(t, layer[:size]).result
        assert result.rc != 0 and "corrupt" in result.err, (size, result.err)
    flipped = bytearray(layer)
    flipped[3] ^= 1
    result = contained(t, bytes(flipped)).result
    assert result.rc != 0 and "checksum" in result.err


def test_later_entry_wins(t):
    """Duplicates: a directory over a directory merges attributes, anything else is replaced; other names keep the old contents."""
    done = Applied(t, make_tar(
        directory("d", mode=0o700, pax={"SCHILY.xattr.user.old": "1"}), entry("d/f", data=b"1"), directory("d", mode=0o711, uid=3),
        entry("f", data=b"old"), hardlink("h", "f"), entry("f", data=b"new"),
        directory("x"), entry("x/y/z"), entry("x", data=b"file"),
        entry("w", data=b"file"), directory("w"), entry("w/inside"),
        symlink("s", "d"), directory("s"), entry("s/own"), hardlink("f", "f"), hardlink("/f2", "/f")))
    tree = scan(done.dirs[0])
    assert tree["d"]["mode"] == oct(stat.S_IFDIR | 0o711) and tree["d"]["owner"] == (3, 0) and tree["d"]["xattrs"] == {}
    assert (done.dirs[0] / "f").read_bytes() == b"new" and (done.dirs[0] / "h").read_bytes() == b"old"
    assert tree["f"]["same"] == ["f", "f2"] and (done.dirs[0] / "x").read_bytes() == b"file"
    assert "w/inside" in tree and "s/own" in tree and "d/own" not in tree


def test_times(t):
    """Directory times survive what is written into them; negative, fractional and far-future times are held or bounded."""
    done = Applied(t, make_tar(directory("d", mtime=1000), entry("d/a", mtime=-5), entry("d/b", mtime=1.5, pax={"mtime": "1.5"}),
                               entry("d/c", pax={"mtime": "99999999999999"}), directory("d/e", mtime=7)))
    st = os.lstat(done.dirs[0] / "d")
    assert st.st_mtime == 1000 and os.lstat(done.dirs[0] / "d/e").st_mtime == 7
    assert os.lstat(done.dirs[0] / "d/a").st_mtime == -5 and os.lstat(done.dirs[0] / "d/b").st_mtime_ns == 1_500_000_000
    assert os.lstat(done.dirs[0] / "d/c").st_mtime < 1 << 34


BASE = [directory("./", mode=0o750, uid=9), directory("usr", mode=0o711), directory("usr/lib", mode=0o2775, gid=50),
        entry("usr/lib/a", data=b"a", mode=0o4755), entry("usr/lib/b", data=b"b", pax={"SCHILY.xattr.user.k": "v"}),
        symlink("lib", "usr/lib"), symlink("abs", "/usr/lib"), directory("opt", uid=3), directory("opt/x"), entry("opt/x/1"), entry("opt/x/2"),
        entry("opt/x/3"), directory("gone"), entry("gone/f"), entry("file", data=b"f")]


def umoci_tree(t, layers):
    t.need("umoci")
    layout, bundle = t.tmp / "layout", t.tmp / "bundle"
    write_layout(layout, layers)
    t.run(["umoci", "unpack", "--image", f"{layout}:x", str(bundle)])
    return bundle / "rootfs"


def compare(t, *layers):
    ours = scan(Applied(t, *layers).tree(), times=False)
    theirs = scan(umoci_tree(t, layers), times=False)
    for tree in (ours, theirs):
        for facts in tree.values():
            facts["xattrs"] = {k: v for k, v in facts["xattrs"].items() if not k.startswith("user.rootlesscontainers")}
    assert_same(ours, theirs, "umoci")
    return ours


def test_whiteouts_hide_lower_layers_only(t):
    """Whiteouts and opaque markers, before and after the entries of their own layer, as umoci unpacks them."""
    tree = compare(t, make_tar(*BASE), make_tar(
        entry(".wh.gone"), entry("opt/x/new"), entry("opt/x/.wh..wh..opq"), entry("opt/x/later"),
        entry("usr/lib/.wh.a"), entry("usr/lib/c", data=b"c"), entry("file2"), entry(".wh.file")))
    assert "gone" not in tree and "opt/x/1" not in tree and "opt/x/new" in tree and "opt/x/later" in tree and "file" not in tree


def test_whiteout_then_same_name(t):
    """A directory that is hidden and made again does not show what it hid, in either order; a file that hides one neither."""
    for second in ([entry(".wh.opt"), directory("opt"), entry("opt/new")],
                   [directory("opt"), entry("opt/new"), entry(".wh.opt")],
                   [entry(".wh.opt"), entry("opt/new")],
                   [entry("opt", data=b"x"), directory("opt"), entry("opt/new")],
                   [entry("opt/x/0"), entry("opt/.wh.x"), entry("opt/new"), entry(".wh.opt")]):
        tree = scan(Applied(t, make_tar(*BASE), make_tar(*second)).tree())
        names = {p for p in tree if p.startswith("opt/")}
        assert names in ({"opt/new"}, {"opt/new", "opt/x", "opt/x/0"}), (second, names)


def test_whiteout_below_a_file(t):
    """umoci writes whiteouts for what was in a directory that a file has replaced; the file stays, in whatever order."""
    base = make_tar(directory("d"), entry("d/x", data=b"x"), directory("e"), entry("e/x"), directory("f"), directory("f/g"), entry("f/g/x"))
    compare(t, base, make_tar(entry("d", data=b"a file"), entry("d/.wh.x"), symlink("f", "d"), entry("f/g/.wh.x")))
    done = Applied(t, base, make_tar(entry("e/.wh.x"), entry("e", data=b"a file"), entry("e/.wh..wh..opq")))
    assert scan(done.tree())["e"]["size"] == 6


def test_opaque_root(t):
    """An opaque marker at the root hides everything below."""
    tree = scan(Applied(t, make_tar(*BASE), make_tar(entry("usr/mine"), entry(".wh..wh..opq"), entry("opt/mine"))).tree())
    assert set(tree) == {"", "usr", "usr/mine", "opt", "opt/mine"}


def test_implied_parents(t):
    """Parents that a layer does not mention are those of the layers below: attributes kept, symlinks followed."""
    tree = compare(t, make_tar(*BASE), make_tar(entry("lib/through", data=b"1"), entry("abs/absolute"), entry("usr/lib/deep/er/f"),
                                                entry("opt/x/4")))
    assert tree["lib"]["target"] == "usr/lib" and "usr/lib/through" in tree and "usr/lib/absolute" in tree
    assert tree["usr/lib"]["mode"] == oct(stat.S_IFDIR | 0o2775) and tree["opt"]["owner"] == (3, 0) and tree[""]["owner"] == (9, 0)


def test_hard_links_to_lower_layers(t):
    """A hard link to a file of a layer below copies it up with everything it has; absolute targets count from the root."""
    tree = scan(Applied(t, make_tar(*BASE), make_tar(entry("top")), make_tar(
        hardlink("usr/lib/b2", "usr/lib/b"), hardlink("a2", "/lib/a"), hardlink("l2", "lib"))).tree())
    assert tree["usr/lib/b2"]["same"] == ["usr/lib/b", "usr/lib/b2"] and tree["usr/lib/b2"]["xattrs"] == {"user.k": b"v"}
    assert tree["a2"]["mode"] == oct(stat.S_IFREG | 0o4755) and tree["a2"]["same"] == ["a2", "usr/lib/a"]
    assert tree["l2"]["target"] == "usr/lib"
    missing = Applied(t, make_tar(*BASE), make_tar(entry(".wh.file"), hardlink("x", "file")), check=False)
    assert missing.result.rc != 0 and "which does not exist" in missing.result.err


def test_many_layers(t):
    """60 layers, each changing the same directory, mounted the new and the old way."""
    layers = [make_tar(*BASE)] + [make_tar(entry(f"opt/x/n{i}", data=b"%d" % i), entry(f"opt/x/.wh.n{i - 1}")) for i in range(60)]
    done = Applied(t, *layers)
    tree = scan(done.tree())
    assert {p for p in tree if p.startswith("opt/x/")} == {"opt/x/1", "opt/x/2", "opt/x/3", "opt/x/n59"}
    old = t.tmp / "old"
    old.mkdir()
    done.tool("overlay", old, *reversed(done.dirs), env={"HAVRE_TEST_OLD_OVERLAY": "1"})
    t.defer(lambda: t.run(["umount", old], check=False))
    assert_same(scan(old), tree, "the old way to mount")


def test_xattrs_and_acls(t):
    """Capabilities, user xattrs in both notations, and default ACLs that do not leak to what is made below them."""
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    # version 2; user::rwx, user:7:rwx, group::r-x, mask::rwx, other::r-x (linux/posix_acl_xattr.h)
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in (
        (1, 7, 0xffffffff), (2, 7, 7), (4, 5, 0xffffffff), (16, 7, 0xffffffff), (32, 5, 0xffffffff)))
    probe = t.tmp / "probe"
    probe.mkdir()
    try:
        os.setxattr(probe, "system.posix_acl_default", acl)
    except OSError:
        t.skip("no ACLs on this file system")

    def text(value):
        return value.decode("utf-8", "surrogateescape")

    done = Applied(t, make_tar(entry("bin", mode=0o755, pax={"SCHILY.xattr.security.capability": text(capability)}),
                               entry("u", pax={"LIBARCHIVE.xattr.user.a%20b": "aGVsbG8", "SCHILY.xattr.user.c": "d"}),
                               directory("d", pax={"SCHILY.xattr.system.posix_acl_default": text(acl)}), entry("d/f"), directory("d/e")))
    root = done.dirs[0]
    assert os.getxattr(root / "bin", "security.capability") == capability
    assert os.getxattr(root / "u", "user.a b") == b"hello" and os.getxattr(root / "u", "user.c") == b"d"
    assert os.getxattr(root / "d", "system.posix_acl_default") == acl
    assert os.listxattr(root / "d/f") == [] and os.listxattr(root / "d/e") == []


def gnu_tar(t, source, *options):
    out = t.tmp / "gnu.tar"
    subprocess.run(["tar", "-C", source, "--numeric-owner", *options, "-cf", out, "."], check=True)
    return out.read_bytes()


def interesting_tree(t):
    root = t.tmp / "interesting"
    root.mkdir()
    (root / ("n" * 180)).write_bytes(b"long name")
    deep = root / "/".join(["component" * 5] * 6)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"deep")
    os.symlink("t" * 300, root / "longlink")
    os.link(root / ("n" * 180), root / "second")
    (root / "späße\n").write_bytes(b"utf-8 and a newline")
    with open(root / "sparse", "wb") as f:
        for i in range(60):
            f.seek(i * 65536)
            f.write(b"data%d" % i)
        f.truncate(8 << 20)
    with open(root / "hole", "wb") as f:
        f.truncate(1 << 20)
    (root / "big-ids").write_bytes(b"")
    os.chown(root / "big-ids", 3_000_000, 4_000_000_000)
    (root / "setuid").write_bytes(b"s")
    os.chmod(root / "setuid", 0o6755)
    os.utime(root / "setuid", (-86400, -86400))
    return root


def test_against_gnu_tar(t):
    """Every format GNU tar writes, sparse files in all four forms, comes out as the tree it was made of."""
    root = interesting_tree(t)
    want = scan(root)
    for options in (["--format=gnu"], ["--format=posix"], ["--format=gnu", "--sparse"], ["--format=posix", "--sparse"],
                    ["--format=posix", "--sparse", "--sparse-version=0.0"], ["--format=posix", "--sparse", "--sparse-version=0.1"]):
        done = Applied(t, gnu_tar(t, root, *options))
        assert_same(scan(done.dirs[0]), want, " ".join(options))
        if "--sparse" in options:
            assert os.stat(done.dirs[0] / "sparse").st_blocks * 512 < 2 << 20


def test_pack_round_trip(t):
    """Our writer: the same tree twice gives the same bytes, and GNU tar and our reader make the tree again."""
    root = interesting_tree(t)
    tool = Tool(t)
    packed = [subprocess.run([tool.path, "pack", root], stdout=subprocess.PIPE, check=True).stdout for _ in range(2)]
    assert packed[0] == packed[1]
    want = scan(root)
    assert_same(scan(Applied(t, packed[0]).dirs[0]), want, "our reader")
    other = t.tmp / "gnu"
    other.mkdir()
    subprocess.run(["tar", "-C", other, "--numeric-owner", "-xpf", "-"], input=packed[0], check=True)
    assert_same(scan(other), want, "GNU tar")


def test_debian(t):
    """A real Debian root file system, gzip and zstd compressed, as GNU tar unpacks it."""
    tar = t.debian_rootfs_tar()
    other = t.tmp / "gnu"
    other.mkdir()
    t.run(["tar", "-C", str(other), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", str(tar)])
    want = scan(other)
    tool = Tool(t)
    digest = hashlib.sha256(tar.read_bytes()).hexdigest()
    for command in (["gzip", "-1c"], ["zstd", "-1c"]):
        t.need(command[0])
        packed = t.tmp / command[0]
        with open(packed, "wb") as f:
            subprocess.run([*command, tar], stdout=f, check=True)
        target = t.tmp / f"ours-{command[0]}"
        assert tool("apply", target, packed).out.strip() == f"sha256:{digest}"
        assert_same(scan(target), want, command[0])


test_debian.timeout = 300
