# SPDX-License-Identifier: Apache-2.0
"""Pulling: from Debian's docker-registry, and from a registry that misbehaves on purpose."""

import base64
import json
import os
import re
import signal
import time

import registry_fixture as reg
from registry_fixture import Answer, FaultServer, digest_of, start_registry

RANDOM = os.urandom(3_000_000)  # does not compress: a layer that takes several reads


class Store:
    def __init__(self, t, name="store"):
        self.t, self.root = t, t.tmp / name
        self.tool = t.build / "tests/tools/store_tool"
        self.env = {"REGISTRY_AUTH_FILE": t.tmp / "none.json", "CONTAINERS_REGISTRIES_CONF": t.tmp / "none.conf"}

    def __call__(self, *args, **kw):
        kw["env"] = {**self.env, **kw.get("env", {})}
        return self.t.run([self.tool, self.root, *args], **kw)

    def pull(self, *args, **kw):
        return self("pull", *args, **kw)

    def fails(self, *args, kind, says, **kw):
        r = self("pull", *args, check=False, **kw)
        assert r.rc == 1 and r.err.startswith(f"error: {kind}: "), r
        for text in [says] if isinstance(says, str) else says:
            assert re.search(text, r.err), (text, r)
        return r

    def start(self, *args, **kw):
        return self.t.start([self.tool, self.root, *args], env=self.env, **kw)

    def ingest(self):
        path = self.root / "ingest"
        return sorted(p.name for p in path.iterdir()) if path.exists() else []

    def files(self, image):
        """Paths below the merged layers of an image, by reading the directories (enough without whiteouts)."""
        found = set()
        for layer in (self.root / "layers").iterdir():
            for directory, _, names in os.walk(layer):
                found.update(os.path.join(directory, n).split("/", len(layer.parts) + 1)[-1] for n in names)
        return found


def test_plain_registry(t):
    """An image of one and of three layers made by umoci is pulled over plain HTTP from loopback; skopeo reads our store."""
    registry, store = start_registry(t), Store(t)
    one, three = registry.push_busybox("app:v1"), registry.push_busybox("team/app:v3", 3)
    r = store.pull(one)
    assert "changed=1" in r.out and f"name={one}" in r.out, r
    r = store.pull(three)
    assert "layers=3" in r.out, r
    assert store.pull(registry.push_busybox("copy/app:v3", 3)).out.count(" exists ") == 3
    assert store.ingest() == []
    shown = json.loads(t.run(["skopeo", "inspect", "--raw", f"oci:{store.root}:{three}"]).out)
    assert len(shown["layers"]) == 3
    t.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{store.root}:{three}", f"dir:{t.tmp}/copied"])
    assert "changed=0" in store.pull(one).out


def test_tls_and_password(t):
    """A registry with its own CA and htpasswd: certificate and password are both demanded, and both work."""
    registry, store = start_registry(t, tls=True, password=True), Store(t)
    image = registry.push_busybox("secret/app:v1")
    store.fails(image, kind="unreachable", says=["cannot be trusted", "certs.d/127.0.0.1:"])
    ca = f"ca={registry.ca}"
    store.fails(image, ca, kind="unauthorized", says=["needs credentials", "havre login 127.0.0.1:"])
    store.fails(image, ca, "user=tester:wrong", kind="unauthorized", says='refuses user "tester"')
    store.pull(image, ca, f"user={reg.USER}:{reg.PASSWORD}")
    auth = t.tmp / "auth.json"
    auth.write_text(json.dumps({"auths": {registry.host: {
        "auth": base64.b64encode(f"{reg.USER}:{reg.PASSWORD}".encode()).decode()}}}))
    other = Store(t, "other")
    other.pull(image, ca, env={"REGISTRY_AUTH_FILE": auth})
    insecure = Store(t, "insecure")
    insecure.pull(image, "insecure", f"user={reg.USER}:{reg.PASSWORD}")
    auth.write_text("{ not json")
    other.fails("127.0.0.1:1/x", kind="invalid", says="auth.json", env={"REGISTRY_AUTH_FILE": auth})


