# SPDX-License-Identifier: Apache-2.0
"""Pushing: to Debian's docker-registry, and to a registry that misbehaves on purpose."""

import base64
import json
import os
import re
import signal

import registry_fixture as reg
from registry_fixture import Answer, FaultServer, PushServer, digest_of, fails, havre, start_registry

LARGE = os.urandom(40_000_000)  # more than two chunks
MEDIUM = LARGE[:12_000_000]  # more than any socket's buffers


def local_image(t, layers, name="source/app:v1", **config):
    """An image in the store, pulled from a server of ours; returns (name, manifest bytes)."""
    server = FaultServer(t)
    repository, tag = name.split(":")
    manifest = server.add_image(repository, tag, layers, **config)
    name = f"{server.host}/{name}"
    havre(t, "pull", "-q", name)
    return name, manifest


def test_push_and_pull_again(t):
    """What is pushed to the real registry is what skopeo and we pull from it; a second push is one request and says that all is there."""
    registry = start_registry(t)
    source = registry.push_busybox("app:v1", 3)
    havre(t, "pull", "-q", source)
    target = start_registry(t)
    name = f"{target.host}/team/copy:v2"
    havre(t, "tag", source, name)
    r = havre(t, "push", name)
    lines = r.out.splitlines()
    manifest = target.manifest("team/copy", "v2")
    raw = t.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]).out.encode()
    assert lines[0] == f"The push refers to repository [{target.host}/team/copy]", r
    assert lines[-1] == f"v2: digest: {digest_of(raw)} size: {len(raw)}", r
    assert r.out.count(": Pushed") == 3 == r.out.count(": Preparing"), r
    assert manifest == registry.manifest("app", "v1")
    r = havre(t, "push", name)
    assert r.out.count(": Layer already exists") == 3 and "Pushed" not in r.out, r
    assert havre(t, "image", "push", "-q", name).out == name + "\n"
    havre(t, "rmi", "-f", name, source)
    havre(t, "pull", "-q", name)
    assert havre(t, "run", "--rm", name, "echo", "back").out == "back\n"
    t.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{t.tmp}/copied"])


def test_default_tag_and_all_tags(t):
    """Without a tag it is latest; --all-tags pushes each name of the repository and no other."""
    server = PushServer(t)
    source, _ = local_image(t, [{"a": b"1"}])
    for tag in ("a", "b", "latest"):
        havre(t, "tag", source, f"{server.host}/app:{tag}")
    havre(t, "tag", source, f"{server.host}/apple:other")
    r = havre(t, "push", f"{server.host}/app")
    assert r.out.startswith("Using default tag: latest\n") and set(n for n in server.manifests if ":" not in n[1]) == {("app", "latest")}, r
    r = havre(t, "push", "--all-tags", f"{server.host}/app")
    assert [line.split(":")[0] for line in r.out.splitlines() if "digest:" in line] == ["a", "b", "latest"], r
    assert not any(name == "apple" for name, _ in server.manifests)
    fails(t, "push", "-a", f"{server.host}/app:a", says="tag cannot be named")
    fails(t, "push", "-a", f"{server.host}/none", says="no image of repository .*/none is here")
    fails(t, "push", f"{server.host}/app:none", says="no such image")
    fails(t, "push", f"{server.host}/app@sha256:{'0' * 64}", says="cannot push a digest: name a tag")


def test_all_tags_are_pulled(t):
    """pull --all-tags gets each tag of the repository and nothing else; naming a tag as well is an error."""
    server = FaultServer(t, lambda r: Answer(200, json.dumps({"name": "app", "tags": ["a", "b"]}).encode()) if "/tags/list" in r.path else None)
    for tag in ("a", "b"):
        server.add_image("app", tag, [{"a": tag.encode()}])
    server.add_image("other", "a", [{"a": b"other"}])
    assert havre(t, "pull", "-aq", f"{server.host}/app").out.splitlines() == [f"{server.host}/app:{tag}" for tag in "ab"]
    assert sorted(havre(t, "images", "--format", "{{.Repository}}:{{.Tag}}").out.split()) == [f"{server.host}/app:{tag}" for tag in "ab"]
    r = havre(t, "pull", "-a", f"{server.host}/app:a", check=False)
    assert r.rc == 1 and "--all-tags" in r.err, r


