# SPDX-License-Identifier: Apache-2.0
"""image copy, inspect of places, list-tags, delete: the same copy made by skopeo and by us, and what goes wrong."""

import base64
import json
import os
import re
import tarfile
import urllib.request
from pathlib import Path

from registry_fixture import (OCI_INDEX, OCI_MANIFEST, Answer, FaultServer, PushServer, busybox_layout, digest_of, fails, havre, make_image,
                              start_registry)

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, "application/vnd.docker.distribution.manifest.v2+json")
PLAIN = {"src": "--src-tls-verify=false", "dest": "--dest-tls-verify=false"}


def copy(t, *args, **kw):
    return havre(t, "image", "copy", *args, **kw)


def skopeo_copy(t, source, destination, *flags):
    if source.startswith("docker://"):
        flags = (PLAIN["src"], *flags)
    if destination.startswith("docker://"):
        flags = (PLAIN["dest"], *flags)
    return t.run(["skopeo", "--insecure-policy", "copy", *flags, source, destination])


def raw(t, place):
    kind, _, rest = place.partition(":")
    path = Path(rest.split(":")[0])
    if kind == "dir":
        return (path / "manifest.json").read_bytes()
    if kind == "oci":
        entries = json.loads((path / "index.json").read_text())["manifests"]
        name = rest.partition(":")[2]
        [digest] = [e["digest"] for e in entries if not name or e.get("annotations", {}).get("org.opencontainers.image.ref.name") == name]
        return (path / "blobs" / digest.replace(":", "/")).read_bytes()
    if kind == "docker":
        host, _, name = rest[2:].partition("/")
        name, _, tag = name.partition(":")
        request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", headers={"Accept": ", ".join(TYPES)})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()
    return t.run(["skopeo", "inspect", "--raw", place], text=False).out


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def small_image(t, registry, name="app:v1", arch=None, files=None, **config):
    """A small image in the registry, made here; its manifest."""
    if arch:
        config["architecture"] = arch
    blobs, manifest = make_image(files or [{"a": b"1" * 5000}, {"b": b"2" * 3000}], **config)
    layout = t.tmp / f"made{t.id()[-6:]}"
    (layout / "blobs/sha256").mkdir(parents=True)
    for data in [*blobs.values(), manifest]:
        (layout / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}]}))
    if registry:
        copy(t, "-q", f"oci:{layout}", f"docker://{registry.host}/{name}")
    return layout, manifest