def test_second_pull_is_one_request(t):
    """A name that has not moved costs one request; one that has moved is noticed."""
    server, store = FaultServer(t), Store(t)
    server.add_image("app", "v1", [{"a": b"1"}])
    name = f"{server.host}/app:v1"
    store.pull(name)
    server.requests.clear()
    assert "changed=0" in store.pull(name).out
    assert [(r.command, r.path) for r in server.requests] == [("HEAD", "/v2/app/manifests/v1")]
    assert server.requests[0].headers["User-Agent"].startswith("havre/")
    server.add_image("app", "v1", [{"a": b"2"}])
    r = store.pull(name)
    assert "changed=1" in r.out, r
    assert store("list").out.count("id=") == 2  # the old image has lost its name, not its place


def test_unreachable_and_unknown(t):
    """Errors name host, port and cause: nobody listens, no such host, no such image, no TLS."""
    store, server = Store(t), FaultServer(t)
    port = reg.free_port()
    store.fails(f"127.0.0.1:{port}/app", kind="unreachable", says=f"cannot reach 127.0.0.1:{port}: connection refused")
    store.fails("registry.invalid/app", kind="unreachable", says="registry.invalid:443.*cannot be resolved")
    store.fails(f"{server.host}/app:v9", kind="not-found", says=f"app:v9 not found in registry {server.host}: manifest unknown")
    store.fails("Bad/Name", kind="invalid", says="invalid reference")
    r = store("find", "nothing", check=False)
    assert "not-found: no such image: nothing" in r.err


def token_server(t, user=None, password=None, post=True, expires=300):
    """A registry that wants Bearer tokens from another server; `.tokens` counts those given out."""
    state = {"tokens": 0, "paths": []}

    def token(request):
        state["paths"].append((request.command, request.path, request.body.decode(), request.headers.get("Authorization")))
        if request.command == "POST" and not post:
            return Answer(404)
        if user:
            basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
            if request.command == "POST" and f"username={user}&password={password}&" not in request.body.decode():
                return Answer(401)
            if request.command == "GET" and request.headers.get("Authorization") != basic:
                return Answer(401)
        state["tokens"] += 1
        return Answer(200, json.dumps({"access_token" if request.command == "POST" else "token": f"tok{state['tokens']}",
                                       "expires_in": expires}).encode())
    auth = FaultServer(t, token)

    def registry(request):
        if request.headers.get("Authorization") == f"Bearer tok{state['tokens']}" and state["tokens"]:
            return None
        return Answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="http://{auth.host}/token?x=1",service="the registry",'
                                                       f'scope="repository:app:pull"'})
    server = FaultServer(t, registry)
    server.add_image("app", "v1", [{"a": b"1"}, {"b": b"2"}])
    return server, auth, state


def test_bearer_token(t):
    """Anonymous token: asked for once with service and scope, used for everything."""
    server, auth, state = token_server(t)
    Store(t).pull(f"{server.host}/app:v1")
    assert state["tokens"] == 1
    method, path, _, authorization = state["paths"][0]
    assert (method, path) == ("GET", "/token?x=1&service=the%20registry&scope=repository%3Aapp%3Apull") and not authorization


def test_bearer_token_with_password(t):
    """With credentials OAuth2's POST comes first; a server that does not know it is asked with GET and Basic."""
    server, auth, state = token_server(t, "u", "p")
    Store(t).pull(f"{server.host}/app:v1", "user=u:p")
    assert [p[0] for p in state["paths"]] == ["POST"] and "grant_type=password" in state["paths"][0][2]
    server, auth, state = token_server(t, "u", "p", post=False)
    Store(t, "two").pull(f"{server.host}/app:v1", "user=u:p")
    assert [p[0] for p in state["paths"]] == ["POST", "GET"]
    server, auth, state = token_server(t, "u", "p")
    Store(t, "three").fails(f"{server.host}/app:v1", "user=u:no", kind="unauthorized", says='refuses user "u"')


def test_expired_token_is_renewed(t):
    """A token that the registry no longer takes is replaced in the middle of the pull."""
    server, auth, state = token_server(t)
    inner = server.script

    def script(request):
        if request.command == "GET" and "/blobs/" in request.path and state["tokens"] == 1:
            return Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://{auth.host}/token",service="s"'})
        return inner(request)
    server.script = script
    Store(t).pull(f"{server.host}/app:v1", "parallel=1")
    assert state["tokens"] == 2


