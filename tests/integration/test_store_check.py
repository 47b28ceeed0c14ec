# SPDX-License-Identifier: Apache-2.0
"""havre system check: every kind of damage is found, said, and repaired where it can be; damaged content is noticed where it is read."""

import json
import os
import shutil
import sqlite3

from registry_fixture import FaultServer
from test_storage_erofs import erofs, need_erofs

VM = False


def check(t, *flags, rc=0):
    r = t.havre("system", "check", "--format", "json", *flags, check=False)
    assert r.rc == rc, r
    return json.loads(r.out)


def problems(t, *flags, rc=1):
    return [(p["Object"], p["Problem"], p["Outcome"]) for p in check(t, *flags, rc=rc)["Problems"]]


def images(t):
    return t.root / "images"


def flip(path):
    """Another byte, the same size."""
    with open(path, "r+b") as f:
        f.seek(path.stat().st_size // 2)
        b = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([b[0] ^ 1]))


def pulled(t):
    """Two images with a common layer; returns the server and their names."""
    server = FaultServer(t)
    server.add_image("app", "v1", [{"base": os.urandom(200_000)}, {"a": b"1" * 5000}])
    name = f"{server.host}/app:v1"
    t.havre("pull", name)
    return server, name


def blob_of(t, name, which):
    """Path of an image's "manifest", "config" or layer number."""
    blobs = images(t) / "blobs/sha256"
    index = json.loads((images(t) / "index.json").read_text())
    [digest] = [m["digest"] for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"].endswith(name)]
    manifest = blobs / digest[7:]
    if which == "manifest":
        return manifest
    document = json.loads(manifest.read_text())
    d = document["config"] if which == "config" else document["layers"][which]
    return blobs / d["digest"][7:]


def test_nothing_wrong(t):
    """A store that was never used, an empty one and a full one are well; the text says what was looked at."""
    assert check(t)["Healthy"] is True
    t.busybox_image()
    t.havre("create", "--name", "cc", "busybox:test", "true")
    report = check(t)
    assert report["Healthy"] is True and report["Problems"] == [] and (report["Images"], report["Layers"], report["Snapshots"]) == (1, 1, 1)
    assert report["Blobs"] == 3 and report["BytesRead"] > 100_000
    out = t.havre("system", "check").out
    assert out.startswith("Looked at 1 image, 3 blobs, 1 layer and 1 snapshot (") and out.endswith("Nothing is wrong.\n"), out
    assert "at sizes only" in t.havre("system", "check", "--quick").out
    assert check(t, "--repair")["Problems"] == [] and t.havre("start", "-a", "cc").rc == 0


def test_damaged_layer_blob(t):
    """A layer blob with other bytes: found by its digest, by its size with --quick; save names it; repair removes it; pull fetches it again."""
    server, name = pulled(t)
    blob = blob_of(t, name, 0)
    flip(blob)
    assert check(t, "--quick")["Healthy"] is True
    r = t.havre("save", "-o", t.tmp / "x.tar", name, check=False)
    assert r.rc == 1 and f"blob sha256:{blob.name} " in r.err and "havre system check --repair" in r.err, r
    found = problems(t)
    assert found == [(f"blob sha256:{blob.name} of {name}", "its bytes have another digest", "lost")], found
    assert blob.exists()
    report = check(t, "--repair", rc=1)
    assert f"havre pull {name}" in report["Problems"][0]["Remedy"] and not blob.exists()
    assert problems(t)[0][1] == "is missing"
    t.havre("pull", name)
    assert check(t)["Healthy"] is True and blob.exists()
    os.truncate(blob, 10)
    assert "has 10 bytes instead of" in problems(t, "--quick")[0][1]
    t.havre("pull", name)  # without any check
    assert check(t)["Healthy"] is True


def test_damaged_documents(t):
    """The manifest is fetched again by the next pull; the config is made again from the database."""
    server, name = pulled(t)
    config, manifest = blob_of(t, name, "config"), blob_of(t, name, "manifest")
    flip(config)
    assert problems(t) == [(f"blob sha256:{config.name} of {name}", "its bytes have another digest", "found")]
    assert problems(t, "--repair", rc=0)[0][2] == "repaired"
    assert check(t)["Healthy"] is True
    flip(manifest)
    assert problems(t)[0][2] == "lost"
    t.havre("pull", name)
    assert check(t)["Healthy"] is True


def test_damaged_blob_before_it_is_applied(t):
    """What an earlier pull left and the disk damaged is fetched again by the pull that meets it, whatever it is."""
    server, name = pulled(t)
    for which in (0, 1, "config", "manifest"):
        kept = blob_of(t, name, which)
        data = kept.read_bytes()
        t.havre("rmi", name)
        kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        t.havre("pull", name)
        assert check(t)["Healthy"] is True, which


def test_missing_layer(t):
    """A layer's directory that is gone: run and create name it; repair unpacks it again; without its blob, pull does."""
    server, name = pulled(t)
    t.havre("create", "--name", "cc", name, "/none")
    for number, top in enumerate(sorted((images(t) / "layers").iterdir())):
        shutil.rmtree(top)
        r = t.havre("start", "cc", check=False)
        assert f"layer sha256:{top.name} is missing on the disk: run havre system check --repair" in r.err, r
        assert problems(t) == [(f"layer sha256:{top.name} of {name}", "is missing", "found")]
        assert problems(t, "--repair", rc=0)[0][2] == "repaired" and top.is_dir()
        assert check(t)["Healthy"] is True
    for layer in (images(t) / "layers").iterdir():
        shutil.rmtree(layer)
    for n in (0, 1):
        blob_of(t, name, n).unlink()
    assert {p[2] for p in problems(t, "--repair")} == {"lost"}
    t.havre("pull", name)
    assert check(t)["Healthy"] is True


def test_erofs_layers(t):
    """A tar with other bytes, one that is gone, a missing index and a missing root are found and made again; the image runs."""
    need_erofs(t)
    erofs(t, "load", "-i", t.busybox_archive())
    [layer] = (images(t) / "layers").iterdir()

    def damaged_in(how, words):
        how()
        [(what, problem, outcome)] = problems(t)
        assert layer.name[:64] in what and words in problem and outcome == "found", (what, problem)
        assert [p[2] for p in problems(t, "--repair", rc=0)] == ["repaired"]
        assert check(t)["Healthy"] is True
        assert t.havre("run", "--rm", "--network", "none", "busybox:test", "echo", "well").out == "well\n"

    damaged_in(lambda: flip(layer / "tar"), "its tar has another digest")
    damaged_in(lambda: (layer / "tar").unlink(), "its tar is missing")
    damaged_in(lambda: shutil.rmtree(layer), "is missing")
    damaged_in((layer / "index").unlink, "is missing")
    damaged_in((layer / "root").rmdir, "is missing")
    assert sorted(os.listdir(layer)) == ["index", "root", "tar"]
    (layer / "tar").unlink()
    r = t.havre("run", "--rm", "busybox:test", "true", check=False)
    assert r.rc == 125 and f"layer sha256:{layer.name[:64]} is missing on the disk" in r.err, r


def test_leftovers(t):
    """What killed commands left, files of nobody, names of nobody and a foreign index.json: removed and written anew."""
    server, name = pulled(t)
    root = images(t)
    (root / "ingest/layer-0123456789abcdef/x").mkdir(parents=True)
    (root / "ingest/sha256-" / "..").parent.mkdir()
    (root / "ingest/blob-1").write_bytes(b"x")
    os.utime(root / "ingest/blob-1", (1, 1))
    (root / f"ingest/sha256-{'a' * 64}").write_bytes(b"to be continued")
    (root / f"blobs/sha256/{'b' * 64}").write_bytes(b"of nobody")
    (root / f"layers/{'c' * 64}").mkdir()
    (root / "index.json").write_text("{}")
    (root / "blobs/sha512").rmdir()
    with sqlite3.connect(root / "store.db") as db:
        db.execute("INSERT INTO names VALUES('docker.io/library/none:x', 0, 'sha256:0', 'sha256:1', 'sha256:1', 0)")
    db.close()
    wanted = {"leftover ingest/layer-0123456789abcdef", "leftover ingest/sha256-", "leftover ingest/blob-1",
              f"leftover blobs/sha256/{'b' * 64}", f"leftover layers/{'c' * 64}", "file index.json", "directory blobs/sha512",
              "name docker.io/library/none:x"}
    assert {p[0] for p in problems(t)} == wanted and {p[2] for p in problems(t)} == {"found"}
    repaired = problems(t, "--repair", rc=0)
    assert {p[0] for p in repaired} == wanted and {p[2] for p in repaired} == {"repaired"}
    assert check(t)["Healthy"] is True
    assert os.listdir(root / "ingest") == [f"sha256-{'a' * 64}"], "an unfinished download may be continued"
    assert name in t.havre("images", "--format", "{{.Repository}}:{{.Tag}}").out


def test_snapshots(t):
    """Snapshots without a container go, half removed ones too; one that lost its row gets it back; one that lost its files is said to have."""
    t.busybox_image()
    for c in ("kept", "gone"):
        t.havre("create", "--name", c, "busybox:test", "true")
    kept, gone = (t.havre("inspect", "-f", "{{.Id}}", c).out.strip() for c in ("kept", "gone"))
    (images(t) / "snapshots" / ("d" * 64) / "upper").mkdir(parents=True)
    with sqlite3.connect(t.root / "engine.db") as db:
        db.execute("DELETE FROM containers WHERE id=?", [gone])
    db.close()
    with sqlite3.connect(images(t) / "store.db") as db:
        db.execute("DELETE FROM snapshots WHERE key=?", [kept])
    db.close()
    assert sorted(problems(t)) == sorted([(f"snapshot {gone}", "belongs to no container", "found"),
                                          (f"snapshot {'d' * 64}", "is half removed", "found"),
                                          (f"snapshot {kept}", "is not in the database", "found")])
    assert {p[2] for p in problems(t, "--repair", rc=0)} == {"repaired"}
    assert check(t)["Healthy"] is True and os.listdir(images(t) / "snapshots") == [kept]
    assert t.havre("start", "-a", "kept").rc == 0
    shutil.rmtree(images(t) / "snapshots" / kept)
    [(what, problem, outcome)] = problems(t, "--repair")
    assert what == f"snapshot {kept}" and problem == "its files are missing" and outcome == "lost"
    t.havre("rm", "kept")
    assert check(t)["Healthy"] is True


def damage_database(t, how):
    root = images(t)
    for p in root.glob("store.db*"):
        if how == "missing":
            p.unlink()
        elif how == "garbage":
            p.write_bytes(b"this is not a database " * 300)
        elif how == "empty":
            p.write_bytes(b"")
    if how == "page":
        with sqlite3.connect(root / "store.db") as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        with open(root / "store.db", "r+b") as f:
            f.seek(4096)
            f.write(b"\x99" * 4096)


def test_database(t):
    """A database that is gone, empty, no database, or has a bad page is made again: names, images, layers and snapshots."""
    server, name = pulled(t)
    t.busybox_image()
    t.havre("tag", name, "other:x")
    t.havre("create", "--name", "cc", "busybox:test", "echo", "well")
    before = t.havre("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedAt}}").out
    layers = {p: p.stat().st_ino for p in (images(t) / "layers").iterdir()}
    for how in ("missing", "garbage", "empty", "page"):
        damage_database(t, how)
        report = check(t, rc=1)
        assert report["Problems"][0]["Object"] == "database store.db" and report["Problems"][0]["Outcome"] == "found", (how, report)
        report = check(t, "--repair", rc=0)
        assert report["Problems"], how
        assert t.havre("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedAt}}").out == before, how
        assert check(t)["Healthy"] is True, how
        assert t.havre("start", "-a", "cc").out == "well\n", how
        assert {p: p.stat().st_ino for p in (images(t) / "layers").iterdir()} == layers, "layers are taken over as they are"


def test_database_without_index(t):
    """With neither database nor index.json the images come back without names; an image that cannot be brought back is named."""
    server, name = pulled(t)
    t.busybox_image()
    damage_database(t, "garbage")
    blob_of(t, name, "config").unlink()
    report = check(t, "--repair", rc=1)
    assert [p["Object"] for p in report["Problems"] if p["Outcome"] == "lost"] == [f"image {name}"], report
    assert "busybox:test" in t.havre("images", "--format", "{{.Repository}}:{{.Tag}}").out
    damage_database(t, "garbage")
    (images(t) / "index.json").write_text("[]")
    report = check(t, "--repair", rc=1)
    assert any(p["Object"] == "names of images" for p in report["Problems"])
    assert t.havre("images", "--format", "{{.Repository}}").out == "<none>\n"


def test_while_adding(t):
    """While an image is being added, repair waits for another time and looking says nothing of leftovers."""
    import fcntl
    pulled(t)
    (images(t) / "blobs/sha256" / ("b" * 64)).write_bytes(b"being added")
    with open(images(t) / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        report = check(t)
        assert report["Healthy"] is True and report["LeftoversSkipped"] is True
        assert "leftovers were not looked for" in t.havre("system", "check").out
        r = t.havre("system", "check", "-r", check=False)
        assert r.rc == 1 and "repair when that is done" in r.err, r
    assert problems(t)[0][0] == f"leftover blobs/sha256/{'b' * 64}"