def test_plain_layers_are_sent_compressed(t):
    """A layer that import left uncompressed is gzip or zstd in the registry, the same each time, and the peer unpacks it; --compression-format
    none sends it as it is."""
    registry = start_registry(t)
    name = f"{registry.host}/app:v1"
    archive = t.tmp / "root.tar"
    t.run(["tar", "-cf", archive, "-C", t.busybox_rootfs(), "."])
    havre(t, "import", archive, name)
    first = havre(t, "push", name).out.splitlines()
    layer, = registry.manifest("app", "v1")["layers"]
    assert layer["mediaType"].endswith(".tar+gzip") and layer["size"] < archive.stat().st_size * 3 // 4, layer
    again = havre(t, "push", name).out.splitlines()
    assert again[-1] == first[-1] and "Layer already exists" in again[-2], (first, again)
    t.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci:{t.tmp}/layout:v1"])
    t.run(["umoci", "unpack", "--image", f"{t.tmp}/layout:v1", f"{t.tmp}/bundle"])
    assert (t.tmp / "bundle/rootfs/bin/busybox").exists()
    havre(t, "push", "-q", "--compression-format", "zstd", "--compression-level", "12", name)
    assert registry.manifest("app", "v1")["layers"][0]["mediaType"].endswith(".tar+zstd")
    havre(t, "push", "-q", "--compression-format", "none", name)
    assert registry.manifest("app", "v1")["layers"][0]["mediaType"].endswith(".tar")
    r = havre(t, "push", "--compression-level", "12", name, check=False)
    assert r.rc == 1 and "1 to 9" in r.err, r
    assert not os.listdir(t.root / "images/ingest")


