# SPDX-License-Identifier: Apache-2.0
"""Registries to test against: Debian's docker-registry (plain, or with TLS and passwords), and a scripted one that misbehaves.

    registry = start_registry(t)                 # registry.host is "127.0.0.1:PORT"
    image = registry.push_busybox("app:v1")      # "127.0.0.1:PORT/app:v1", made by umoci, pushed by skopeo
"""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
USER, PASSWORD = "tester", "se cret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(directory, name="127.0.0.1"):
    """A CA and a server certificate for 127.0.0.1 and localhost; returns (ca, certificate, key)."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    ext = Path(directory) / "ext.cnf"
    ext.write_text("subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:localhost\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test CA")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt",
            "-days", "2", "-extfile", "ext.cnf")
    return tuple(Path(directory) / n for n in ("ca.crt", "server.crt", "server.key"))


class Registry:
    def __init__(self, t, tls, password):
        self.t, self.tls, self.password = t, tls, password
        self.directory = t.tmp / f"registry{t.id('r')[-4:]}"
        self.directory.mkdir()
        self.storage = self.directory / "storage"
        self.ca = None
        config = ["version: 0.1", "log: {level: warn}", "storage:", "  cache: {blobdescriptor: inmemory}",
                  f"  filesystem: {{rootdirectory: {self.storage}}}", "  delete: {enabled: true}"]
        if password:
            t.need("htpasswd")
            line = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True, stdout=subprocess.PIPE, text=True).stdout
            (self.directory / "htpasswd").write_text(line)
            config += ["auth:", f"  htpasswd: {{realm: test, path: {self.directory}/htpasswd}}"]
        if tls:
            t.need("openssl")
            self.ca, certificate, key = make_certificate(self.directory)
            config += ["http:", f"  tls: {{certificate: {certificate}, key: {key}}}"]
        else:
            config += ["http:"]
        self._start(config)

    def _start(self, config):
        for attempt in range(5):  # the free port may be taken in between
            self.port = free_port()
            self.host = f"127.0.0.1:{self.port}"
            path = self.directory / "config.yml"
            path.write_text("\n".join(config + [f"  addr: {self.host}"]) + "\n")
            self.log = open(self.directory / "log", "ab")
            self.process = self.t.start(["docker-registry", "serve", path], stdout=self.log, stderr=self.log)
            self.t.defer(self.log.close)
            if self.t.wait_for(lambda: self._answers() or self.process.poll() is not None, what="docker-registry"):
                if self.process.poll() is None:
                    return
        raise AssertionError((self.directory / "log").read_text())

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    def skopeo_flags(self, side="dest"):
        flags = []
        if self.tls:
            flags.append(f"--{side}-cert-dir={self.directory}")
        else:
            flags.append(f"--{side}-tls-verify=false")
        if self.password:
            flags.append(f"--{side}-creds={USER}:{PASSWORD}")
        return flags

    def push(self, source, name, *flags):
        """Copies an image (skopeo's words: oci:DIR:TAG) to NAME in this registry; returns its full name."""
        self.t.need("skopeo")
        if self.tls:  # skopeo wants client pairs beside each other and would take server.crt for a CA
            certs = self.directory / "certs"
            certs.mkdir(exist_ok=True)
            shutil.copy(self.ca, certs / "ca.crt")
        destination = self.skopeo_flags() if not self.tls else [f"--dest-cert-dir={self.directory}/certs"] + (
            [f"--dest-creds={USER}:{PASSWORD}"] if self.password else [])
        self.t.run(["skopeo", "--insecure-policy", "copy", "-q", *destination, *flags, source, f"docker://{self.host}/{name}"],
                   timeout=120)
        return f"{self.host}/{name}"

    def push_busybox(self, name, layers=1, *flags):
        return self.push(f"oci:{busybox_layout(self.t, layers)}:image", name, *flags)

    def blob_path(self, digest):
        algorithm, hexa = digest.split(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / hexa[:2] / hexa / "data"

    def manifest(self, name, tag):
        request = urllib.request.Request(f"http://{self.host}/v2/{name}/manifests/{tag}", headers={
            "Accept": f"{OCI_MANIFEST}, {OCI_INDEX}, application/vnd.docker.distribution.manifest.v2+json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def put_manifest(self, name, tag, data, media_type):
        request = urllib.request.Request(f"http://{self.host}/v2/{name}/manifests/{tag}", data=data, method="PUT",
                                         headers={"Content-Type": media_type})
        urllib.request.urlopen(request, timeout=10).close()


def start_registry(t, tls=False, password=False):
    t.need("docker-registry")
    return Registry(t, tls, password)


def busybox_layout(t, layers=1):
    """An OCI layout with the image "image", made by umoci: busybox, and for each further layer a file /layerN (and layer 2 removes one)."""
    t.need("umoci", "skopeo")

    def make(path):
        work = Path(str(path) + ".work")
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)

        def umoci(*args):
            subprocess.run(["umoci", *[str(a) for a in args]], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        umoci("init", "--layout", path)
        umoci("new", "--image", f"{path}:image")
        umoci("unpack", "--image", f"{path}:image", work)
        root = t.busybox_rootfs(work / "rootfs")
        for n in range(1, layers + 1):
            if n > 1:
                (root / f"layer{n}").write_text(f"layer {n}\n" * 1000 * n)
                (root / f"random{n}").write_bytes(os.urandom(200000))
            if n == 2:
                (root / "etc/group").unlink()
            umoci("repack", "--refresh-bundle", "--image", f"{path}:image", work)
        umoci("config", "--image", f"{path}:image", "--config.cmd", "sh", "--config.env", "PATH=/bin", "--author", "havre tests")
        umoci("gc", "--layout", path)
        shutil.rmtree(work)
    return t._once(f"busybox-oci-{layers}", make)


# -- a registry that misbehaves -----------------------------------------------------------------------------------

def havre(t, *args, **kw):
    """havre without any credentials or registries of the machine's"""
    kw["env"] = {"REGISTRY_AUTH_FILE": t.tmp / "none.json", "CONTAINERS_REGISTRIES_CONF": t.tmp / "none.conf", **kw.get("env", {})}
    return t.havre(*args, **kw)


def fails(t, *args, says, **kw):
    r = havre(t, *args, check=False, **kw)
    assert r.rc == 1, r
    for text in [says] if isinstance(says, str) else says:
        assert re.search(text, r.err), (text, r)
    return r


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layer(files):
    """(gzip bytes, diff id) of a layer with these files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1700000000
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), 1, mtime=0), digest_of(plain.getvalue())


def make_image(layers, **config):
    """A dict of blobs and the manifest of an image of [{name: bytes}, …]: (blobs, manifest bytes)."""
    blobs, descriptors, diff_ids = {}, [], []
    for files in layers:
        data, diff_id = make_layer(files)
        blobs[digest_of(data)] = data
        descriptors.append({"mediaType": OCI_LAYER_GZIP, "digest": digest_of(data), "size": len(data)})
        diff_ids.append(diff_id)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    document = {"architecture": machine, "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"Cmd": ["x"]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    document.update(config)
    text = json.dumps(document).encode()
    blobs[digest_of(text)] = text
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": descriptors, "config": {
        "mediaType": OCI_CONFIG, "digest": digest_of(text), "size": len(text)}}).encode()
    return blobs, manifest


class Answer:
    def __init__(self, status=200, body=b"", headers=None, cut=None, pause=None, reset=False):
        self.status, self.body, self.headers = status, body, dict(headers or {})
        self.cut, self.pause, self.reset = cut, pause, reset  # send only so many bytes; (bytes, seconds) between pieces; close at once


class Request:
    def __init__(self, command, path, headers, body, count):
        self.command, self.path, self.headers, self.body, self.count = command, path, headers, body, count


class FaultServer:
    """A registry in this process. `blobs` and `manifests` ({(name, tag or digest): (type, bytes)}) are served properly; `script` may
    answer instead: a function (Request) -> Answer or None; a request's count is how many with its command and path came before. `requests` remembers all."""

    def __init__(self, t, script=None, tls=None, client_ca=None):
        self.blobs, self.manifests, self.requests = {}, {}, []
        self.script = script
        self.lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, ssl.SSLError, TimeoutError, ValueError):
                    self.close_connection = True

            def answer(self):
                body = server.read_body(self)
                with server.lock:
                    count = sum(1 for r in server.requests if (r.command, r.path) == (self.command, self.path))
                    request = Request(self.command, self.path, self.headers, body, count)
                    server.requests.append(request)
                a = server.script(request) if server.script else None
                server.send(self, a or server.serve(request))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.http = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[0], tls[1])
            if client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_ca)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        t.defer(self.http.server_close)
        t.defer(self.http.shutdown)

    def read_body(self, request):
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))

    def add_image(self, name, tag, layers, **config):
        blobs, manifest = make_image(layers, **config)
        self.blobs.update(blobs)
        self.manifests[name, tag] = self.manifests[name, digest_of(manifest)] = (OCI_MANIFEST, manifest)
        return manifest

    def serve(self, request):
        parts = request.path.split("?")[0].split("/")
        if len(parts) < 5 or parts[1] != "v2":
            return Answer(404)
        name, kind, what = "/".join(parts[2:-2]), parts[-2], parts[-1]
        if kind == "manifests" and (name, what) in self.manifests:
            media_type, data = self.manifests[name, what]
            return Answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)})
        if kind == "blobs" and what in self.blobs:
            data = self.blobs[what]
            ranged = request.headers.get("Range")
            if ranged:
                first, last = ranged.removeprefix("bytes=").split("-")
                start, end = int(first), int(last) + 1 if last else len(data)
                return Answer(206, data[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
            return Answer(200, data, {"Content-Type": "application/octet-stream"})
        code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
        return Answer(404, json.dumps({"errors": [{"code": code, "message": "manifest unknown"}]}).encode(),
                      {"Content-Type": "application/json"})

    def send(self, request, a):
        if a.reset:
            request.close_connection = True
            request.connection.close()
            return
        request.send_response(a.status)
        for name, value in a.headers.items():
            for one in value if isinstance(value, list) else [value]:
                request.send_header(name, one)
        request.send_header("Content-Length", str(len(a.body)))
        request.end_headers()
        if request.command == "HEAD":
            return
        body = a.body if a.cut is None else a.body[:a.cut]
        if a.pause:
            step, seconds = a.pause
            for i in range(0, len(body), step):
                request.wfile.write(body[i:i + step])
                request.wfile.flush()
                time.sleep(seconds)
        else:
            request.wfile.write(body)
        if a.cut is not None:
            request.wfile.flush()
            request.close_connection = True

    def count(self, method, part):
        return sum(1 for r in self.requests if r.command == method and part in r.path)


class PushServer(FaultServer):
    """A FaultServer that takes pushes. `breaks`: for the next requests with a body, how many bytes of it are taken before the
    connection is closed (None: all of them)."""

    def __init__(self, t, script=None, tls=None):
        super().__init__(t, script, tls)
        self.uploads, self.breaks, self.moves, self.opened = {}, [], {}, 0

    def read_body(self, request):
        size = int(request.headers.get("Content-Length") or 0)
        if request.command not in ("PUT", "PATCH") or "/uploads/" not in request.path or not size:
            return super().read_body(request)
        limit = self.breaks.pop(0) if self.breaks else None
        if limit is None:
            return request.rfile.read(size)
        part = request.rfile.read(limit)
        with self.lock:
            self.requests.append(Request(request.command, request.path, request.headers, part, 0))
            upload = self.uploads.get(self.upload_of(request.path))
            if upload is not None:
                upload += part
        raise ConnectionError

    def upload_of(self, path):
        return path.split("?")[0].split("/")[-1]

    def location(self, name, upload):
        self.moves[upload] = self.moves.get(upload, 0) + 1  # each answer moves it: who keeps an old one fails
        return {"Location": f"/v2/{name}/blobs/uploads/{upload}?state={self.moves[upload]}", "Range": f"0-{max(len(self.uploads[upload]) - 1, 0)}"}

    def serve(self, request):
        path, _, query = request.path.partition("?")
        parts = path.split("/")
        if "uploads" not in parts:
            if request.command == "PUT":
                name, what = "/".join(parts[2:-2]), parts[-1]
                self.manifests[name, what] = self.manifests[name, digest_of(request.body)] = (request.headers["Content-Type"], request.body)
                return Answer(201, b"", {"Docker-Content-Digest": digest_of(request.body)})
            return super().serve(request)
        name = "/".join(parts[2:parts.index("blobs")])
        if request.command == "POST":
            with self.lock:
                self.opened += 1
                upload = f"u{self.opened}"
            self.uploads[upload] = bytearray()
            return Answer(202, b"", self.location(name, upload))
        upload = parts[-1]
        if upload not in self.uploads or f"state={self.moves[upload]}" not in query:
            return Answer(404, json.dumps({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "upload unknown"}]}).encode())
        data = self.uploads[upload]
        if request.command == "GET":
            return Answer(204, b"", self.location(name, upload))
        if request.command == "PATCH":
            start = int(request.headers["Content-Range"].split("-")[0])
            if start != len(data):
                return Answer(416, b"", self.location(name, upload))
            data += request.body
            return Answer(202, b"", self.location(name, upload))
        data += request.body
        digest = urllib.parse.unquote(query.split("digest=")[1])
        if digest_of(data) != digest:
            return Answer(400, json.dumps({"errors": [{"code": "DIGEST_INVALID", "message": "digest does not match"}]}).encode())
        self.blobs[digest] = bytes(self.uploads.pop(upload))
        return Answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}"})