def test_redirect_loses_credentials(t):
    """CVE-2020-15157: blobs that live elsewhere are fetched without Authorization."""
    store, seen = Store(t), []
    elsewhere = FaultServer(t, lambda request: seen.append(request.headers.get("Authorization")))
    basic = "Basic " + base64.b64encode(b"u:p").decode()

    def script(request):
        if request.headers.get("Authorization") != basic:
            return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        if "/blobs/" in request.path:
            return Answer(307, b"", {"Location": f"http://{elsewhere.host}{request.path}"})
        return None
    server = FaultServer(t, script)
    server.add_image("app", "v1", [{"a": b"1"}])
    elsewhere.blobs = server.blobs
    store.pull(f"{server.host}/app:v1", "user=u:p")
    assert seen == [None, None], seen


def test_https_is_not_left(t):
    """A registry reached by HTTPS, not loopback by name, can neither redirect to plain HTTP nor be reached that way itself."""
    t.need("openssl")
    ca, certificate, key = reg.make_certificate(t.tmp)
    plain = FaultServer(t)
    secure = FaultServer(t, lambda r: Answer(302, b"", {"Location": f"http://{plain.host}{r.path}"}), tls=(certificate, key))
    # 0.0.0.0 arrives at this machine and is none of the names that may do without TLS
    store = Store(t)
    store.fails(f"0.0.0.0:{secure.port}/app:v1", f"ca={ca}", kind="permission", says="redirects to plain HTTP .*refused")
    store.fails(f"0.0.0.0:{plain.port}/app:v1", kind="unreachable", says=["cannot talk TLS", "insecure = true"])
    assert plain.count("GET", "/v2/") == 0


def test_truncated_and_broken_bodies_are_resumed(t):
    """A blob that breaks off is continued with Range where it broke, several times over."""
    store = Store(t)

    def script(request):
        if "/blobs/" not in request.path or request.command != "GET":
            return None
        a = server.serve(request)
        if len(a.body) > 1_000_000:
            a.cut = 700_000  # Content-Length says more: the connection is cut
        return a
    server = FaultServer(t, script)
    server.add_image("app", "v1", [{"big": RANDOM}])
    r = store.pull(f"{server.host}/app:v1")
    ranges = [q.headers.get("Range") for q in server.requests if q.headers.get("Range")]
    assert ranges[:2] == ["bytes=700000-", "bytes=1400000-"] and " retrying " in r.out, (ranges, r)
    assert store.ingest() == []


def test_server_without_ranges(t):
    """A server that answers 200 to a Range request sends from the start: so we begin again."""
    def script(request):
        if "/blobs/" not in request.path:
            return None
        data = server.blobs[request.path.rsplit("/", 1)[1]]
        return Answer(200, data, cut=500_000 if len(data) > 1_000_000 and request.count == 0 else None)
    server, store = FaultServer(t, script), Store(t)
    server.add_image("app", "v1", [{"big": RANDOM}])
    store.pull(f"{server.host}/app:v1")
    assert server.count("GET", "/blobs/") == 3


def test_corrupt_blob(t):
    """A blob with another content than its digest: ERR_CORRUPT names digest and registry, and nothing stays."""
    server, store = FaultServer(t), Store(t)
    layer = json.loads(server.add_image("app", "v1", [{"a": b"x" * 5000}]))["layers"][0]["digest"]
    good = server.blobs[layer]
    server.blobs[layer] = good[:-1] + bytes([good[-1] ^ 1])
    store.fails(f"{server.host}/app:v1", kind="corrupt", says=[layer, f"registry {server.host}"])
    server.blobs[layer] = good + b"more"
    store.fails(f"{server.host}/app:v1", kind="corrupt", says=[layer, "longer than"])
    assert store.ingest() == [] and not (store.root / "blobs/sha256" / layer[7:]).exists()
    server.blobs[layer] = good
    store.pull(f"{server.host}/app:v1")


def test_corrupt_blob_in_a_real_registry(t):
    """The same with docker-registry, whose storage was damaged."""
    registry, store = start_registry(t), Store(t)
    image = registry.push_busybox("app:v1")
    layer = registry.manifest("app", "v1")["layers"][0]["digest"]
    with open(registry.blob_path(layer), "r+b") as f:
        f.seek(1000)
        f.write(b"damage")
    store.fails(image, kind="corrupt", says=[layer, registry.host])
    assert store("list").out == ""