CONFIG = {"author": "me <x&y>", "variant": "v3", "created": "2024-01-01T00:00:00.120Z",
          "config": {"Env": ["A=<b>&c"], "Labels": {"z": "1", "a": "2"}, "ExposedPorts": {"80/tcp": {}}, "User": "1", "Cmd": ["x"],
                     "Healthcheck": {"Test": ["NONE"]}, "OnBuild": ["RUN x"]},
          "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "a && b"}, {"created_by": "c", "empty_layer": True}, {"comment": "d"}]}


def test_copy_as_skopeo(t):
    """From a registry to each kind of file, and from there back: byte for byte what skopeo makes of it, in either format."""
    registry = start_registry(t)
    layout, manifest = small_image(t, registry, **CONFIG)
    remote = f"docker://{registry.host}/app"
    skopeo_copy(t, f"oci:{layout}", f"{remote}:docker", "-q", "-f", "v2s2")
    copy(t, "-q", f"oci:{layout}", f"{remote}:ours")
    assert raw(t, f"{remote}:ours") == manifest
    copy(t, "-q", "--format", "v2s2", f"oci:{layout}", f"{remote}:ours")
    assert raw(t, f"{remote}:ours") == raw(t, f"{remote}:docker")
    for tag in ("v1", "docker"):
        a, b = t.tmp / f"a{tag}", t.tmp / f"b{tag}"
        a.mkdir(), b.mkdir()
        for kind, name in (("dir", ""), ("docker-archive", ":some/name:y"), *([("oci", ":x"), ("oci-archive", ":x")] if tag == "docker" else [])):
            r = copy(t, f"{remote}:{tag}", f"{kind}:{a}/{kind}{name}")
            s = skopeo_copy(t, f"{remote}:{tag}", f"{kind}:{b}/{kind}{name}")
            assert sorted(r.out.splitlines()) == sorted(s.out.splitlines()), (r, s)
            if kind in ("dir", "oci"):
                ours, theirs = tree(a / kind), tree(b / kind)
                assert ours.pop("oci-layout", b"").replace(b" ", b"") == theirs.pop("oci-layout", b"").replace(b" ", b"")
                assert ours == theirs, (kind, tag)
            elif kind == "oci-archive":
                with tarfile.open(a / kind) as x, tarfile.open(b / kind) as y:
                    assert {m.name for m in x} == {m.name for m in y}
            assert raw(t, f"{kind}:{a}/{kind}") == raw(t, f"{kind}:{b}/{kind}"), kind
            if "archive" not in kind:
                continue
            # and what skopeo wrote is read the same
            copy(t, "-q", f"{kind}:{b}/{kind}", f"dir:{a}/from")
            skopeo_copy(t, f"{kind}:{b}/{kind}", f"dir:{b}/from", "-q")
            assert tree(a / "from") == tree(b / "from"), kind


def test_copy_several_platforms(t):
    """An index: this machine's image, all of them, some of them, the index alone; formats change inside it as skopeo changes them."""
    registry = start_registry(t)
    remote = f"docker://{registry.host}/multi"
    parts = []
    for arch in ("amd64", "arm64", "s390x"):
        layout, manifest = small_image(t, registry, f"multi:{arch}", arch=arch, files=[{arch: b"x" * 999}])
        parts.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(manifest), "size": len(manifest),
                      "platform": {"architecture": arch, "os": "linux"}})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": parts}).encode()
    registry.put_manifest("multi", "all", index, OCI_INDEX)
    copy(t, "-q", "--override-arch", "s390x", f"{remote}:all", f"oci:{t.tmp}/one:x")
    assert digest_of(raw(t, f"oci:{t.tmp}/one:x")) == parts[2]["digest"]
    digest_file = t.tmp / "digest"
    r = copy(t, "--all", "--digestfile", digest_file, f"{remote}:all", f"oci:{t.tmp}/all:x")
    assert "Copying 3 of 3 images in list" in r.out and digest_file.read_text() == digest_of(index), r
    skopeo_copy(t, f"{remote}:all", f"oci:{t.tmp}/skopeo:x", "--all", "-q")
    ours, theirs = tree(t.tmp / "all"), tree(t.tmp / "skopeo")
    assert {k: v for k, v in ours.items() if "blobs" in k} == {k: v for k, v in theirs.items() if "blobs" in k}
    assert json.loads(ours["index.json"]) == json.loads(theirs["index.json"])
    copy(t, "-q", "--multi-arch", "all", f"oci:{t.tmp}/all:x", f"docker://{registry.host}/other:all")
    assert raw(t, f"docker://{registry.host}/other:all") == index
    copy(t, "-q", "-a", f"{remote}:all", f"dir:{t.tmp}/d1")
    skopeo_copy(t, f"{remote}:all", f"dir:{t.tmp}/d2", "-a", "-q")
    assert tree(t.tmp / "d1") == tree(t.tmp / "d2")
    copy(t, "-q", "--platform", "linux/arm64", f"{remote}:all", f"oci:{t.tmp}/some:x")
    assert not (t.tmp / "some/blobs/sha256" / parts[0]["digest"][7:]).exists() and (t.tmp / "some/blobs/sha256" / parts[1]["digest"][7:]).exists()
    copy(t, "-q", "--multi-arch", "index-only", f"{remote}:all", f"dir:{t.tmp}/index")
    assert set(tree(t.tmp / "index")) == {"manifest.json", "version"}
    copy(t, "-q", "-a", "-f", "v2s2", f"{remote}:all", f"{remote}:v2s2")
    skopeo_copy(t, f"{remote}:all", f"{remote}:v2s2-skopeo", "-a", "-f", "v2s2", "-q")
    assert json.loads(raw(t, f"{remote}:v2s2")) == json.loads(raw(t, f"{remote}:v2s2-skopeo")), (raw(t, f"{remote}:v2s2"), raw(t, f"{remote}:v2s2-skopeo"))
    fails(t, "image", "copy", "-a", "--preserve-digests", "-f", "v2s2", f"{remote}:all", f"{remote}:no", says="digests are to be preserved")
    fails(t, "image", "copy", "-a", f"{remote}:all", f"docker-archive:{t.tmp}/no.tar", says="several platforms")
    fails(t, "image", "copy", "--override-arch", "mips", f"{remote}:all", f"dir:{t.tmp}/no", says="no image for platform linux/mips")
    assert not (t.tmp / "no.tar").exists() and not (t.tmp / "no").exists()


