# SPDX-License-Identifier: Apache-2.0
"""Names of containers: the resolver at 127.0.0.11, with the host's servers behind it."""

import json
import os
import signal
import socket
import struct
import sys
import threading

from network_fixture import address, isolate

A, PTR, MX, TXT, AAAA, SRV, HTTPS = 1, 12, 15, 16, 28, 33, 65

# Asks the resolver of the network namespace it runs in: argv is JSON [[name, type, "udp" or "tcp"], …]; prints [[rcode, [answers]], …].
ASK = r"""
import json, socket, struct, sys
def name(m, at):
    out = []
    while m[at]:
        if m[at] >= 192:
            tail, _ = name(m, (m[at] & 63) << 8 | m[at + 1])
            return out + tail, at + 2
        out.append(m[at + 1:at + 1 + m[at]].decode()); at += 1 + m[at]
    return out, at + 1
results = []
for asked, kind, how in json.loads(sys.argv[1]):
    q = struct.pack(">HHHHHH", 77, 256, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in asked.split(".")) + struct.pack(">BHH", 0, kind, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if how == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(30)
    s.connect(("127.0.0.11", 53))
    s.send((struct.pack(">H", len(q)) if how == "tcp" else b"") + q)
    m = s.recv(65535)
    if how == "tcp":
        while len(m) < 2 or len(m) < 2 + struct.unpack(">H", m[:2])[0]:
            m += s.recv(65535)
        m = m[2:]
    n, (_, at), answers = struct.unpack(">H", m[6:8])[0], name(m, 12), []
    at += 4
    for _ in range(n):
        _, at = name(m, at)
        t, _, _, size = struct.unpack(">HHIH", m[at:at + 10]); at += 10
        answers.append(".".join(name(m, at)[0]) if t == 12 else socket.inet_ntop(socket.AF_INET if t == 1 else socket.AF_INET6, m[at:at + size]))
        at += size
    results.append([m[3] & 15, answers])
print(json.dumps(results))
"""


def pid(t, name):
    return t.havre("inspect", "-f", "{{.State.Pid}}", name).out.strip()


def ask(t, container, *questions):
    full = [[q[0], q[1] if len(q) > 1 else A, q[2] if len(q) > 2 else "udp"] for q in questions]
    return json.loads(t.run(["nsenter", "-t", pid(t, container), "-n", sys.executable, "-c", ASK, json.dumps(full)], timeout=60).out)


class Server:
    """A name server of the outside, at 127.0.0.1 of this namespace: every name is 203.0.113.7; it remembers what it was asked."""

    def __init__(self, t):
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 53))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.bind(("127.0.0.1", 53))
        self.tcp.listen(5)
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        self.asked.append(".".join(labels))
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([203, 0, 113, 7])
        return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1, 0, 0) + query[12:end] + record

    def serve_udp(self):
        while True:
            query, who = self.udp.recvfrom(4096)
            self.udp.sendto(self.answer(query), who)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            query = connection.recv(4096)
            answer = self.answer(query[2:])
            connection.sendall(struct.pack(">H", len(answer)) + answer)
            connection.close()


def sleeper(t, name, *flags):
    t.havre("run", "-d", "--name", name, *flags, "busybox:test", "sleep", "600")
    t.defer(t.havre, "rm", "-f", name)


def test_network_names(t):
    """names, aliases, short ids, name.network, any case; no data for what is known; reverse; others are forwarded, by UDP and TCP"""
    isolate(t)
    server = Server(t)
    t.havre("network", "create", "shop")
    t.havre("network", "create", "other")
    sleeper(t, "db", "--network", "shop", "--network-alias", "store", "--hostname", "dbhost")
    sleeper(t, "db2", "--network", "shop", "--network-alias", "store")
    sleeper(t, "far", "--network", "other")
    sleeper(t, "web", "--network", "shop", "--dns", "127.0.0.1", "--link", "db:base")
    db, db2 = address(t, "db", "shop"), address(t, "db2", "shop")
    short = t.havre("inspect", "-f", "{{.Id}}", "db").out[:12]
    reverse = ".".join(reversed(db.split("."))) + ".in-addr.arpa"
    got = ask(t, "web", ["db"], ["DB.Shop"], [short], ["dbhost"], ["base"], ["db", A, "tcp"], ["db", AAAA], [reverse, PTR])
    assert got == [[0, [db]]] * 6 + [[0, []], [0, ["db.shop"]]], got
    assert sorted(ask(t, "web", ["store"])[0][1]) == sorted([db, db2])
    # Of what is known but has no such record: no data, and no question to others.
    assert ask(t, "web", ["_http._tcp.db", SRV], ["db", SRV], ["db", MX], ["db", HTTPS], ["_dmarc.base", TXT]) == [[0, []]] * 5
    assert server.asked == []  # nothing that is known went out
    got = ask(t, "web", ["example.org"], ["far"], ["example.net", A, "tcp"])
    assert got == [[0, ["203.0.113.7"]]] * 3 and server.asked == ["example.org", "far", "example.net"]
    assert "db" in t.havre("exec", "web", "nslookup", "db").out
    assert t.havre("exec", "web", "cat", "/etc/resolv.conf").out.splitlines()[0] == "nameserver 127.0.0.11"
    # A name server of the container's own finds its port free.
    t.havre("exec", "web", "sh", "-c", "nc -lu -p 53 -w 1 & sleep 0.3; kill %1")
    # A new name, a new network, and the end.
    t.havre("rename", "db2", "cache")
    assert ask(t, "web", ["cache"])[0] == [0, [db2]]
    t.havre("network", "connect", "--alias", "shopper", "other", "web")
    assert ask(t, "web", ["far"])[0] == [0, [address(t, "far", "other")]]
    assert ask(t, "far", ["shopper"])[0] == [0, [address(t, "web", "other")]]
    t.havre("network", "disconnect", "other", "web")
    t.havre("stop", "-t", "0", "cache")
    assert ask(t, "web", ["store"], ["cache"]) == [[0, [db]], [0, ["203.0.113.7"]]]