def test_wrong_manifest_digest(t):
    """A manifest pulled by digest, or announced with one, must have it."""
    server, store = FaultServer(t), Store(t)
    manifest = server.add_image("app", "v1", [{"a": b"1"}])
    other = server.add_image("app", "v2", [{"a": b"2"}])
    server.manifests["app", digest_of(manifest)] = (reg.OCI_MANIFEST, other)
    store.fails(f"{server.host}/app@{digest_of(manifest)}", kind="corrupt", says=[digest_of(manifest), "damaged"])
    server.script = lambda r: Answer(200, manifest, {"Content-Type": reg.OCI_MANIFEST, "Docker-Content-Digest": digest_of(other)})
    store.fails(f"{server.host}/app:v1", kind="corrupt", says="damaged")
    server.script = None
    r = store.pull(f"{server.host}/app@{digest_of(other)}")
    assert f"digest={server.host}/app@{digest_of(other)}" in r.out and "name=" not in r.out
    server.requests.clear()
    store.pull(f"{server.host}/app@{digest_of(other)}")
    assert server.requests == []  # content that is named by its digest does not change


def test_manifest_and_index_confused(t):
    """CVE-2021-41190: a document with both layers and manifests, or called what it is not, is refused."""
    server, store = FaultServer(t), Store(t)
    manifest = json.loads(server.add_image("app", "v1", [{"a": b"1"}]))
    both = dict(manifest, manifests=[])
    del both["mediaType"]
    for tag, document, media_type in (("both", both, reg.OCI_MANIFEST), ("called-index", manifest, reg.OCI_INDEX),
                                      ("index-as-manifest", {"schemaVersion": 2, "manifests": []}, reg.OCI_MANIFEST)):
        server.manifests["app", tag] = (media_type, json.dumps(document).encode())
        store.fails(f"{server.host}/app:{tag}", kind="invalid", says="manifest sha256:.* from registry")
    server.manifests["app", "v2s1"] = ("application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion":1}')
    store.fails(f"{server.host}/app:v2s1", kind="unsupported", says="schema 1")
    artifact = dict(manifest, config=dict(manifest["config"], mediaType="application/vnd.cncf.helm.config.v1+json"))
    server.manifests["app", "chart"] = (reg.OCI_MANIFEST, json.dumps(artifact).encode())
    store.fails(f"{server.host}/app:chart", kind="unsupported", says="artifact")


def test_oversize_documents(t):
    """A manifest over 4 MiB and a layer count over the limit are refused with the limit in the message."""
    server, store = FaultServer(t), Store(t)
    manifest = json.loads(server.add_image("app", "v1", [{"a": b"1"}]))
    server.manifests["app", "big"] = (reg.OCI_MANIFEST, json.dumps(dict(manifest, annotations={"x": "y" * (5 << 20)})).encode())
    store.fails(f"{server.host}/app:big", kind="limit", says="4194304")
    server.manifests["app", "many"] = (reg.OCI_MANIFEST, json.dumps(dict(manifest, layers=manifest["layers"] * 600)).encode())
    store.fails(f"{server.host}/app:many", kind="invalid", says="600 entries are more than the 512")


def test_rate_limit_and_server_errors(t):
    """429 is obeyed (Retry-After), 5xx and resets are tried again, and a long wait is refused."""
    answers = [Answer(429, b"", {"Retry-After": "1"}), Answer(503), Answer(reset=True)]

    def script(request):
        return answers.pop(0) if answers and request.command == "GET" else None
    server, store = FaultServer(t, script), Store(t)
    server.add_image("app", "v1", [{"a": b"1"}])
    # the first contact decides between TLS and plain HTTP: let it be made
    began = time.monotonic()
    store.pull(f"{server.host}/app:v1")
    assert time.monotonic() - began > 1.5 and answers == []
    server.script = lambda r: Answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\\u001b down"}]}', {"Retry-After": "3600"})
    store.fails(f"{server.host}/app:v2", kind="busy", says=["3600 seconds", r"limits the number of requests \(slow\? down\)"])


def test_gives_up_on_a_broken_server(t):
    """A registry that always fails is given up after a few attempts, with the last reason."""
    server, store = FaultServer(t, lambda r: Answer(502)), Store(t)
    r = store.fails(f"{server.host}/app:v1", kind="unreachable", says=["gave up after 6 attempts", "502.*bad gateway"])
    assert 10 < r.seconds < 40