def test_copy_compression(t):
    """Layers get the compression that is asked for, with the config untouched; skopeo and umoci read the result; the same input gives the same."""
    layout, _ = small_image(t, None)
    for flags, media_type in ((["--dest-compress-format", "zstd"], "tar+zstd"), (["--dest-compress-format", "zstd", "--dest-compress-level", "19"], "tar+zstd"),
                              (["--dest-compress-format", "gzip", "--dest-compress-level", "9"], "tar+gzip")):
        copy(t, "-q", *flags, f"oci:{layout}", f"oci:{t.tmp}/c1:x")
        copy(t, "-q", *flags, f"oci:{layout}", f"oci:{t.tmp}/c2:x")
        m = json.loads(raw(t, f"oci:{t.tmp}/c1:x"))
        assert raw(t, f"oci:{t.tmp}/c1:x") == raw(t, f"oci:{t.tmp}/c2:x")
        assert all(layer["mediaType"].endswith(media_type) for layer in m["layers"]), m
        assert m["config"]["digest"] == json.loads(raw(t, f"oci:{layout}"))["config"]["digest"]
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{t.tmp}/c1:x", f"docker-archive:{t.tmp}/check.tar"])
    copy(t, "-q", "--dest-decompress", f"oci:{t.tmp}/c1:x", f"dir:{t.tmp}/plain")
    m = json.loads((t.tmp / "plain/manifest.json").read_text())
    config = json.loads((t.tmp / "plain" / m["config"]["digest"][7:]).read_text())
    assert [layer["digest"] for layer in m["layers"]] == config["rootfs"]["diff_ids"], m
    assert all(layer["mediaType"].endswith(".tar") for layer in m["layers"]), m
    copy(t, "-q", "--dest-compress", f"dir:{t.tmp}/plain", f"dir:{t.tmp}/packed")
    assert all(layer["mediaType"].endswith("tar+gzip") for layer in json.loads((t.tmp / "packed/manifest.json").read_text())["layers"])
    fails(t, "image", "copy", "--dest-compress-format", "zstd:chunked", f"oci:{layout}", f"dir:{t.tmp}/no", says="zstd:chunked is not supported")
    fails(t, "image", "copy", "--dest-compress-format", "zstd", "-f", "v2s2", f"oci:{layout}", f"docker://127.0.0.1:1/x", says="127.0.0.1:1")
    fails(t, "image", "copy", "--preserve-digests", f"oci:{layout}", f"docker-archive:{t.tmp}/no.tar", says="preserved")


def test_copy_store(t):
    """havre's own store is a place: what is copied there runs, and comes out as it went in."""
    layout = busybox_layout(t, 2)
    copy(t, f"oci:{layout}:image", "store:from/layout:v1", "--additional-tag", "from/layout:v2")
    assert havre(t, "run", "--rm", "from/layout:v2", "cat", "/layer2").out.startswith("layer 2\n")
    copy(t, "-q", "store:from/layout:v1", f"oci:{t.tmp}/out:image")
    assert raw(t, f"oci:{t.tmp}/out:image") == raw(t, f"oci:{layout}:image")
    copy(t, "-q", "store:from/layout:v1", f"docker-archive:{t.tmp}/out.tar:again:v3")
    assert havre(t, "load", "-i", t.tmp / "out.tar").out == "Loaded image: again:v3\n"
    assert havre(t, "run", "--rm", "again:v3", "cat", "/layer2").out.startswith("layer 2\n")
    t.run(["umoci", "unpack", "--image", f"{t.tmp}/out:image", t.tmp / "bundle"])
    fails(t, "image", "copy", "store:none", f"dir:{t.tmp}/none", says="no such image")
    fails(t, "image", "copy", f"oci:{layout}:image", "store:", says="an image is missing")


