# SPDX-License-Identifier: Apache-2.0
"""cp between containers and this machine."""
import io
import os
import tarfile


def container(t, *flags, running=True, name="c1"):
    verb = ["run", "-d"] if running else ["create"]
    t.havre(*verb, "--network", "none", "--name", name, *flags, t.busybox_image(), "sleep", "1000")
    t.defer(t.havre, "rm", "-fv", name, check=False)
    return name


def source_tree(t):
    base = os.path.join(t.tmp, "src")
    os.makedirs(os.path.join(base, "d", "sub"))
    for name, text in (("file", "one\n"), ("d/f", "two\n"), ("d/sub/g", "three\n")):
        with open(os.path.join(base, name), "w") as f:
            f.write(text)
    os.symlink("f", os.path.join(base, "d", "link"))
    os.chown(os.path.join(base, "d", "f"), 33, 34)
    return base


def test_cp_rules(t):
    """A directory goes into one that is there or becomes one, /. is its contents, a file takes the new name, both ways."""
    src = source_tree(t)
    container(t)
    for what, where in (("file", "/etc/"), ("file", "/renamed"), ("d", "/"), ("d", "/new"), ("d/.", "/etc")):
        t.havre("cp", what, "c1:" + where, cwd=src)
    listing = t.havre("exec", "c1", "find", "/etc/file", "/renamed", "/d", "/new", "/etc/f", "/etc/sub").out.split()
    for path in ("/etc/file", "/renamed", "/d/sub/g", "/new/sub/g", "/new/link", "/etc/f", "/etc/sub/g"):
        assert path in listing, (path, listing)
    assert t.havre("exec", "c1", "stat", "-c", "%u:%g", "/d/f").out.strip() == "33:34"
    out = os.path.join(t.tmp, "out")
    os.mkdir(out)
    t.havre("container", "cp", "c1:/new", out)
    t.havre("cp", "c1:/new/.", out)
    t.havre("cp", "c1:/renamed", os.path.join(out, "x"))
    t.havre("cp", "c1:/new/link", os.path.join(out, "l1"))
    t.havre("cp", "-L", "c1:/new/link", os.path.join(out, "l2"))
    assert sorted(os.listdir(out)) == ["f", "l1", "l2", "link", "new", "sub", "x"]
    assert os.readlink(os.path.join(out, "l1")) == "f" and not os.path.islink(os.path.join(out, "l2"))
    assert os.stat(os.path.join(out, "new", "f")).st_uid == os.geteuid(), "files copied out are ours"
    assert open(os.path.join(out, "new", "sub", "g")).read() == "three\n"


def test_cp_errors(t):
    """Each wrong path is refused with docker's words and the name of the thing."""
    src = source_tree(t)
    container(t)
    for what, where, words in (
            ("c1:/nope", ".", "could not find the file /nope in container c1"),
            ("nope", "c1:/", "no such file or directory"),
            ("file", "c1:/no/x", "could not find the file /no in container c1"),
            ("d", "c1:/etc/passwd", "cannot copy directory"),
            ("file", "c1:/newdir/", "no such directory"),
            ("-", "c1:/etc/passwd", 'destination "c1:/etc/passwd" must be a directory'),
            ("file", "d", "must specify at least one container source"),
            ("c1:/a", "c1:/b", "copying between containers is not supported"),
            ("c1:/etc/passwd", "/nodir/x", 'directory "/nodir" does not exist'),
            ("c1:/etc", "file", "cannot copy directory"),
            ("c1:/etc/passwd/", ".", "not a directory"),
            ("file", "c1:/proc/sys/kernel/x", "file system of the kernel's"),
            ("file", "c1:/bin", None),
            ("file", "c9:/", "no such container: c9")):
        r = t.havre("cp", what, where, cwd=src, check=False, input="")
        assert (r.rc == 0) == (words is None) and (words or "") in r.err, (what, where, r)
    os.mkdir(os.path.join(t.tmp, "x"))
    os.mkdir(os.path.join(t.tmp, "x", "passwd"))
    r = t.havre("cp", "c1:/etc/passwd", os.path.join(t.tmp, "x"), check=False)
    assert r.rc == 1 and "cannot overwrite directory" in r.err, r