test_gives_up_on_a_broken_server.asan = False


def test_platforms(t):
    """An index is resolved to the platform asked for; what is missing is listed."""
    server, store = FaultServer(t), Store(t)
    entries = []
    for architecture, variant in (("amd64", None), ("arm64", "v8"), ("arm", "v7")):
        manifest = server.add_image("app", f"only-{architecture}", [{"a": architecture.encode()}], architecture=architecture)
        platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
        entries.append({"mediaType": reg.OCI_MANIFEST, "digest": digest_of(manifest), "size": len(manifest), "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": reg.OCI_INDEX, "manifests": entries}).encode()
    server.manifests["app", "v1"] = (reg.OCI_INDEX, index)
    r = store.pull(f"{server.host}/app:v1", "platform=linux/arm64")
    assert "platform=linux/arm64" in r.out and f"target={digest_of(index)}" in r.out
    assert "platform=linux/arm " in store.pull(f"{server.host}/app:v1", "platform=linux/arm/v7").out
    store.fails(f"{server.host}/app:v1", "platform=linux/s390x", kind="not-found",
                says="no image for platform linux/s390x; there is: linux/amd64, linux/arm64/v8, linux/arm/v7")
    other = "arm64" if os.uname().machine == "x86_64" else "amd64"
    assert "is made for linux/" in store.pull(f"{server.host}/app:only-{other}").out


def test_interrupted_pull_is_continued(t):
    """Ctrl-C in the middle leaves a consistent store, and the next pull continues the half layer."""
    def script(request):
        a = server.serve(request)
        if len(a.body) > 1_000_000 and slow:
            a.pause = (200_000, 0.2)
        return a
    server, store, slow = FaultServer(t, script), Store(t), True
    server.add_image("app", "v1", [{"big": RANDOM}])
    process = store.start("pull", f"{server.host}/app:v1", stderr=-1)
    t.wait_for(lambda: any(p.stat().st_size > 300_000 for p in (store.root / "ingest").glob("sha256-*")))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 1
    assert b"cancelled: cannot pull" in process.stderr.read()
    assert store("list").out == "" and len(store.ingest()) == 1
    slow = False
    store.pull(f"{server.host}/app:v1")
    assert any(r.headers.get("Range") for r in server.requests)
    assert store.ingest() == []


def test_killed_pull_is_continued(t):
    """kill -9 in the middle: the next pull finds a consistent store and continues; damage in what was kept is healed."""
    def script(request):
        a = server.serve(request)
        if len(a.body) > 1_000_000 and slow:
            a.pause = (200_000, 0.2)
        return a
    server, store, slow = FaultServer(t, script), Store(t), True
    server.add_image("app", "v1", [{"big": RANDOM}])
    process = store.start("pull", f"{server.host}/app:v1")
    t.wait_for(lambda: any(p.stat().st_size > 300_000 for p in (store.root / "ingest").glob("sha256-*")))
    process.kill()
    process.wait()
    partial, = (store.root / "ingest").glob("sha256-*")
    with open(partial, "r+b") as f:
        f.write(b"damage")
    slow = False
    assert "changed=1" in store.pull(f"{server.host}/app:v1").out
    assert store.ingest() == []


def test_two_pulls_at_once(t):
    """Two and more pulls of one image into one store at once all succeed, and each blob is downloaded once."""
    def script(request):
        a = server.serve(request)
        if len(a.body) > 1_000_000:
            a.pause = (500_000, 0.05)
        return a
    server, store = FaultServer(t, script), Store(t)
    server.add_image("app", "v1", [{"big": RANDOM}, {"b": b"2"}, {"c": b"3"}])
    store("list")
    processes = [store.start("pull", f"{server.host}/app:v1", stdout=-1, stderr=-1) for _ in range(4)]
    for p in processes:
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0 and b"layers=3" in out, err
    big = [r for r in server.requests if "/blobs/" in r.path]
    assert len(big) == 4, [r.path for r in big]
    assert store.ingest() == []


def unpacking(store, name):
    """Whether a layer that is not committed yet has this file."""
    return any(path.stat().st_size for path in (store.root / "ingest").glob(f"layer-*/{name}"))