def test_copy_credentials_and_tls(t):
    """A registry with TLS and passwords on either side: --dest-creds, --src-cert-dir, --authfile; without them it says what is missing."""
    registry = start_registry(t, tls=True, password=True)
    layout, manifest = small_image(t, None)
    certs = t.tmp / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes(registry.ca.read_bytes())
    place = f"docker://{registry.host}/app:v1"
    fails(t, "image", "copy", f"oci:{layout}", place, says="certificate")
    fails(t, "image", "copy", "--dest-cert-dir", certs, f"oci:{layout}", place, says="(?i)credentials|login")
    copy(t, "-q", "--dest-cert-dir", certs, "--dest-creds", "tester:se cret", f"oci:{layout}", place)
    auth = t.tmp / "auth.json"
    auth.write_text(json.dumps({"auths": {registry.host: {"auth": base64.b64encode(b"tester:se cret").decode()}}}))
    copy(t, "-q", "--src-cert-dir", certs, "--authfile", auth, place, f"dir:{t.tmp}/out")
    assert (t.tmp / "out/manifest.json").read_bytes() == manifest
    copy(t, "-q", "--src-tls-verify=false", "--src-username", "tester", "--src-password", "se cret", place, f"dir:{t.tmp}/out")
    fails(t, "image", "copy", "--src-no-creds", "--src-tls-verify=false", "--authfile", auth, place, f"dir:{t.tmp}/no", says="(?i)credentials|login")
    tags = json.loads(havre(t, "image", "list-tags", "--cert-dir", certs, "--authfile", auth, place[:-3]).out)
    assert tags == {"Repository": f"{registry.host}/app", "Tags": ["v1"]}


def test_copy_shared_blobs(t):
    """--dest-shared-blob-dir keeps the blobs of layouts beside them, --src-shared-blob-dir finds them there; skopeo does the same."""
    registry = start_registry(t)
    image = f"docker://{registry.push_busybox('app:v1', 2)}"
    shared, one, two = t.tmp / "shared", t.tmp / "one", t.tmp / "two"
    t.havre("image", "copy", "-q", "--dest-shared-blob-dir", shared, image, f"oci:{one}:v1")
    assert len(os.listdir(shared / "sha256")) == 4 and os.listdir(one / "blobs") == []
    t.havre("image", "copy", "-q", "--src-shared-blob-dir", shared, f"oci:{one}:v1", f"oci:{two}:v1")
    assert sorted(os.listdir(shared / "sha256")) == sorted(os.listdir(two / "blobs/sha256"))
    t.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-shared-blob-dir", shared, f"oci:{one}:v1", f"dir:{t.tmp}/three"])
    r = t.havre("image", "copy", "--src-shared-blob-dir", t.tmp / "none", f"oci:{one}:v1", f"oci:{two}:v2", check=False)
    assert r.rc == 1 and f"{t.tmp}/none" in r.err, r


def test_copy_refusals(t):
    """Unknown transports, missing images, wrong digests, destinations that refuse: named, and nothing is left behind."""
    layout, manifest = small_image(t, None)
    server = PushServer(t)
    server.add_image("app", "v1", [{"a": b"1"}])
    fails(t, "image", "copy", "nothing:x", f"dir:{t.tmp}/no", says="does not begin with a transport: docker://")
    fails(t, "image", "copy", "containers-storage:x", f"dir:{t.tmp}/no", says="store:NAME")
    fails(t, "image", "copy", f"docker://{server.host}/app:none", f"oci:{t.tmp}/no:x", says="app:none not found")
    fails(t, "image", "copy", f"oci:{layout}:name", f"dir:{t.tmp}/no", says="no image \"name\" in")
    fails(t, "image", "copy", f"oci:{t.tmp}/none", f"dir:{t.tmp}/no", says="cannot open image layout")
    (t.tmp / "text").write_text("text")
    fails(t, "image", "copy", f"docker-archive:{t.tmp}/text", f"dir:{t.tmp}/no", says="text")
    fails(t, "image", "copy", f"oci:{layout}", f"docker-archive:{t.tmp}/text", says="is there already")
    (t.tmp / "full").mkdir()
    (t.tmp / "full/file").write_text("mine")
    fails(t, "image", "copy", f"oci:{layout}", f"dir:{t.tmp}/full", says="not empty")
    assert (t.tmp / "full/file").read_text() == "mine"
    # a blob that is not what it says
    m = json.loads(manifest)
    blob = layout / "blobs/sha256" / m["layers"][0]["digest"][7:]
    good = blob.read_bytes()
    blob.write_bytes(good[:-1] + b"x")
    before = set(os.listdir(t.tmp))
    fails(t, "image", "copy", f"oci:{layout}", f"oci-archive:{t.tmp}/no.tar", says="has digest sha256:")
    fails(t, "image", "copy", f"oci:{layout}", f"docker://{server.host}/no:v1", says="has digest sha256:")
    assert set(os.listdir(t.tmp)) == before and ("no", "v1") not in server.manifests
    fails(t, "image", "copy", f"oci:{layout}", f"oci:{t.tmp}/lay:x", says="has digest sha256:")
    assert not (t.tmp / "lay/index.json").exists() and blob.name not in os.listdir(t.tmp / "lay/blobs/sha256") if (t.tmp / "lay/blobs").exists() else True
    blob.write_bytes(good)
    fails(t, "image", "copy", f"oci:{layout}", f"docker://{server.host}/app@sha256:{'0' * 64}", says="is to get the digest")
    # a manifest that is not what the registry says
    server.manifests["app", "v1"] = (server.manifests["app", "v1"][0], b"{}")
    fails(t, "image", "copy", f"docker://{server.host}/app:v1", f"dir:{t.tmp}/no", says="schemaVersion")


