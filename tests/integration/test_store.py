# SPDX-License-Identifier: Apache-2.0
"""The image store: names, removal in docker's words, a store that cannot be written, many commands at once."""

import json
import os
import re

from registry_fixture import FaultServer
from test_pull import Store


def filled(t):
    """A store with app:v1 (two layers), app:v2 (the same lower layer), and the server they came from."""
    server, store = FaultServer(t), Store(t)
    server.add_image("app", "v1", [{"base": b"0" * 100_000}, {"a": b"1"}])
    server.add_image("app", "v2", [{"base": b"0" * 100_000}, {"a": b"2"}], author="two")
    for tag in ("v1", "v2"):
        store.pull(f"{server.host}/app:{tag}")
    return server, store


def index_names(store):
    index = json.loads((store.root / "index.json").read_text())
    return sorted(m.get("annotations", {}).get("org.opencontainers.image.ref.name", "") for m in index["manifests"])


def test_tag_find_remove(t):
    """Tagging, finding by every kind of name, removing in docker's words; index.json follows."""
    server, store = filled(t)
    name = f"{server.host}/app:v1"
    store("tag", name, "other/name:x")
    assert index_names(store) == sorted([name, f"{server.host}/app:v2", "docker.io/other/name:x"])
    found = store("find", "other/name:x").out
    image_id = re.search(r"id=sha256:(\w+)", found).group(1)
    assert store("find", image_id[:12]).out == found and store("find", f"sha256:{image_id}").out == found
    r = store("rm", image_id[:12], check=False)
    assert f"conflict: unable to delete {image_id[:12]} (must be forced) - image is referenced in multiple repositories" in r.err
    assert store("rm", "other/name:x").out == "Untagged: other/name:x\n"
    lines = store("rm", name).out.splitlines()
    assert lines[0] == f"Untagged: {name}" and lines[1].startswith(f"Untagged: {server.host}/app@sha256:")
    assert lines[2] == f"Deleted: sha256:{image_id}" and lines[3].startswith("Deleted: sha256:") and len(lines) == 4, lines
    assert index_names(store) == [f"{server.host}/app:v2"]
    assert "no such image" in store("rm", name, check=False).err
    store("rm", f"{server.host}/app:v2")
    assert list((store.root / "blobs/sha256").iterdir()) == [] and list((store.root / "layers").iterdir()) == []
    assert store("list").out == ""


def test_force_by_id(t):
    """With force an id takes all names with it."""
    server, store = filled(t)
    store("tag", f"{server.host}/app:v1", "x")
    store("tag", f"{server.host}/app:v1", "y/z:1")
    image_id = re.search(r"id=sha256:(\w+)", store("find", "x").out).group(1)
    out = store("rm", "-f", image_id).out
    assert out.count("Untagged: ") == 4 and f"Deleted: sha256:{image_id}" in out


def test_read_only_store(t):
    """A store on a read-only file system can be read; writing says why it cannot."""
    if os.geteuid() != 0:
        t.skip("mounting needs root")
    server, store = filled(t)
    t.run(["mount", "--bind", store.root, store.root])
    t.defer(t.run, ["umount", store.root])
    t.run(["mount", "-o", "remount,bind,ro", store.root])
    assert store("list").out.count("id=") == 2
    assert "config=" in store("find", f"{server.host}/app:v1").out
    for command in (("rm", f"{server.host}/app:v1"), ("tag", f"{server.host}/app:v1", "x"), ("collect",),
                    ("pull", f"{server.host}/app:v9")):
        r = store(*command, check=False)
        assert r.rc == 1 and "permission: " in r.err and f"image store {store.root} cannot be written to" in r.err, r


def test_store_cannot_be_made(t):
    """A root below a file, and a database that is none, are said to be so."""
    store = Store(t)
    (t.tmp / "file").write_text("")
    store.root = t.tmp / "file/store"
    r = store("list", check=False)
    assert r.rc == 1 and str(store.root) in r.err, r
    store.root = t.tmp / "damaged"
    store("list")
    for p in store.root.glob("store.db*"):
        p.write_bytes(b"this is not a database, whatever its name says" * 100)
    r = store("list", check=False)
    assert r.rc == 1 and "corrupt: " in r.err and str(store.root) in r.err, r


def test_many_writers(t):
    """Pulls, tags, removals and collections at once: every command succeeds or says why not, and the store stays whole."""
    server, store = filled(t)
    for n in range(4):
        server.add_image(f"many{n}", "v1", [{"base": b"0" * 100_000}, {"n": str(n).encode()}])
    processes = []
    for n in range(4):
        processes.append(store.start("pull", f"{server.host}/many{n}:v1", stdout=-1, stderr=-1))
        processes.append(store.start("tag", f"{server.host}/app:v2", f"name{n}", stdout=-1, stderr=-1))
        processes.append(store.start("collect", stdout=-1, stderr=-1))
    processes.append(store.start("rm", f"{server.host}/app:v1", stdout=-1, stderr=-1))
    for p in processes:
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0 or b"error: busy: " in err, err
    listed = store("list").out
    assert all(f"name={server.host}/many{n}:v1" in listed for n in range(4)), listed
    assert all(f"docker.io/library/name{n}:latest" in listed for n in range(4))
    store("collect")
    layers = {p.name for p in (store.root / "layers").iterdir()}
    assert len(layers) == 6  # base, app:v2's, four
    for n in range(4):
        t.run(["skopeo", "inspect", "--raw", f"oci:{store.root}:{server.host}/many{n}:v1"])


def test_crash_anywhere(t):
    """Killed at its N-th change, pull leaves a store that the next pull completes and a removal empties."""
    killpoint = t.build / "tests/tools/killpoint"
    if not killpoint.exists():
        t.skip("killpoint is not built")
    server = FaultServer(t)
    server.add_image("app", "v1", [{"a": b"1" * 1000}, {"b": b"2"}])
    name = f"{server.host}/app:v1"
    for n in list(range(1, 60, 4)) + list(range(60, 240, 20)):
        store = Store(t, f"store{n}")
        t.run([killpoint, str(n), store.tool, store.root, "pull", name], env=store.env, check=False)
        store.pull(name)
        assert "layers=2" in store("find", name).out
        store("rm", name)
        store("collect")
        assert store.ingest() == [] and list((store.root / "layers").iterdir()) == []
        assert list((store.root / "blobs/sha256").iterdir()) == []


test_crash_anywhere.timeout = 300