def test_layers_are_unpacked_side_by_side(t):
    """A layer is unpacked while the one below has not even begun to arrive; what hides a file below waits for it."""
    def script(request):
        if first in request.path:
            t.wait_for(lambda: unpacking(store, "second"), what="the second layer's file")
        return None
    server, store = FaultServer(t, script), Store(t)
    below, above = {"hidden": b"1", "first": b"1"}, {"second": b"2", ".wh.hidden": b"", ".wh.nothing": b""}
    server.add_image("app", "v1", [below, above, {"third": b"3"}])
    first = digest_of(reg.make_layer(below)[0])
    assert "layers=3" in store.pull(f"{server.host}/app:v1").out
    assert store.files(None) == {"hidden", "first", "second", "third"}
    whiteouts = [path for path in (store.root / "layers").glob("*/hidden") if path.is_char_device()]
    assert len(whiteouts) == 1 and not list((store.root / "layers").glob("*/nothing")) and store.ingest() == []


def test_layer_is_unpacked_while_it_is_received(t):
    """The first file of a layer is there before the rest of it has come; what came broken is found out, and nothing of it stays."""
    class Waiting(bytes):  # sent in pieces: the last ones only when the first file is unpacked
        def __getitem__(self, part):
            if isinstance(part, slice) and part.start:
                t.wait_for(lambda: unpacking(store, "a"), what="the first file")
            return bytes.__getitem__(self, part)

    def script(request):
        a = server.serve(request)
        if big not in request.path:
            return None
        return Answer(200, Waiting(a.body if request.count or not broken else a.body[:-9000] + bytes(9000)), pause=(2_000_000, 0))
    server, store, broken = FaultServer(t, script), Store(t), False
    files = {"a": b"1" * 1000, "b": RANDOM}
    server.add_image("app", "v1", [files])
    big = digest_of(reg.make_layer(files)[0])
    assert "changed=1" in store.pull(f"{server.host}/app:v1").out
    store, broken = Store(t, "other"), True
    server.requests.clear()
    store.fails(f"{server.host}/app:v1", kind="corrupt", says=["corrupt"])
    assert store.ingest() == [] and list((store.root / "layers").glob("*")) == []


def test_large_blob_comes_over_several_connections(t):
    """Threads that have nothing else to do fetch parts of a large layer. Killed in the middle, it goes on behind what is there without a gap;
    a part that breaks off is fetched again, and a registry that sends no parts is asked for the whole."""
    state = "held"

    class Waiting(bytes):  # its first piece comes alone
        def __getitem__(self, part):
            if part.start:
                t.wait_for(lambda: len(parts) >= 3, what="three parts at once")
            piece = bytes.__getitem__(self, part)
            return piece if part.start else Waiting(piece)

    def script(request):
        ranged = request.headers.get("Range")
        if big not in request.path:
            return None
        if state == "whole":
            return Answer(200, server.blobs[big])
        if not ranged:
            return None
        parts.add(ranged)
        if state == "held" and ranged.startswith("bytes=0-"):
            a = server.serve(request)
            a.body, a.cut, a.pause = Waiting(a.body), 3 << 20, (1 << 20, 0)
            return a
        if state == "held" and ranged.startswith("bytes=3145728-"):
            t.wait_for(lambda: state != "held", what="the kill")
        a = server.serve(request)
        if state == "broken" and request.count == 0 and len(parts) % 2:
            a.cut = 1 << 20
        return a
    server, store, parts = FaultServer(t, script), Store(t), set()
    files = {"big": os.urandom(38 << 20)}
    server.add_image("app", "v1", [files])
    big = digest_of(reg.make_layer(files)[0])
    process = store.start("pull", f"{server.host}/app:v1")
    t.wait_for(lambda: any(p.startswith("bytes=3145728-") for p in parts), what="the broken part")
    t.wait_for(lambda: sum(p.stat().st_size for p in (store.root / "ingest").glob("sha256-*")) > 8 << 20, what="a later part")
    process.kill()
    process.wait()
    state = "broken"
    parts.clear()
    assert "changed=1" in store.pull(f"{server.host}/app:v1").out
    starts = sorted(int(p[6:].split("-")[0]) for p in parts)
    assert 2 << 20 < starts[0] <= 3 << 20 and len(starts) > 3, starts
    assert store.ingest() == []
    store, state = Store(t, "other"), "whole"
    assert "changed=1" in store.pull(f"{server.host}/app:v1").out