def test_push_one_platform(t):
    """push --platform sends that image of an index alone, and says so when it is not here."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    source, server = FaultServer(t), PushServer(t)
    ours, theirs = source.add_image("app", "ours", [{"a": b"1"}]), source.add_image("app", "theirs", [{"a": b"2"}], architecture="s390x")
    source.manifests["app", "v1"] = (reg.OCI_INDEX, index_of([(machine, ours), ("s390x", theirs)]))
    name = f"{server.host}/app:v1"
    havre(t, "pull", "-q", f"{source.host}/app:v1")
    havre(t, "tag", f"{source.host}/app:v1", name)
    havre(t, "push", "-q", "--platform", f"linux/{machine}", name)
    assert server.manifests["app", "v1"] == (reg.OCI_MANIFEST, ours)
    r = havre(t, "push", "--platform", "linux/s390x", name, check=False)
    assert r.rc == 1 and "linux/s390x is not here" in r.err, r
    havre(t, "pull", "-q", "--platform", "linux/s390x", f"{source.host}/app:theirs")
    havre(t, "push", "-q", "--platform", "linux/s390x", name)
    assert server.manifests["app", "v1"] == (reg.OCI_MANIFEST, theirs)


def test_mount_from_another_repository(t):
    """Layers that were pulled from another repository of the registry are not sent again."""
    registry = start_registry(t)
    source = registry.push_busybox("base:v1", 2)
    havre(t, "pull", "-q", source)
    havre(t, "tag", source, f"{registry.host}/other/copy:v1")
    r = havre(t, "push", f"{registry.host}/other/copy:v1")
    assert r.out.count(": Mounted") == 2 and "Pushed" not in r.out, r
    assert registry.manifest("other/copy", "v1") == registry.manifest("base", "v1")
    # What was pushed somewhere is known to be there, as docker knows it.
    target = start_registry(t)
    for path in ("first", "second"):
        havre(t, "tag", source, f"{target.host}/{path}:v1")
        r = havre(t, "push", f"{target.host}/{path}:v1")
    assert r.out.count(": Mounted") == 2 and "Pushed" not in r.out, r
    digests = json.loads(havre(t, "image", "inspect", source).out)[0]["RepoDigests"]
    assert {d.split("@")[0] for d in digests} == {f"{target.host}/first", f"{target.host}/second", f"{registry.host}/base", f"{registry.host}/other/copy"}
    assert len({d.split("@")[1] for d in digests}) == 1, digests
    havre(t, "rmi", source, f"{registry.host}/other/copy:v1", f"{target.host}/first:v1")
    assert json.loads(havre(t, "image", "inspect", f"{target.host}/second:v1").out)[0]["RepoDigests"] == [d for d in digests if "/second@" in d]


def test_mount_refused(t):
    """A registry that does not mount opens an upload instead (202), or refuses: both end in an ordinary upload."""
    for refuse in (False, True):
        def script(request):
            if "mount=" in request.path and refuse:
                return Answer(403, b"{}")
            return None
        server = PushServer(t, script)
        server.add_image("base", "v1", [{"a": b"1" * 1000}])
        havre(t, "pull", "-q", f"{server.host}/base:v1")
        havre(t, "tag", f"{server.host}/base:v1", f"{server.host}/copy:v1")
        server.blobs.clear()
        r = havre(t, "push", f"{server.host}/copy:v1")
        assert ": Pushed" in r.out and server.count("POST", "from=base") == 1, r
        assert server.count("POST", "/uploads/") == (3 if refuse else 2), [r.path for r in server.requests]
        assert len(server.blobs) == 2


def test_broken_upload_is_continued(t):
    """A PUT whose connection breaks goes on with PATCH where the registry stands, twice, and nothing is sent twice."""
    server = PushServer(t)
    source, _ = local_image(t, [{"big": MEDIUM}])
    name = f"{server.host}/app:v1"
    havre(t, "tag", source, name)
    server.breaks = [3_000_000, 4_000_000]
    r = havre(t, "push", "--parallel", "1", name)
    assert ": Retrying" in r.out and ": Pushed" in r.out, r
    sent = [q for q in server.requests if q.command in ("PUT", "PATCH") and "/uploads/" in q.path and len(q.body) > 1000]
    assert [q.command for q in sent] == ["PUT", "PATCH", "PATCH"], sent
    assert sum(len(q.body) for q in sent) == max(len(b) for b in server.blobs.values())
    assert sent[1].headers["Content-Range"].startswith("3000000-") and sent[2].headers["Content-Range"].startswith("7000000-")


def test_lost_answers(t):
    """The answer to the last PUT is lost: the blob is found to be there. An upload that the registry has forgotten begins anew."""
    lost = []

    def script(request):
        if request.command == "PUT" and "/uploads/" in request.path and not lost:
            lost.append(server.serve(request))
            return Answer(reset=True)
        return None
    server = PushServer(t, script)
    source, _ = local_image(t, [{"a": b"x" * 5000}])
    havre(t, "tag", source, f"{server.host}/app:v1")
    havre(t, "push", "--parallel", "1", f"{server.host}/app:v1")
    assert server.count("PUT", "/uploads/") == 2 and lost  # one for each blob

    def forgetful(request):
        if request.command == "PUT" and "/uploads/" in request.path and not request.count and len(forgotten) < 2:
            forgotten.append(1)
            other.uploads.clear()
        return None
    forgotten = []
    other = PushServer(t, forgetful)
    havre(t, "tag", source, f"{other.host}/app:v1")
    havre(t, "push", "--parallel", "1", f"{other.host}/app:v1")
    assert len(other.blobs) == 2 and other.count("POST", "/uploads/") == 4


def test_wrong_offset(t):
    """416: we ask where the registry stands and go on from there."""
    def script(request):
        if request.command == "PATCH" and not request.count and not seen:
            seen.append(1)
            upload = server.uploads[server.upload_of(request.path)]
            del upload[-1000:]  # it has lost some of what it had confirmed
        return None
    seen = []
    server = PushServer(t, script)
    source, _ = local_image(t, [{"big": MEDIUM}])
    havre(t, "tag", source, f"{server.host}/app:v1")
    server.breaks = [5_000_000]
    havre(t, "push", "--parallel", "1", f"{server.host}/app:v1")
    assert server.count("PATCH", "/uploads/") == 2 and len(server.blobs) == 2, server.blobs.keys()


def test_proxy_with_a_size_limit(t):
    """413 to a large PUT: the blob is sent in chunks, not smaller than the registry wants them."""
    def script(request):
        if len(request.body) > 20_000_000:
            return Answer(413, b"too much")
        if request.command == "POST":
            answer = server.serve(request)
            answer.headers["OCI-Chunk-Min-Length"] = "18000000"
            return answer
        return None
    server = PushServer(t, script)
    source, _ = local_image(t, [{"big": LARGE}])
    havre(t, "tag", source, f"{server.host}/app:v1")
    havre(t, "push", "--parallel", "1", f"{server.host}/app:v1")
    assert [len(q.body) for q in server.requests if q.command == "PATCH"][:2] == [18_000_000, 18_000_000]
    assert any(len(b) > 40_000_000 for b in server.blobs.values())


def test_rate_limit_and_server_errors(t):
    """429 with Retry-After and 503 are waited for, in all requests of a push."""
    def script(request):
        kind = request.command, "/uploads/" in request.path
        if request.command in ("POST", "PUT") and kind not in seen:
            seen.append(kind)
            return Answer(429, b"", {"Retry-After": "1"}) if request.command == "POST" else Answer(503)
        return None
    seen = []
    server = PushServer(t, script)
    source, manifest = local_image(t, [{"a": b"1"}])
    havre(t, "tag", source, f"{server.host}/app:v1")
    havre(t, "push", f"{server.host}/app:v1")
    assert server.manifests["app", "v1"][1] == manifest and len(seen) == 3


def test_errors_are_clear(t):
    """What the registry refuses, in its own words: denied, invalid, too large, no such user."""
    source, _ = local_image(t, [{"a": b"1"}])

    def push(status, code, message, says, part="/uploads/", method="POST"):
        def script(request):
            if request.command == method and part in request.path:
                return Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())
            return None
        server = PushServer(t, script)
        havre(t, "tag", source, f"{server.host}/app:v1")
        fails(t, "push", f"{server.host}/app:v1", says=[f"cannot push {server.host}/app:v1", *says])
        assert not server.manifests
    push(403, "DENIED", "requested access to the resource is denied", ["requested access to the resource is denied", "login"])
    push(400, "NAME_INVALID", "invalid repository name", ["400", "invalid repository name"])
    push(413, "SIZE_INVALID", "over quota", ["larger than registry .* takes: over quota"])
    push(400, "MANIFEST_INVALID", "manifest invalid", ["manifest app:v1", "manifest invalid"], "/manifests/", "PUT")
    push(405, "UNSUPPORTED", "The operation is unsupported.", ["405", "operation is unsupported"])


def test_tls_and_password(t):
    """The real registry with its own CA and htpasswd: both are demanded for a push as well."""
    registry = start_registry(t, tls=True, password=True)
    source, _ = local_image(t, [{"a": b"1"}])
    name = f"{registry.host}/secret/app:v1"
    havre(t, "tag", source, name)
    fails(t, "push", name, says="cannot be trusted")
    fails(t, "push", "--ca-file", registry.ca, name, says=["needs credentials", "login"])
    fails(t, "push", "--ca-file", registry.ca, "--creds", "tester:wrong", name, says='refuses user "tester"')
    havre(t, "push", "--ca-file", registry.ca, "--creds", f"{reg.USER}:{reg.PASSWORD}", name)
    havre(t, "pull", "--ca-file", registry.ca, "--creds", f"{reg.USER}:{reg.PASSWORD}", name)


def test_token_scope(t):
    """The token is asked for with the right to push, and with the right to read the repository that is mounted from; it does not go elsewhere."""
    scopes, elsewhere = [], []

    def token(request):
        scopes.append(request.path)
        return Answer(200, b'{"token": "secret"}')
    auth = FaultServer(t, token)

    def script(request):
        if request.headers.get("Authorization") != "Bearer secret":
            return Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://{auth.host}/token",service="s"'})
        if request.command == "POST" and "mount" not in request.path:
            answer = server.serve(request)
            answer.headers["Location"] = f"http://{storage.host}{answer.headers['Location']}"
            return answer
        return Answer(404) if "mount" in request.path else None
    server = PushServer(t, script)

    def store(request):
        elsewhere.append(request.headers.get("Authorization"))
        return server.serve(request)
    storage = FaultServer(t, store)
    server.add_image("base", "v1", [{"a": b"1"}])
    havre(t, "pull", "-q", f"{server.host}/base:v1")
    havre(t, "tag", f"{server.host}/base:v1", f"{server.host}/copy:v1")
    server.blobs.clear()
    scopes.clear()
    havre(t, "push", f"{server.host}/copy:v1")
    assert any(s.endswith("scope=repository%3Acopy%3Apull%2Cpush") for s in scopes), scopes
    assert any("scope=repository%3Acopy%3Apull%2Cpush&scope=repository%3Abase%3Apull" in s for s in scopes), scopes
    assert elsewhere == [None, None], elsewhere


def index_of(entries):
    return json.dumps({"schemaVersion": 2, "mediaType": reg.OCI_INDEX, "manifests": [
        {"mediaType": reg.OCI_MANIFEST, "digest": digest_of(m), "size": len(m), "platform": {"os": "linux", "architecture": a}}
        for a, m in entries]}).encode()


def test_index(t):
    """A name that points to an index: pushed whole when all is here, else the platform's image, which is said."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    source = FaultServer(t)
    ours = source.add_image("app", "ours", [{"a": b"1"}])
    theirs = source.add_image("app", "theirs", [{"a": b"2"}], architecture="s390x")
    for tag, entries in (("one", [(machine, ours)]), ("two", [(machine, ours), ("s390x", theirs)])):
        source.manifests["app", tag] = (reg.OCI_INDEX, index_of(entries))
        havre(t, "pull", "-q", f"{source.host}/app:{tag}")
    registry = start_registry(t)
    for tag in ("one", "two"):
        havre(t, "tag", f"{source.host}/app:{tag}", f"{registry.host}/app:{tag}")
    r = havre(t, "push", f"{registry.host}/app:one")
    assert registry.manifest("app", "one")["mediaType"] == reg.OCI_INDEX and "only the image for" not in r.out, r
    r = havre(t, "push", f"{registry.host}/app:two")
    assert "only the image for linux/" in r.out and registry.manifest("app", "two") == json.loads(ours), r
    assert f"two: digest: {digest_of(ours)} size: {len(ours)}" in r.out
    # With the other platform here as well, the index goes whole, inner manifests first.
    havre(t, "pull", "-q", "--platform", "linux/s390x", f"{source.host}/app:theirs")
    server = PushServer(t)
    havre(t, "tag", f"{source.host}/app:two", f"{server.host}/app:two")
    havre(t, "push", f"{server.host}/app:two")
    assert server.manifests["app", "two"] == (reg.OCI_INDEX, source.manifests["app", "two"][1])
    assert [q.path.split("/")[-1] for q in server.requests if q.command == "PUT" and "/manifests/" in q.path] == [
        digest_of(ours), digest_of(theirs), "two"]