def test_inspect_places(t):
    """image inspect of a place has skopeo's fields with skopeo's values; --raw and --config are the bytes; templates work."""
    registry = start_registry(t)
    layout, manifest = small_image(t, registry, **CONFIG)
    small_image(t, registry, "app:v2", files=[{"z": b"1"}])
    place = f"docker://{registry.host}/app:v1"
    copy(t, "-q", place, f"docker-archive:{t.tmp}/a.tar:x/y:z")
    for p, flags in ((place, ["--tls-verify=false"]), (f"oci:{layout}", []), (f"docker-archive:{t.tmp}/a.tar", [])):
        theirs = json.loads(t.run(["skopeo", "inspect", *flags, p]).out)
        ours = json.loads(havre(t, "image", "inspect", p).out)
        assert {k: ours.get(k) for k in theirs} == {**theirs, "Created": CONFIG["created"]} and set(ours) - set(theirs) <= {"LayersData"}, (ours, theirs)
        assert [layer["Digest"] for layer in ours["LayersData"]] == theirs["Layers"]
        assert havre(t, "image", "inspect", "--raw", p, text=False).out == raw(t, p)
        assert havre(t, "image", "inspect", "--raw", "--config", p).out == t.run(["skopeo", "inspect", "--raw", "--config", *flags, p]).out
    assert havre(t, "image", "inspect", "--format", "{{.Name}} {{.Digest}} {{.Labels.z}}", place).out == f"{registry.host}/app {digest_of(manifest)} 1\n"
    assert json.loads(havre(t, "image", "inspect", "--config", place).out)["author"] == CONFIG["author"]
    assert json.loads(havre(t, "image", "inspect", "--no-tags", place).out)["RepoTags"] == []
    fails(t, "image", "inspect", "--raw", "debian", says="docker://debian")
    fails(t, "image", "inspect", f"docker://{registry.host}/none", says="not found")


def test_list_tags_and_delete(t):
    """All pages of tags; deleting names the other tags of the same digest, or refuses because of them."""
    registry = start_registry(t)
    small_image(t, registry, "app:v1")
    for tag in ("same", "other"):
        copy(t, "-q", f"docker://{registry.host}/app:v1", f"docker://{registry.host}/app:{tag}", *([] if tag == "same" else ["-f", "v2s2"]))
    place = f"docker://{registry.host}/app"
    fails(t, "image", "delete", "--only", f"{place}:v1", says="other tags, which would go with it: same")
    r = havre(t, "image", "delete", f"{place}:v1")
    assert "other tags, which go with it: same" in r.err, r
    assert json.loads(havre(t, "image", "list-tags", place).out) == {"Repository": f"{registry.host}/app", "Tags": ["other"]}
    fails(t, "image", "delete", f"{place}:v1", says="not found")
    fails(t, "image", "delete", f"dir:{t.tmp}", says="only a registry")

    def pages(request):
        if "/tags/list" not in request.path:
            return None
        n = int(request.path.split("last=")[1]) if "last=" in request.path else 0
        link = {"Link": f'</v2/app/tags/list?last={n + 1}>; rel="next"'} if n < 3 else {}
        return Answer(200, json.dumps({"name": "app", "tags": [f"t{n}a", f"t{n}b"]}).encode(), {"Content-Type": "application/json", **link})
    server = FaultServer(t, pages)
    tags = json.loads(havre(t, "image", "list-tags", f"docker://{server.host}/app").out)["Tags"]
    assert tags == [f"t{n}{c}" for n in range(4) for c in "ab"], tags


