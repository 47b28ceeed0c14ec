# SPDX-License-Identifier: Apache-2.0
"""What is kept and what can go: system df, the prunes, history and tree."""

import fcntl
import hashlib
import json
import os
import re
import sqlite3

from registry_fixture import FaultServer

VM = False


def filled(t):
    """app:v1 and app:v2 with a common layer of 300,000 bytes, 1,000 and 2,000 bytes of their own; busybox with a container; volumes."""
    server = FaultServer(t)
    base = os.urandom(300_000)
    server.add_image("app", "v1", [{"base": base}, {"a": b"1" * 1000}])
    server.add_image("app", "v2", [{"base": base}, {"a": b"2" * 2000}])
    for tag in ("v1", "v2"):
        t.havre("pull", "-q", f"{server.host}/app:{tag}")
    t.busybox_image()
    t.havre("run", "--name", "done", "--network", "none", "-v", "/anonymous", "-v", "named:/named", "busybox:test", "sh", "-c",
            "head -c 50000 /dev/zero >/f; head -c 7000 /dev/zero >/named/g")
    return server


def rows(t, *flags):
    return {r["Type"]: r for r in map(json.loads, t.havre("system", "df", "--format", "json", *flags).out.splitlines())}


def test_df(t):
    """docker's table; shared layers once; what is active; details; nothing at all."""
    assert t.havre("system", "df").out.splitlines()[1].split() == ["Images", "0", "0", "0B", "0B"]
    server = filled(t)
    busybox = t.havre("images", "busybox", "--format", "{{.Size}}").out.strip()
    lines = t.havre("system", "df").out.splitlines()
    assert re.split(r"  +", lines[0]) == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"] and lines[0].index("TOTAL") == lines[1].index("3")
    assert [line.split("  ")[0] for line in lines[1:]] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    r = rows(t)
    assert (r["Images"]["TotalCount"], r["Images"]["Active"]) == ("3", "1") and r["Images"]["Reclaimable"].startswith("303kB ("), r
    assert (r["Containers"]["TotalCount"], r["Containers"]["Active"]) == ("1", "0") and r["Containers"]["Reclaimable"].endswith("(100%)")
    assert (r["Local Volumes"]["TotalCount"], r["Local Volumes"]["Active"], r["Local Volumes"]["Size"]) == ("2", "2", "7kB")
    assert r["Build Cache"] == {"Active": "0", "Reclaimable": "0B", "Size": "0B", "TotalCount": "0", "Type": "Build Cache"}
    details = t.havre("system", "df", "-v").out
    for heading in ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B",
                    "SHARED SIZE", "UNIQUE SIZE", "CONTAINER ID", "VOLUME NAME"):
        assert heading in details, heading
    [v1] = [line for line in details.splitlines() if re.search(r"/app +v1 ", line)]
    assert re.search(r" 301kB +300kB +1kB +0$", v1), v1
    [line] = [line for line in details.splitlines() if line.startswith("busybox")]
    assert re.search(rf" {busybox} +0B +{busybox} +1$", line), line
    whole = json.loads(t.havre("system", "df", "-v", "--format", "json").out)
    assert {i["Tag"] for i in whole["Images"]} == {"v1", "v2", "test"} and [v["Links"] for v in whole["Volumes"]] == ["1", "1"]
    assert t.havre("system", "df", "--format", "{{.Type}}={{.TotalCount}}").out.splitlines()[0] == "Images=3"
    tty = t.terminal(t.havre_args("system", "df"))
    tty.expect("Images +3 +1 .*█")
    tty.wait()
    del server


def test_prune_images(t):
    """Dangling ones, then all unused ones; the question; filters; docker's words; the space is given back."""
    server = filled(t)
    name = f"{server.host}/app"
    assert t.havre("image", "prune", "-f").out == "Total reclaimed space: 0B\n"
    asked = t.havre("image", "prune", "-a", input="n\n")
    assert asked.out == ("WARNING! This will remove all images without at least one container associated to them.\n"
                         "Are you sure you want to continue? [y/N] ")
    assert t.havre("image", "prune", input="").out.startswith("WARNING! This will remove all dangling images.\n")
    assert len(t.havre("images", "-q").out.split()) == 3
    assert t.havre("image", "prune", "-af", "--filter", "until=2000-01-01").out == "Total reclaimed space: 0B\n"
    assert t.havre("image", "prune", "-af", "--filter", "label=none").out == "Total reclaimed space: 0B\n"
    r = t.havre("image", "prune", "-f", "--filter", "color=red", check=False)
    assert r.rc == 1 and 'filter "color" is unknown' in r.err
    image_id = t.havre("images", "--no-trunc", "-q", f"{name}:v1").out.strip()
    out = t.havre("image", "prune", "-a", input="y\n").out
    assert f"Deleted Images:\n" in out and f"untagged: {name}:v1\n" in out and f"deleted: {image_id}\n" in out, out
    assert re.search(r"\n\nTotal reclaimed space: 6\d\dkB\n$", out), out  # blobs and files
    assert t.havre("images", "-q", "--format", "{{.Repository}}").out == "busybox\n"
    assert len(os.listdir(t.root / "images/layers")) == 1 and t.havre("system", "check").rc == 0