test_large_blob_comes_over_several_connections.asan = False  # 38 MB, and the same code as for small blobs


def test_full_disk(t):
    """A full disk is said to be one, and what the pull brought is given back."""
    if os.geteuid() != 0:
        t.skip("mounting a small tmpfs needs root")
    server, store = FaultServer(t), Store(t)
    server.add_image("app", "v1", [{"small": b"x"}, {"big": RANDOM + os.urandom(6_000_000)}])
    store.root.mkdir()
    t.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", store.root])
    t.defer(t.run, ["umount", store.root])
    store.fails(f"{server.host}/app:v1", kind="no-space", says="no space left")
    used = os.statvfs(store.root)
    assert (used.f_blocks - used.f_bavail) * used.f_bsize < 1_000_000
    assert store.ingest() == [] and store("list").out == ""


def test_full_disk_while_applying(t):
    """The blob fits, its layer does not: the same."""
    if os.geteuid() != 0:
        t.skip("mounting a small tmpfs needs root")
    server, store = FaultServer(t), Store(t)
    server.add_image("app", "v1", [{"zeros": bytes(20_000_000)}])
    store.root.mkdir()
    t.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", store.root])
    t.defer(t.run, ["umount", store.root])
    store.fails(f"{server.host}/app:v1", kind="no-space", says="no space left")
    used = os.statvfs(store.root)
    assert (used.f_blocks - used.f_bavail) * used.f_bsize < 1_000_000
    assert store.ingest() == [] and list((store.root / "layers").iterdir()) == []


def test_foreign_layer(t):
    """A non-distributable layer is fetched from its own URL, without credentials."""
    seen = []
    elsewhere = FaultServer(t, lambda r: seen.append(r.headers.get("Authorization")) or Answer(200, layer))
    basic = "Basic " + base64.b64encode(b"u:p").decode()
    server = FaultServer(t, lambda r: None if r.headers.get("Authorization") == basic else Answer(
        401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
    store = Store(t)
    manifest = json.loads(server.add_image("app", "v1", [{"a": b"1"}]))
    descriptor = manifest["layers"][0]
    layer = server.blobs.pop(descriptor["digest"])
    descriptor.update(mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls=[f"http://{elsewhere.host}/layer"])
    server.manifests["app", "v1"] = (reg.OCI_MANIFEST, json.dumps(manifest).encode())
    store.pull(f"{server.host}/app:v1", "user=u:p")
    assert seen == [None]


def test_config_lies(t):
    """A config whose layers are not the manifest's, or for another system, is refused before anything is recorded."""
    server, store = FaultServer(t), Store(t)
    server.add_image("app", "windows", [{"a": b"1"}], os="windows")
    store.fails(f"{server.host}/app:windows", kind="unsupported", says="windows")
    server.add_image("app", "few", [{"a": b"1"}, {"b": b"1"}], rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64]})
    store.fails(f"{server.host}/app:few", kind="invalid", says="lists 2 layers, its config 1")
    server.add_image("app", "wrong", [{"a": b"1"}], rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64]})
    store.fails(f"{server.host}/app:wrong", kind="corrupt", says="sha256:0000")
    assert store("list").out == ""


def test_debian_from_a_real_registry(t):
    """A real Debian root file system as an image of one gzip layer, pushed by skopeo, pulled by us."""
    t.need("umoci", "skopeo")
    rootfs = t.debian_rootfs_tar()
    layout = t._once("debian-oci", lambda path: debian_layout(t, rootfs, path))
    registry, store = start_registry(t), Store(t)
    image = registry.push(f"oci:{layout}:debian", "debian:12")
    r = store.pull(image)
    assert "layers=1" in r.out
    size = int(re.search(r"size=(\d+)", r.out).group(1))
    assert size > 100_000_000
    assert "changed=0" in store.pull(image).out


test_debian_from_a_real_registry.timeout = 600
test_debian_from_a_real_registry.asan = False


def debian_layout(t, rootfs, path):
    """An OCI layout with the image "debian" of one layer from a tar."""
    t.run(["umoci", "init", "--layout", path])
    t.run(["umoci", "new", "--image", f"{path}:debian"])
    t.run(["umoci", "raw", "add-layer", "--image", f"{path}:debian", rootfs], timeout=300)
    t.run(["umoci", "config", "--image", f"{path}:debian", "--config.cmd", "bash"])
