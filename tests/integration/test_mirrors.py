# SPDX-License-Identifier: Apache-2.0
"""registries.conf, certs.d and proxies: where a name is really fetched from, and with what."""

import http.server
import re
import shutil
import threading

import registry_fixture as reg
from registry_fixture import FaultServer, PushServer, free_port


def configured(t, text):
    """A function like t.havre with this registries.conf and no credentials."""
    path = t.tmp / "registries.conf"
    path.write_text(text)
    home = t.tmp / "home"
    home.mkdir(exist_ok=True)

    def havre(*args, **kw):
        env = {"CONTAINERS_REGISTRIES_CONF": path, "REGISTRY_AUTH_FILE": t.tmp / "none.json", "HOME": home, **kw.pop("env", {})}
        return t.havre(*args, env=env, **kw)
    return havre


def server_with_image(t, name="app", tag="v1", content=b"1", script=None):
    server = FaultServer(t, script)
    server.add_image(name, tag, [{"a": content}])
    return server


def test_mirror(t):
    """A mirror is asked first and alone; what it does not have, or cannot say, comes from the next one and at last from the registry."""
    good = server_with_image(t, "cache/app")
    empty, origin = FaultServer(t), server_with_image(t, content=b"other")
    dead = f"127.0.0.1:{free_port()}"
    havre = configured(t, f"""
        [[registry]]
        prefix = "registry.example"
        location = "{origin.host}"
        [[registry.mirror]]
        location = "{dead}"
        [[registry.mirror]]
        location = "{empty.host}/none"
        [[registry.mirror]]
        location = "{good.host}/cache"
        """)
    r = havre("pull", "registry.example/app:v1")
    assert r.out.count("is of no use") == 2 and dead in r.out and not origin.requests, r
    assert good.count("GET", "/v2/cache/app/manifests/v1") == 1 and good.count("GET", "/v2/cache/app/blobs/") == 2
    assert havre("images", "--format", "{{.Repository}}:{{.Tag}}").out == "registry.example/app:v1\n"
    origin.add_image("app", "only-here", [{"a": b"3"}])
    havre("pull", "-q", "registry.example/app:only-here")
    assert origin.count("GET", "only-here") == 1
    r = havre("pull", "registry.example/app:nowhere", check=False)
    assert r.rc == 1 and re.search("app:nowhere not found", r.err), r