def test_prune_beside_a_pull(t):
    """While an image is being added, its blobs stay; what is unused goes, and its space with the next prune."""
    server = filled(t)
    being_added = t.root / "images/blobs/sha256" / ("a" * 64)
    being_added.write_bytes(b"being added")
    with open(t.root / "images/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        r = t.havre("image", "prune", "-af")
        assert "untagged: " in r.out and "Total reclaimed space: 0B" in r.out and "given back by the next prune" in r.err, r
    assert being_added.exists() and len(os.listdir(t.root / "images/layers")) == 4
    assert re.search(r"Total reclaimed space: 6\d\dkB", t.havre("image", "prune", "-f").out)
    assert not being_added.exists() and len(os.listdir(t.root / "images/layers")) == 1
    del server


def test_prune_containers(t):
    """Stopped ones go, running ones stay; labels and until choose."""
    t.busybox_image()
    for name, label in (("one", "a=1"), ("two", "a=2"), ("six", "b")):
        t.havre("create", "--name", name, "--label", label, "busybox:test", "true")
    t.havre("run", "-d", "--name", "runs", "--network", "none", "busybox:test", "sleep", "1000")
    ids = {n: t.havre("inspect", "-f", "{{.Id}}", n).out.strip() for n in ("one", "two", "six")}
    assert t.havre("container", "prune", input="").out.startswith("WARNING! This will remove all stopped containers.\n")
    assert t.havre("container", "prune", "-f", "--filter", "until=1h").out == "Total reclaimed space: 0B\n"
    assert t.havre("container", "prune", "-f", "--filter", "label=a=1").out.startswith(f"Deleted Containers:\n{ids['one']}\n\nTotal")
    assert ids["six"] in t.havre("container", "prune", "-f", "--filter", "label!=a").out
    assert t.havre("ps", "-a", "--format", "{{.Names}}").out.split() == ["runs", "two"]
    assert ids["two"] in t.havre("container", "prune", "-f").out and t.havre("ps", "-aq").out.count("\n") == 1
    t.havre("rm", "-f", "runs")


def test_prune_volumes_and_system(t):
    """Anonymous volumes that nobody has, named ones with --all; system prune does all in one."""
    server = filled(t)
    volumes = t.root / "volumes"
    assert t.havre("volume", "prune", "-f").out == "Total reclaimed space: 0B\n" and len(os.listdir(volumes)) == 2
    asked = t.havre("system", "prune", "-a", "--volumes", input="no\n").out
    assert asked == ("WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all anonymous volumes not used by at least one container\n"
                     "  - all images without at least one container associated to them\n\nAre you sure you want to continue? [y/N] "), asked
    out = t.havre("system", "prune", "-a", "--volumes", "-f").out
    assert out.index("Deleted Containers:") < out.index("Deleted Volumes:") < out.index("Deleted Images:"), out
    assert os.listdir(volumes) == ["named"] and t.havre("images", "-q").out == "" and t.havre("ps", "-aq").out == ""
    assert t.havre("volume", "prune", "-f").out == "Total reclaimed space: 0B\n"
    assert t.havre("volume", "prune", "-af").out == "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 7kB\n"
    assert os.listdir(volumes) == []
    r = t.havre("system", "prune", "-f", "--volumes", "--filter", "until=1h", check=False)
    assert r.rc == 1 and "volumes have no date" in r.err
    del server


def test_history(t):
    """docker's columns, newest first; sizes from the layers; ids, raw numbers, whole texts, templates."""
    t.busybox_image()
    server = FaultServer(t)
    long = "RUN " + "x" * 100 + "\tnext\x1b[31m"
    server.add_image("app", "v1", [{"base": b"0" * 300_000}, {"a": b"1" * 1000}], history=[
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD base"},
        {"created": "2024-01-02T00:00:00Z", "created_by": "ENV a=b", "empty_layer": True, "comment": "nothing"},
        {"created": "2024-01-03T00:00:00Z", "created_by": long}])
    name = f"{server.host}/app:v1"
    t.havre("pull", "-q", name)
    lines = t.havre("history", name).out.splitlines()
    assert re.split(r"  +", lines[0].strip()) == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], lines
    image_id = t.havre("images", "--no-trunc", "-q", name).out.strip()
    assert lines[1].startswith(image_id[7:19]) and "RUN " + "x" * 40 + "…" in lines[1] and " 1kB" in lines[1], lines[1]
    assert lines[2].startswith("<missing>") and " 0B " in lines[2] and lines[2].endswith("nothing") and " 300kB" in lines[3]
    assert t.havre("history", "-q", name).out.split() == [image_id[7:19], "<missing>", "<missing>"]
    raw = t.havre("image", "history", "--no-trunc", "--human=false", "--format", "{{.ID}} {{.CreatedSince}} {{.Size}} {{.CreatedBy}}", name).out
    assert raw.splitlines()[0] == f"{image_id} 2024-01-03T00:00:00Z 1000 RUN " + "x" * 100 + " next?[31m", raw
    one = json.loads(t.havre("history", "--format", "json", name).out.splitlines()[2])
    assert one["CreatedBy"] == "ADD base" and one["ID"] == "<missing>" and one["CreatedAt"] == "2024-01-01T00:00:00Z"
    assert t.havre("history", "none:such", check=False).rc == 1


