# SPDX-License-Identifier: Apache-2.0
"""Log drivers and what their options add."""
import json
import os
import re
import socket

TALK = ("sh", "-c", "echo out; echo err >&2; printf part")


def log_file(t, name):
    return os.path.join(t.root, "containers", json.loads(t.havre("inspect", name).out)[0]["Id"], "container.log")


def test_log_k8s_file(t):
    """The lines are those of container runtimes under Kubernetes, logs reads them, and they are rotated."""
    t.havre("run", "--network", "none", "--name", "k1", "--log-driver", "k8s-file", t.busybox_image(), *TALK)
    t.defer(t.havre, "rm", "k1")
    with open(log_file(t, "k1")) as f:
        lines = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) (F|P) (.*)\n", line) for line in f]
    assert sorted(m.groups() for m in lines) == [("stderr", "F", "err"), ("stdout", "F", "out"), ("stdout", "P", "part")], lines
    got = t.havre("logs", "k1")
    assert got.out == "out\npart" and got.err == "err\n", got
    t.havre("run", "--network", "none", "--name", "k2", "--log-driver", "k8s-file", "--log-opt", "max-size=1k", "--log-opt", "max-file=2",
            t.busybox_image(), "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do seq 10; done")
    t.defer(t.havre, "rm", "k2")
    path = log_file(t, "k2")
    assert os.path.getsize(path) <= 1024 and os.path.getsize(path + ".1") <= 1024 and not os.path.exists(path + ".2")


def test_log_details(t):
    """labels, env and tag are in the entries of json-file and before the lines of logs --details; a wrong option is named."""
    t.havre("run", "--network", "none", "--name", "c1", "-l", "a=b", "-e", "E=f", "--log-opt", "labels=a,none", "--log-opt", "env=E",
            "--log-opt", "tag={{.Name}}/x", t.busybox_image(), "echo", "hello")
    t.defer(t.havre, "rm", "c1")
    with open(log_file(t, "c1")) as f:
        assert json.loads(f.readline())["attrs"] == {"a": "b", "E": "f", "tag": "c1/x"}
    assert t.havre("logs", "--details", "c1").out == "a=b,E=f,tag=c1/x hello\n"
    assert t.havre("logs", "c1").out == "hello\n"
    for flags, words in ((("--log-driver", "smoke"), "smoke"), (("--log-driver", "journald", "--log-opt", "max-size=1m"), "max-size"),
                         (("--log-opt", "max-file=3"), "max-size"), (("--log-opt", "colour=red"), "colour")):
        r = t.havre("create", *flags, t.busybox_image(), "true", check=False)
        assert r.rc == 125 and words in r.err, r


def test_log_journald(t):
    """An entry is a datagram of the journal's protocol with docker's fields; logs says where they are; without a journal the start fails."""
    path = os.path.join(t.tmp, "journal")
    args = ("run", "--network", "none", "--log-driver", "journald", "--log-opt", "labels=a", "-l", "a=b", "--name", "j1",
            t.busybox_image(), *TALK)
    r = t.havre(*args, env={"HAVRE_JOURNAL_SOCKET": path}, check=False)
    assert r.rc == 125 and "journal" in r.err, r
    t.havre("rm", "j1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        journal.settimeout(30)
        t.havre(*args, env={"HAVRE_JOURNAL_SOCKET": path})
        entries = [dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines()) for _ in range(3)]
    entries.sort(key=lambda e: e["MESSAGE"])
    assert [(e["MESSAGE"], e["PRIORITY"], e.get("CONTAINER_PARTIAL_MESSAGE")) for e in entries] == [
        ("err", "3", None), ("out", "6", None), ("part", "6", "true")], entries
    one = entries[0]
    assert one["CONTAINER_NAME"] == "j1" and one["A"] == "b" and one["SYSLOG_IDENTIFIER"] == one["CONTAINER_ID_FULL"][:12], one
    r = t.havre("logs", "j1", check=False)
    assert r.rc == 1 and "journalctl CONTAINER_ID_FULL=" in r.err, r
    t.havre("rm", "j1")
