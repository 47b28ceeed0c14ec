# SPDX-License-Identifier: Apache-2.0
"""A havred of the test's own, and the stock clients for it."""

import base64
import http.client
import json
import socket
import sys
import tempfile
from pathlib import Path


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Api:
    """.docker(…) runs docker's client; .call(method, path, body) answers (status, decoded body)."""

    def __init__(self, t):
        self.t = t
        self.directory = tempfile.TemporaryDirectory(prefix="havred-", dir="/tmp")  # a socket's path is short
        t.defer(self.directory.cleanup)
        self.path = str(Path(self.directory.name) / "s")
        self.env = {"DOCKER_HOST": "unix://" + self.path, "DOCKER_CONFIG": str(t.tmp)}
        self.process = None
        self.start()

    def start(self):
        t = self.t
        self.process = t.start([t.bin / "havred", "--root", t.root, "--run", t.run_dir, "-H", "unix://" + self.path],
                               stdout=sys.stderr, stderr=sys.stderr)
        t.wait_for(self.answers, what="havred answers")

    def answers(self):
        assert self.process.poll() is None, "havred has ended"
        try:
            return self.call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, headers=None):
        c = Connection(self.path)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        c.request(method, path, body, headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        if "json" in r.getheader("Content-Type", "") and data:
            try:
                return r.status, json.loads(data)
            except ValueError:
                pass
        return r.status, data

    def head(self, path):
        """What docker says of a file in a container."""
        c = Connection(self.path)
        c.request("HEAD", path)
        r = c.getresponse()
        assert r.status == 200, (path, r.status)
        c.close()
        return json.loads(base64.b64decode(r.getheader("X-Docker-Container-Path-Stat")))

    def raw(self, data):
        """What a connection answers to these bytes until it is closed."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.path)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            out = b""
            while True:
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:  # it did not read all of it
                    return out
                if not piece:
                    return out
                out += piece

    def docker(self, *args, **kw):
        return self.t.run(["docker", *args], env=self.env, **kw)