def test_copy_policy(t):
    """The signature policy is asked about the source before anything is at the destination, and can be set aside."""
    layout, manifest = small_image(t, None)
    policy = t.tmp / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}], "transports": {"oci": {"": [{"type": "reject"}]}}}))
    fails(t, "image", "copy", "--signature-policy", policy, f"oci:{layout}", f"dir:{t.tmp}/out", says="policy.json")
    assert not (t.tmp / "out").exists()
    copy(t, "-q", "--insecure-policy", "--signature-policy", policy, f"oci:{layout}", f"dir:{t.tmp}/out")
    copy(t, "-q", "--signature-policy", policy, f"dir:{t.tmp}/out", f"oci:{t.tmp}/again:x")
    assert raw(t, f"oci:{t.tmp}/again:x") == manifest


def test_copy_attachments(t):
    """--signatures: cosign's tags, what refers to the image, and what refers to that; the fallback tag lists them at the destination, once."""
    server = PushServer(t)
    manifest = server.add_image("app", "v1", [{"a": b"1"}])
    digest = digest_of(manifest)

    def artifact(subject, data, name=None):
        server.blobs[digest_of(data)] = data
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "example/sbom",
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
                    "layers": [{"mediaType": "example/data", "digest": digest_of(data), "size": len(data)}]}
        server.blobs[digest_of(b"{}")] = b"{}"
        if not name:
            document["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
        text = json.dumps(document).encode()
        server.manifests["app", digest_of(text)] = (OCI_MANIFEST, text)
        if name:
            server.manifests["app", name] = (OCI_MANIFEST, text)
        else:
            server.manifests["app", subject.replace(":", "-")] = (OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
                {"mediaType": OCI_MANIFEST, "digest": digest_of(text), "size": len(text), "artifactType": "example/sbom"}]}).encode())
        return digest_of(text)
    sig = artifact(digest, b"signature", digest.replace(":", "-") + ".sig")
    sbom = artifact(digest, b"sbom")
    about_sbom = artifact(sbom, b"signature of the sbom")
    registry = start_registry(t)
    target = f"docker://{registry.host}/copy"
    copy(t, "-q", f"docker://{server.host}/app:v1", f"{target}:v1")
    assert json.loads(havre(t, "image", "list-tags", target).out)["Tags"] == ["v1"]
    for _ in range(2):
        copy(t, "-q", "--signatures", f"docker://{server.host}/app:v1", f"{target}:v1")
    tag = digest.replace(":", "-")
    assert set(json.loads(havre(t, "image", "list-tags", target).out)["Tags"]) == {"v1", tag, tag + ".sig", sbom.replace(":", "-")}
    assert digest_of(raw(t, f"{target}:{tag}.sig")) == sig
    assert [m["digest"] for m in json.loads(raw(t, f"{target}:{tag}"))["manifests"]] == [sbom]
    assert [m["digest"] for m in json.loads(raw(t, f"{target}:{sbom.replace(':', '-')}"))["manifests"]] == [about_sbom]
    fails(t, "image", "copy", "--signatures", "-f", "v2s2", f"docker://{server.host}/app:v1", f"{target}:v2", says="another digest")
    fails(t, "image", "copy", "--signatures", f"docker://{server.host}/app:v1", f"dir:{t.tmp}/no", says="from registry to registry")