def test_cp_stopped(t):
    """A container that does not run: its volumes are where they will be, -a gives files to its user, and its start waits for nothing."""
    src = source_tree(t)
    container(t, "-v", "vol:/vol", "-u", "7:8", running=False)
    t.havre("cp", "-a", "file", "c1:/vol/in-volume", cwd=src)
    t.havre("cp", "d", "c1:/d", cwd=src)
    with open(os.path.join(t.tmp, "x.tar"), "wb") as f:
        with tarfile.open(fileobj=f, mode="w") as tar:
            tar.add(os.path.join(src, "d"), "from-tar")
    t.run(["sh", "-c", 'gzip -c < "$0" | "$@"', os.path.join(t.tmp, "x.tar"), *t.havre_args("cp", "-", "c1:/vol")])
    assert os.path.exists(os.path.join(t.root, "volumes", "vol", "_data", "in-volume"))
    t.havre("start", "c1")
    got = t.havre("exec", "c1", "sh", "-c", "stat -c '%u:%g %n' /vol/in-volume /d/f; cat /vol/from-tar/sub/g").out
    assert got == "7:8 /vol/in-volume\n33:34 /d/f\nthree\n", got
    t.havre("rm", "-f", "c1")
    container(t, "--read-only", running=False)
    r = t.havre("cp", "file", "c1:/etc/", cwd=src, check=False)
    assert r.rc == 1 and "read-only" in r.err, r


def test_cp_hostile_container(t):
    """CVE-2018-15664: a container that swaps a directory for links to this machine's files neither gets a file there nor shows one."""
    outside = os.path.join(t.tmp, "outside")
    os.mkdir(outside)
    with open(os.path.join(outside, "f"), "w") as f:
        f.write("secret")
    src = source_tree(t)
    loop = f"""mkdir /w /w/a; echo mine > /w/a/f
        while :; do mv /w/a /w/b; ln -s {outside} /w/a; rm /w/a; mv /w/b /w/a; done"""
    t.havre("run", "-d", "--network", "none", "--name", "c1", t.busybox_image(), "sh", "-c", loop)
    t.defer(t.havre, "rm", "-f", "c1", check=False)
    worked = 0
    for i in range(25):
        to = os.path.join(t.tmp, f"out{i}")
        os.mkdir(to)
        r = t.havre("cp", "c1:/w/a/f" if i % 2 else "c1:/w/.", to, check=False)
        for place, _, files in os.walk(to):
            for name in files:
                path = os.path.join(place, name)
                if not os.path.islink(path):
                    assert open(path).read() != "secret", path
        worked += r.rc == 0
        worked += t.havre("cp", "file", "c1:/w/a/g", cwd=src, check=False).rc == 0
    assert sorted(os.listdir(outside)) == ["f"], os.listdir(outside)
    assert worked > 0, "no copy worked: the test proves nothing"


test_cp_hostile_container.asan = False


def test_cp_hostile_archive(t):
    """Links, devices and set-user-id bits of a container's files do nothing on this machine."""
    container(t)
    t.havre("exec", "c1", "sh", "-c",
            f"mkdir /d; ln -s {t.tmp} /d/link; echo x > /d/s; chmod 6755 /d/s; mkfifo /d/pipe")
    out = os.path.join(t.tmp, "out")
    t.havre("cp", "c1:/d", out)
    assert os.stat(os.path.join(out, "s")).st_mode & 0o7777 == 0o755
    t.havre("exec", "c1", "mknod", "/d/dev", "c", "1", "3")
    r = t.havre("cp", "c1:/d", os.path.join(t.tmp, "out2"), check=False)
    assert r.rc == 1 and "device" in r.err and not os.path.exists(os.path.join(t.tmp, "out2", "dev")), r
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as f:
        for name, kind in (("l", tarfile.SYMTYPE), ("../../../l/escaped", tarfile.REGTYPE), ("l/escaped", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = str(t.tmp) if kind == tarfile.SYMTYPE else ""
            f.addfile(info)
    path = os.path.join(t.tmp, "evil.tar")
    with open(path, "wb") as f:
        f.write(tar.getvalue())
    t.run(["sh", "-c", '"$@" < "$0"', path, *t.havre_args("cp", "-", "c1:/")], check=False)
    assert not os.path.exists(os.path.join(t.tmp, "escaped"))


test_cp_hostile_archive.asan = False