def test_tree(t):
    """An image's layers, whose tops they are, and who stands on it."""
    server = FaultServer(t)
    base = b"0" * 300_000
    server.add_image("base", "v1", [{"base": base}])
    server.add_image("app", "v1", [{"base": base}, {"a": b"1" * 1000}])
    for n in ("base", "app"):
        t.havre("pull", "-q", f"{server.host}/{n}:v1")
    lines = t.havre("image", "tree", f"{server.host}/app:v1").out.splitlines()
    assert lines[1] == f"Tags:     [{server.host}/app:v1]" and lines[2] == "Size:     301kB" and lines[3] == "Image Layers"
    assert re.fullmatch(rf"├── ID: \w{{12}} Size: +300kB Top Layer of: \[{server.host}/base:v1\]", lines[4]), lines
    assert re.fullmatch(rf"└── ID: \w{{12}} Size: +1kB Top Layer of: \[{server.host}/app:v1\]", lines[5]), lines
    assert f"Layers above: 1 {server.host}/app:v1" in t.havre("image", "tree", "--whatrequires", f"{server.host}/base:v1").out


def many_images(t, n):
    """Rows of n images of eight layers, three of them common to all: as recording makes them."""
    t.busybox_image()

    def digest(text):
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    db = sqlite3.connect(t.root / "images/store.db")
    config = db.execute("SELECT config FROM images").fetchone()[0]
    for i in range(n):
        chains = [digest(f"layer {k if k < 3 else (i, k)}") for k in range(8)]
        for k, chain in enumerate(chains):
            db.execute("INSERT OR IGNORE INTO layers VALUES(?,?,?,?,?)", (chain, digest(f"diff {chain}"), chains[k - 1] if k else None, chain[7:], 1000))
        image, manifest = digest(f"image {i}"), digest(f"manifest {i}")
        db.execute("INSERT INTO images VALUES(?,?,?,?,?,?,'linux','amd64','',?,?,?)",
                   (image, manifest, manifest, chains[-1], i * 10**9, 8000, " ".join(chains), " ".join(map(digest, chains)), config))
        db.execute("INSERT INTO names VALUES(?,0,?,?,?,0)", (f"docker.io/library/many:{i}", image, manifest, manifest))
        db.execute("INSERT INTO manifests VALUES(?,'application/vnd.oci.image.manifest.v1+json',1)", (manifest,))
    db.commit()
    db.close()


def processor_ms(arguments):
    """What a program takes of the processor, without what waits for others: the best of many runs."""
    best = float("inf")
    for _ in range(40):
        pid = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        best = min(best, (usage.ru_utime + usage.ru_stime) * 1000)
    return best


def test_thousand_images(t):
    """images and system df with 1,000 images stay cheap. The goal is 20 ms (bench/ measures it); the limit here is five times that, so that
    a slow or a busy machine is no failure and work that grows with the square of the images, or a file read for each, still is one."""
    many_images(t, 1000)
    assert t.havre("images").out.count("many") == 1000
    assert rows(t)["Images"]["TotalCount"] == "1001"
    assert rows(t)["Images"]["Size"].startswith("6.")  # 3 common and 5,000 layers of 1,000 bytes, and busybox
    for command in (("images",), ("system", "df")):
        took = processor_ms([str(a) for a in t.havre_args(*command)])
        assert took < 100, f"{command}: {took:.1f} ms"


test_thousand_images.alone = True
test_thousand_images.asan = False