def test_foreign_layer_is_not_pushed(t):
    """A layer that may not be distributed is neither uploaded nor asked for."""
    source = FaultServer(t)
    blobs, manifest = reg.make_image([{"a": b"1"}, {"b": b"2"}])
    document = json.loads(manifest)
    foreign = document["layers"][0]
    foreign["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    foreign["urls"] = [f"http://{source.host}/v2/app/blobs/{foreign['digest']}"]
    manifest = json.dumps(document).encode()
    source.blobs.update(blobs)
    source.manifests["app", "v1"] = (reg.OCI_MANIFEST, manifest)
    havre(t, "pull", "-q", f"{source.host}/app:v1")
    server = PushServer(t)
    havre(t, "tag", f"{source.host}/app:v1", f"{server.host}/app:v1")
    r = havre(t, "push", f"{server.host}/app:v1")
    assert f"{foreign['digest'][7:19]}: Skipped foreign layer" in r.out, r
    assert foreign["digest"] not in server.blobs and len(server.blobs) == 2
    assert not any(foreign["digest"] in q.path for q in server.requests)


def test_interrupted_push(t):
    """Ctrl-C ends a push at once and leaves no tag; the next one does it."""
    server = PushServer(t)
    source, _ = local_image(t, [{"big": MEDIUM}])
    name = f"{server.host}/app:v1"
    havre(t, "tag", source, name)
    stall = [True]
    read = server.read_body

    def slow(request):
        if request.command == "PUT" and "/uploads/" in request.path and stall[0]:
            request.rfile.read(1_000_000)
            stalled.append(1)
            t.wait_for(lambda: not stall[0], what="the end of the stall", timeout=30)
            raise ConnectionError
        return read(request)
    stalled, server.read_body = [], slow
    p = t.start(t.havre_args("push", name), env={"REGISTRY_AUTH_FILE": t.tmp / "none.json"})
    t.wait_for(lambda: stalled, what="the upload")
    p.send_signal(signal.SIGINT)
    p.wait(timeout=10)
    stall[0] = False
    assert p.returncode in (1, 130) and not server.manifests, p.returncode
    havre(t, "push", name)
    assert ("app", "v1") in server.manifests
