#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that speaks CRIU's RPC and does nothing: it notes what it is asked, and answers as a test's plan says.

Executed as `criu swrk FD` it reads plan.json beside itself and appends each request to requests.jsonl there. The plan:
  version: [major, minor, sublevel]      features: numbers of those that are there
  TYPE ("dump", "pre-dump", "restore", "check"): a list of steps:
    ["notify", script, pid]  says it and notes the answer        ["log", text]  appends to the log file
    ["raw", hex]  sends bytes          ["hang"]  for ever        ["exit", status]      ["print", text]  on stderr
    ["kill-container"]  kills the process it was to dump         ["spawn"]  makes the "restored" process; "PID" is its pid
    ["answer", success, errno, message]
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

TYPES = {1: "dump", 2: "restore", 3: "check", 4: "pre-dump", 6: "notify", 9: "feature-check", 10: "version"}
NUMBERS = {name: number for number, name in TYPES.items()}


def varint(n):
    n &= 2**64 - 1
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def number(field, n):
    return varint(field << 3) + varint(n)


def data(field, b):
    return varint(field << 3 | 2) + varint(len(b)) + b


def parse(b):
    """[[field, value], …]: numbers, and bytes of what is a string or a message."""
    fields, at = [], 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = b[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(b):
        tag = take()
        value = take()
        if tag & 7 == 2:
            value, at = b[at:at + value], at + value
        fields.append([tag >> 3, value])
    return fields


MESSAGES = {11, 23, 25, 27, 39}  # options that are messages


def options(b):
    """{number: [values]} with messages as lists."""
    found = {}
    for field, value in parse(b):
        if field in MESSAGES:
            value = [v.decode() if isinstance(v, bytes) else v for _, v in parse(value)]
        elif isinstance(value, bytes):
            value = value.decode()
        found.setdefault(field, []).append(value)
    return found


class Server:
    def __init__(self, fd):
        self.here = Path(__file__).resolve().parent
        self.plan = json.loads((self.here / "plan.json").read_text())
        self.sock = socket.socket(fileno=fd)
        self.child = 0

    def note(self, **what):
        with open(self.here / "requests.jsonl", "a") as f:
            f.write(json.dumps(what) + "\n")

    def receive(self):
        b = self.sock.recv(1 << 20)
        if not b:
            self.note(type="closed")
            sys.exit(1)
        return dict(parse(b))

    def serve(self):
        request = self.receive()
        kind = TYPES[request[1]]
        told = options(request.get(2, b""))
        files = [os.readlink(f"/proc/self/fd/{n}") if os.path.exists(f"/proc/self/fd/{n}") else None for n in range(3)]
        with open("/proc/self/cgroup") as f:
            self.note(type=kind, options=told, stdio=files, cgroup=f.read(), mounts=os.readlink("/proc/self/ns/mnt"))
        base = number(1, request[1])
        if kind == "version":
            major, minor, sub = self.plan.get("version", [4, 2, 0])
            self.sock.send(base + number(2, 1) + data(10, number(1, major) + number(2, minor) + number(4, sub)))
        elif kind == "feature-check":
            self.sock.send(base + number(2, 1) + data(8, b"".join(number(n, 1) for n in self.plan.get("features", []))))
        else:
            for step in self.plan.get(kind, [["answer", True]]):
                self.step(base, kind, told, *step)

    def step(self, base, kind, told, what, *a):
        if what == "notify":
            pid = self.child if a[1] == "PID" else a[1]
            self.sock.send(number(1, 6) + number(2, 1) + data(5, data(1, a[0].encode()) + number(2, pid)))
            answer = self.receive()
            self.note(type="notified", script=a[0], success=answer.get(3), answered=TYPES[answer[1]])
        elif what == "log":
            directory = f"/proc/{os.getppid()}/fd/{told.get('17', told.get(17, told.get(1)))[0]}"
            with open(f"{directory}/{told[10][0]}", "a") as f:
                f.write(a[0])
        elif what == "raw":
            self.sock.send(bytes.fromhex(a[0]))
        elif what == "hang":
            time.sleep(1000)
        elif what == "exit":
            os._exit(a[0])
        elif what == "print":
            os.write(2, a[0].encode())
        elif what == "kill-container":
            os.kill(told[2][0], signal.SIGKILL)
        elif what == "spawn":
            self.spawn()
        elif what == "answer":
            out = base + number(2, a[0])
            if len(a) > 1:
                out += number(7, a[1]) + data(9, a[2].encode())
            if kind == "restore" and a[0]:
                out += data(4, number(1, self.child))
            self.sock.send(out)

    def spawn(self):
        """A sibling of ours that just sleeps, as CRIU makes it: a child of whoever started us."""
        libc = ctypes.CDLL(None, use_errno=True)
        CLONE_PARENT, SYS_CLONE = 0x8000, {"x86_64": 56}.get(os.uname().machine, 220)
        self.child = libc.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
        if self.child == 0:
            os.execv("/bin/sleep", ["sleep", "1000"])


if __name__ == "__main__":
    assert sys.argv[1] == "swrk", sys.argv
    Server(int(sys.argv[2])).serve()
