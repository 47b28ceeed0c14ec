# SPDX-License-Identifier: Apache-2.0
"""volume create, ls, inspect, rm, prune: labels, options, and who has what."""

import json


def volume(t, *args, **kw):
    return t.havre("volume", *args, **kw)


def test_life(t):
    """made, listed, inspected, used, kept while a container has it, removed; what exists already stays as it is"""
    assert volume(t, "create", "--label", "a=1", "--label", "b", "data").out == "data\n"
    generated = volume(t, "create").out.strip()
    assert len(generated) == 64
    (one,) = json.loads(volume(t, "inspect", "data").out)
    assert one.pop("CreatedAt").endswith("Z")
    assert one == {"Driver": "local", "Labels": {"a": "1", "b": ""}, "Mountpoint": f"{t.root}/volumes/data/_data", "Name": "data", "Options": None,
                   "Scope": "local"}, one
    assert volume(t, "create", "--label", "a=2", "data").out == "data\n"
    assert volume(t, "inspect", "-f", '{{index .Labels "a"}}', "data").out == "1\n"
    assert volume(t, "ls").out.splitlines() == ["DRIVER    VOLUME NAME"] + [f"local     {n}" for n in sorted(["data", generated])]
    assert volume(t, "ls", "-q", "--filter", "label=a=1").out == "data\n" == volume(t, "ls", "-q", "--filter", "name=dat").out
    assert volume(t, "ls", "--filter", "label=b", "--format", '{{.Name}} {{.Label "a"}} {{.Links}}').out == "data 1 0\n"

    image = t.busybox_image()
    t.havre("run", "--network", "none", "--name", "user", "-v", "data:/d", image, "sh", "-c", "echo kept >/d/f")
    busy = volume(t, "rm", "data", generated, check=False)
    assert busy.rc == 1 and busy.out == f"{generated}\n" and "cannot remove volume data: it is in use by user" in busy.err
    assert volume(t, "ls", "-q", "--filter", "dangling=true").out == "" and volume(t, "ls", "-q", "--filter", "dangling=false").out == "data\n"
    t.havre("rm", "user")
    assert t.havre("run", "--rm", "--network", "none", "-v", "data:/d", image, "cat", "/d/f").out == "kept\n"
    assert volume(t, "prune", "-a", "-f", "--filter", "label!=a").out.startswith("Total") and (t.root / "volumes/data").exists()
    assert "data" in volume(t, "prune", "-a", "-f", "--filter", "label=a").out
    gone = volume(t, "rm", "data", check=False)
    assert gone.rc == 1 and "no such volume: data" in gone.err and volume(t, "rm", "-f", "data").out == "data\n"
    missing = volume(t, "inspect", "data", check=False)
    assert missing.rc == 1 and missing.out == "[]\n" and "no such volume: data" in missing.err


def test_options(t):
    """type, device and o are the container's mount; what is wrong with them is said"""
    image = t.busybox_image()
    (t.tmp / "host").mkdir()
    (t.tmp / "host/f").write_text("from the host\n")
    volume(t, "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={t.tmp}/host", "host")
    assert t.havre("run", "--rm", "--network", "none", "-v", "host:/h:ro", image, "sh", "-c", "cat /h/f; touch /h/g", check=False).out == "from the host\n"
    assert not (t.tmp / "host/g").exists()
    volume(t, "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,mode=700", "memory")
    out = t.havre("run", "--rm", "--network", "none", "-v", "memory:/m", image, "sh", "-c", "grep ' /m ' /proc/mounts; stat -c %a /m").out
    assert " tmpfs " in out and "size=64k" in out and out.endswith("700\n"), out
    for args, words in ((("-o", "type=tmpfs"), "missing option of volume xx: device"), (("-o", "device=/x"), "missing option of volume xx: type"),
                        (("-o", "size=1"), "invalid option"), (("-d", "nfs"), "volume driver \"nfs\"")):
        bad = volume(t, "create", *args, "xx", check=False)
        assert bad.rc == 1 and words in bad.err, bad
    other = volume(t, "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/", "host", check=False)
    assert other.rc == 1 and "exists with other options" in other.err
    (t.tmp / "host/f").unlink()
    (t.tmp / "host").rmdir()
    gone = t.havre("run", "--rm", "--network", "none", "-v", "host:/h", image, "true", check=False)
    assert gone.rc == 125 and f"device {t.tmp}/host" in gone.err, gone
    assert "invalid volume name" in volume(t, "create", "a/b", check=False).err


def test_at_once(t):
    """sixteen commands make and remove one volume: each succeeds or says why, and nothing is left half made"""
    running = [t.start([*t.havre_args("volume", verb, "vol")]) for _ in range(8) for verb in ("create", "rm")]
    assert all(p.wait() in (0, 1) for p in running)
    volume(t, "create", "vol")
    assert [p.name for p in (t.root / "volumes").iterdir()] == ["vol"] and volume(t, "rm", "vol").out == "vol\n"