def test_network_names_internal(t):
    """CVE-2024-29018: a container on internal networks alone is told that a foreign name does not exist, and nobody is asked"""
    isolate(t)
    server = Server(t)
    t.havre("network", "create", "--internal", "back")
    sleeper(t, "one", "--network", "back", "--dns", "127.0.0.1")
    assert ask(t, "one", ["one"], ["example.org"], ["example.org", A, "tcp"]) == [[0, [address(t, "one", "back")]], [3, []], [3, []]]
    assert server.asked == []


def test_network_after_kill(t):
    """kill -9 of the monitor: the next command takes back name, address, port and rules, and the interface goes"""
    isolate(t)
    t.havre("network", "create", "shop")
    sleeper(t, "one", "--network", "shop", "-p", "8080:80")
    sleeper(t, "two", "--network", "shop")
    monitor = int(open(f"/proc/{pid(t, 'one')}/stat").read().rsplit(")", 1)[1].split()[1])
    os.kill(monitor, signal.SIGKILL)
    t.wait_for(lambda: "Exited (137)" in t.havre("ps", "-a", "--filter", "name=one", "--format", "{{.Status}}").out)
    names = (t.run_dir / "networks").glob("*.names")
    assert all("one" not in f.read_text().split() for f in names)
    t.havre("run", "--rm", "--network", "shop", "-p", "8080:80", "busybox:test", "true")
    t.wait_for(lambda: t.run(["ip", "-br", "link"]).out.count("veth") == 1)
    if t.run(["nft", "--version"], check=False).rc == 0:
        assert "tcp . 8080" not in t.run(["nft", "list", "ruleset"]).out


def test_network_legacy_links(t):
    """--link on the default network: a name in /etc/hosts and docker's variables, in execs too, and weaker than --env; a link needs a running container"""
    image = isolate(t)
    sleeper(t, "db", "--expose", "5432", "-p", "53/udp", "--expose", "5432", "-e", "MODE=fast", "-e", "PATH=/bin")
    db = address(t, "db")
    sleeper(t, "web", "--link", "db:my-db", "--link", "db", "-e", "DB_NAME=mine")
    hosts = t.havre("exec", "web", "cat", "/etc/hosts").out
    short = t.havre("inspect", "-f", "{{.Id}}", "db").out[:12]
    assert f"{db}\tmy-db {short} db\n" in hosts and f"{db}\tdb {short} db\n" in hosts
    wanted = {"MY_DB_PORT": f"udp://{db}:53", "MY_DB_PORT_5432_TCP": f"tcp://{db}:5432", "MY_DB_PORT_5432_TCP_ADDR": db,
              "MY_DB_PORT_5432_TCP_PORT": "5432", "MY_DB_PORT_5432_TCP_PROTO": "tcp", "MY_DB_PORT_53_UDP": f"udp://{db}:53",
              "MY_DB_NAME": "/web/my-db", "MY_DB_ENV_MODE": "fast", "DB_NAME": "mine"}
    first = t.havre("run", "--rm", "--name", "web2", "--link", "db:my-db", "-e", "DB_NAME=mine", image, "env").out.replace("/web2/", "/web/")
    for env in (t.havre("exec", "web", "env").out, first):
        have = dict(line.split("=", 1) for line in env.splitlines())
        assert {k: have.get(k) for k in wanted} == wanted, have
        assert "MY_DB_ENV_PATH" not in have
    t.havre("stop", "-t", "0", "db")
    refused = t.havre("run", "--rm", "--link", "db", image, "true", check=False)
    assert refused.rc == 125 and "non running container: db" in refused.err
    assert t.havre("exec", "web", "true").rc == 0