def test_containerd_hosts(t):
    """containerd's hosts.toml: hosts that can what is wanted are asked in their order, the server last; registries.conf counts before it."""
    mirror, origin, pushed = server_with_image(t, "cache/app"), server_with_image(t, content=b"other"), PushServer(t)
    other = server_with_image(t)
    havre = configured(t, f'[[registry]]\nprefix="both.example"\nlocation="{other.host}"\n')

    def hosts(name, text):
        path = t.tmp / "home/.config/containerd/certs.d" / name / "hosts.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    hosts("reg.example:5000", f"""
        server = "http://{origin.host}"
        [host."http://{other.host}"]
          capabilities = ["push"]
        [host."http://{mirror.host}/v2/cache"]
          capabilities = ["pull", "resolve"]
          override_path = true
        """)
    havre("pull", "-q", "reg.example:5000/app:v1")
    assert mirror.count("GET", "/v2/cache/app/manifests/v1") == 1 and not origin.requests and not other.requests
    origin.add_image("app", "only-here", [{"a": b"3"}])
    assert havre("pull", "reg.example:5000/app:only-here").out.count("is of no use") == 1
    hosts("_default", f'server = "http://{pushed.host}"\n')
    havre("tag", "reg.example:5000/app:v1", "any.example/app:v2")
    havre("push", "-q", "any.example/app:v2")
    assert ("app", "v2") in pushed.manifests
    hosts("both.example", f'server = "http://{origin.host}"\n')
    havre("pull", "-q", "both.example/app:v1")
    assert other.requests
    for text, says in (('[host."http://x/y"]\n', "override_path"), ('server = true\n', "server must be one string"),
                       ('[host."http://x"]\nclient = "a.pem"\n', "client certificates"), ('[host."http://x"]\ncapabilities = "pull"\n', "list of strings"),
                       ('[host."http://x".header]\na = "b"\n', "headers")):
        hosts("bad.example", text)
        r = havre("pull", "bad.example/app", check=False)
        assert r.rc == 1 and says in r.err and "bad.example/hosts.toml" in r.err, (text, r)


def test_second_pull_from_a_mirror_is_one_request(t):
    """An unchanged name costs one request to the first mirror."""
    mirror = server_with_image(t)
    havre = configured(t, f'[[registry]]\nlocation = "registry.example"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n')
    havre("pull", "-q", "registry.example/app:v1")
    mirror.requests.clear()
    assert "up to date" in havre("pull", "registry.example/app:v1").out
    assert [(q.command, q.path) for q in mirror.requests] == [("HEAD", "/v2/app/manifests/v1")]


def test_pull_from_mirror(t):
    """digest-only mirrors serve digests, tag-only ones tags."""
    digests, tags, origin = server_with_image(t), server_with_image(t), server_with_image(t)
    digest = reg.digest_of(origin.manifests["app", "v1"][1])
    havre = configured(t, f"""
        [[registry]]
        location = "{origin.host}"
        mirror = [{{ location = "{digests.host}", pull-from-mirror = "digest-only" }},
                  {{ location = "{tags.host}", pull-from-mirror = "tag-only" }}]
        """)
    havre("pull", "-q", f"{origin.host}/app:v1")
    assert tags.requests and not digests.requests and not origin.requests
    tags.requests.clear()
    havre("rmi", "-f", f"{origin.host}/app:v1")
    havre("pull", "-q", f"{origin.host}/app@{digest}")
    assert digests.requests and not tags.requests and not origin.requests


def test_mirrors_are_for_reading(t):
    """A push goes to the registry itself, rewritten as the configuration says, and to no mirror; a blocked one is refused."""
    origin, mirror = PushServer(t), server_with_image(t)
    havre = configured(t, f"""
        [[registry]]
        prefix = "registry.example/team"
        location = "{origin.host}/moved"
        [[registry.mirror]]
        location = "{mirror.host}"
        [[registry]]
        location = "bad.example"
        blocked = true
        """)
    havre("pull", "-q", "registry.example/team/app:v1")
    mirror.requests.clear()
    havre("push", "-q", "registry.example/team/app:v1")
    assert ("moved/app", "v1") in origin.manifests and not mirror.requests
    for command in ("pull", "push"):
        if command == "push":
            havre("tag", "registry.example/team/app:v1", "bad.example/app:v1")
        r = havre(command, "bad.example/app:v1", check=False)
        assert r.rc == 1 and "blocked by the registry configuration (prefix bad.example)" in r.err, r


def test_broken_configuration(t):
    """A mistake in the file is an error with its line, not a guess."""
    havre = configured(t, '[[registry]]\nlocation = "x.example"\nblocked = "yes"\n')
    r = havre("pull", "y.example/app", check=False)
    assert r.rc == 1 and "registries.conf line 3: blocked must be true or false" in r.err, r


def test_user_configuration(t):
    """Without CONTAINERS_REGISTRIES_CONF the user's own file and its drop-ins count; the last one read wins."""
    first, second = server_with_image(t), server_with_image(t)
    own = t.tmp / "home/.config/containers"
    havre = configured(t, "")
    (own / "registries.conf.d").mkdir(parents=True)
    (own / "registries.conf").write_text(f'[[registry]]\nprefix = "registry.example"\nlocation = "{first.host}"\n')
    env = {"CONTAINERS_REGISTRIES_CONF": None, "XDG_CONFIG_HOME": None}
    havre("pull", "-q", "registry.example/app:v1", env=env)
    assert first.requests and not second.requests
    (own / "registries.conf.d/10.conf").write_text(f'[[registry]]\nprefix = "registry.example"\nlocation = "{second.host}"\n')
    havre("rmi", "-f", "registry.example/app:v1")
    havre("pull", "-q", "registry.example/app:v1", env=env)
    assert second.requests


def test_certificates(t):
    """certs.d: the registry's CA makes it trusted, the client's certificate is shown to a registry that demands one."""
    t.need("openssl")
    work = t.tmp / "pki"
    work.mkdir()
    ca, certificate, key = reg.make_certificate(work)
    server = FaultServer(t, tls=(certificate, key), client_ca=ca)
    server.add_image("app", "v1", [{"a": b"1"}])
    havre = configured(t, "")
    certs = t.tmp / "home/.config/containers/certs.d" / server.host
    certs.mkdir(parents=True)
    name = f"{server.host}/app:v1"
    assert "cannot be trusted" in havre("pull", name, check=False).err
    shutil.copy(ca, certs / "ca.crt")
    r = havre("pull", name, check=False)
    assert r.rc == 1 and "cannot be trusted" not in r.err and not server.requests, r
    shutil.copy(certificate, certs / "client.cert")
    r = havre("pull", name, check=False)
    assert r.rc == 1 and "client.cert needs its key" in r.err, r
    shutil.copy(key, certs / "client.key")
    havre("pull", "-q", name)
    assert server.count("GET", "/manifests/v1") == 1


def test_proxy(t):
    """HTTP_PROXY and NO_PROXY of the environment count; a registry on this machine is reached directly."""
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_CONNECT(self):
            asked.append(self.path)
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    t.defer(proxy.server_close)
    t.defer(proxy.shutdown)
    havre = configured(t, "")
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    env = {"https_proxy": url, "HTTPS_PROXY": url, "http_proxy": url, "no_proxy": "", "NO_PROXY": ""}
    r = havre("pull", "registry.invalid/app:v1", check=False, env=env)
    assert r.rc == 1 and asked == ["registry.invalid:443"] and "the proxy refuses (403)" in r.err, (r, asked)
    r = havre("pull", "registry.invalid/app:v1", check=False, env={**env, "no_proxy": "registry.invalid", "NO_PROXY": "registry.invalid"})
    assert r.rc == 1 and "cannot be resolved" in r.err and len(asked) == 1, r
    server = server_with_image(t)
    havre("pull", "-q", f"{server.host}/app:v1", env=env)
    assert len(asked) == 1