def test_copy_daemon(t):
    """docker's daemon in both directions, through its socket."""
    import http.server
    import socketserver
    import threading
    layout, _ = small_image(t, None)
    copy(t, "-q", f"oci:{layout}", f"docker-archive:{t.tmp}/a.tar:some/app:v1")
    archive, loaded, seen = (t.tmp / "a.tar").read_bytes(), [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            seen.append(self.path)
            self.answer(*((200, archive) if "app" in self.path else (404, b'{"message":"No such image: none"}')))

        def do_POST(self):
            seen.append(self.path)
            loaded.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(200, b'{"stream":"Loaded"}\n' if len(loaded) == 1 else b'{"errorDetail":{},"error":"no space"}\n')

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def get_request(self):
            request, _ = super().get_request()
            return request, ("local", 0)
    path = str(t.tmp / "d.sock")
    server = Server(path, Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    t.defer(server.server_close)
    t.defer(server.shutdown)
    copy(t, "-q", "docker-daemon:some/app:v1", f"oci:{t.tmp}/out:x", env={"DOCKER_HOST": f"unix://{path}"})
    assert json.loads(raw(t, f"oci:{t.tmp}/out:x"))["layers"] and seen == ["/images/some%2Fapp%3Av1/get"], seen
    copy(t, "-q", "--dest-daemon-host", f"unix://{path}", f"oci:{layout}", "docker-daemon:new/name:v2")
    (t.tmp / "loaded.tar").write_bytes(loaded[0])
    assert t.run(["skopeo", "list-tags", f"docker-archive:{t.tmp}/loaded.tar"]).out.count("new/name:v2") == 1
    fails(t, "image", "copy", "--dest-daemon-host", f"unix://{path}", f"oci:{layout}", "docker-daemon:new/name:v2", says="no space")
    fails(t, "image", "copy", "--src-daemon-host", f"unix://{path}", "docker-daemon:none", f"dir:{t.tmp}/no", says="No such image: none")
    fails(t, "image", "copy", "--src-daemon-host", f"unix://{t.tmp}/nobody", "docker-daemon:none", f"dir:{t.tmp}/no", says="daemon at unix:///")


def test_sync(t):
    """A repository's tags, by regular expression and by version, a YAML list, a directory: what skopeo copies, to the same names."""
    server = FaultServer(t)
    for tag in ("1.0.0", "1.2.3", "2.0.0-rc1", "2.0.0", "latest"):
        server.add_image("team/app", tag, [{tag: b"1"}])
    server.add_image("team/other", "v1", [{"o": b"1"}])

    def tags(request):
        if request.path == "/v2/":
            return Answer()
        names = sorted(tag for name, tag in server.manifests if name == request.path[4:-10] and ":" not in tag)
        return Answer(200, json.dumps({"tags": names}).encode(), {"Content-Type": "application/json"}) if request.path.endswith("/tags/list") else None
    server.script = tags
    source, registry = f"{server.host}/team/app", start_registry(t)

    def sync(*args, **kw):
        return havre(t, "image", "sync", *args, **kw)
    r = sync("--src", "docker", "--dest", "docker", "--semver", "^1 || ^2", "--dry-run", source, f"{registry.host}/mirror")
    assert re.findall(r"Would copy image \S+:(\S+) to (\S+)", r.out) == [(v, f"docker://{registry.host}/mirror/app:{v}") for v in ("1.0.0", "1.2.3", "2.0.0")], r
    sync("-q", "--src", "docker", "--dest", "docker", "--tag-regex", "^1[.]", "--append-suffix", "-mirror", source, f"{registry.host}/mirror")
    assert sorted(json.loads(havre(t, "image", "list-tags", f"docker://{registry.host}/mirror/app").out)["Tags"]) == ["1.0.0-mirror", "1.2.3-mirror"]
    (t.tmp / "list.yml").write_text(f"""
{server.host}:
    tls-verify: false
    images:
        team/other: []
        team/app:
            - latest
    images-by-tag-regex:
        team/app: "^1.2"
""")
    disk = {}
    for who in ("havre", "skopeo"):
        for scoped in ([], ["--scoped"]):
            path = t.tmp / f"{who}{len(scoped)}"
            if who == "havre":
                sync("-q", "--src", "yaml", "--dest", "dir", *scoped, t.tmp / "list.yml", path)
            else:
                t.run(["skopeo", "--insecure-policy", "sync", "--src", "yaml", "--dest", "dir", *scoped, t.tmp / "list.yml", path])
            disk[who, len(scoped)] = tree(path)
    assert disk["havre", 0] == disk["skopeo", 0] and disk["havre", 1] == disk["skopeo", 1]
    assert {name.split("/")[0] for name in disk["havre", 0]} == {"other:v1", "app:latest", "app:1.2.3"}
    (t.tmp / "versions.yml").write_text(f"{server.host}:\n    images-by-semver: {{team/app: '>= 2.0.0'}}\n")
    sync("-q", "--src", "yaml", "--dest", "dir", t.tmp / "versions.yml", t.tmp / "havre0")
    assert {name.split("/")[0] for name in tree(t.tmp / "havre0")} == {"other:v1", "app:latest", "app:1.2.3", "app:2.0.0"}
    sync("-q", "--src", "dir", "--dest", "docker", t.tmp / "havre0", f"{registry.host}/back")
    assert raw(t, f"docker://{registry.host}/back/app:2.0.0") == server.manifests["team/app", "2.0.0"][1]
    del server.blobs[json.loads(server.manifests["team/app", "1.2.3"][1])["layers"][0]["digest"]]
    r = fails(t, "image", "sync", "--src", "docker", "--dest", "dir", "--keep-going", source, t.tmp / "most", says="1 images could not be copied")
    assert len(os.listdir(t.tmp / "most")) == 5 and not (t.tmp / "most/app:1.2.3/manifest.json").exists() and "Copied 4 images" in r.out, r
    (t.tmp / "bad.yml").write_text("registry:\n  pictures: {}\n")
    fails(t, "image", "sync", "--src", "yaml", "--dest", "dir", t.tmp / "bad.yml", t.tmp / "no", says="bad.yml line 2: expected images")
    fails(t, "image", "sync", "--src", "dir", "--dest", "docker", t.tmp / "bad.yml", registry.host, says="cannot read directory")
    fails(t, "image", "sync", "--src", "docker", "--dest", "dir", "--semver", "newest", source, t.tmp / "no", says="constraint \"newest\"")


def test_manifest_lists(t):
    """A list made of images of a registry, of the store and of an archive: annotated, pushed, and the same as podman sees it."""
    registry = start_registry(t)
    digests = {}
    for arch in ("amd64", "arm64", "s390x"):
        layout, manifest = small_image(t, registry if arch != "s390x" else None, f"app:{arch}", arch=arch, files=[{arch: b"x" * 99}])
        digests[arch] = digest_of(manifest)
    copy(t, "-q", f"oci:{layout}", f"oci-archive:{t.tmp}/s390x.tar:x")
    name, remote = f"{registry.host}/app:all", f"docker://{registry.host}/app"
    assert havre(t, "manifest", "create", name, f"{registry.host}/app:amd64").out == f"Created manifest list {name}\n"
    fails(t, "manifest", "create", name, says="exists already")
    assert havre(t, "manifest", "add", name, f"{remote}:arm64", "--variant", "v8", "--annotation", "a=b").out == digests["arm64"] + "\n"
    havre(t, "manifest", "add", name, f"oci-archive:{t.tmp}/s390x.tar:x")
    havre(t, "manifest", "annotate", name, digests["amd64"], "--os-version", "1", "--arch", "386")
    entries = json.loads(havre(t, "manifest", "inspect", name).out)["manifests"]
    assert {e["digest"]: e["platform"] for e in entries} == {
        digests["amd64"]: {"architecture": "386", "os": "linux", "os.version": "1"},
        digests["arm64"]: {"architecture": "arm64", "os": "linux", "variant": "v8"}, digests["s390x"]: {"architecture": "s390x", "os": "linux"}}, entries
    r = havre(t, "manifest", "push", "--digestfile", t.tmp / "digest", name)
    index = raw(t, f"{remote}:all")
    assert r.out == digest_of(index) + "\n" and (t.tmp / "digest").read_text() == digest_of(index), r
    assert [e["digest"] for e in json.loads(index)["manifests"]] == [e["digest"] for e in entries]
    t.run(["skopeo", "--insecure-policy", "copy", "-q", "-a", PLAIN["src"], f"{remote}:all", f"dir:{t.tmp}/all"])
    assert (t.tmp / "all" / (digests["s390x"][7:] + ".manifest.json")).exists()
    havre(t, "manifest", "push", "-q", "-p", name, f"oci:{t.tmp}/layout:x")
    assert digest_of(raw(t, f"oci:{t.tmp}/layout:x")) == digest_of(index)
    assert havre(t, "manifest", "exists", name, check=False).rc == 1
    havre(t, "manifest", "create", "again", "--all", f"{remote}:all")
    havre(t, "manifest", "remove", "again", digests["arm64"])
    fails(t, "manifest", "remove", "again", digests["arm64"], says="has no manifest")
    assert len(json.loads(havre(t, "manifest", "inspect", "again").out)["manifests"]) == 2 and havre(t, "manifest", "exists", "again").rc == 0
    havre(t, "manifest", "push", "-q", "-f", "v2s2", "again", f"{registry.host}/app:docker")
    assert json.loads(raw(t, f"{remote}:docker"))["mediaType"] == DOCKER_LIST
    assert json.loads(havre(t, "manifest", "inspect", f"{registry.host}/app:docker").out)["mediaType"] == DOCKER_LIST
    assert havre(t, "manifest", "rm", "again").out == "again\n"
    fails(t, "manifest", "rm", "again", says="no such manifest list: again")
    fails(t, "manifest", "create", "broken", f"{remote}:none", says="none not found")
    assert havre(t, "manifest", "exists", "broken", check=False).rc == 1
