# SPDX-License-Identifier: Apache-2.0
"""A systemd that is none: it speaks D-Bus on a unix socket, remembers what it was asked for, and misbehaves as a test wants it to.

The programs find it at the real path, /run/systemd/private, by a mount namespace of their own."""

import os
import socket
import struct
import threading
from pathlib import Path

ALIGNMENT = dict(y=1, g=1, v=1, n=2, q=2, b=4, i=4, u=4, h=4, s=4, o=4, a=4, x=8, t=8, d=8)
NUMBERS = dict(y="B", n="h", q="H", b="I", i="i", u="I", x="q", t="Q", d="d")


def first_type(signature):
    """The first complete type of a signature, and the rest."""
    if signature[0] == "a":
        one, rest = first_type(signature[1:])
        return "a" + one, rest
    if signature[0] in "({":
        depth = 0
        for i, c in enumerate(signature):
            depth += (c in "({") - (c in ")}")
            if depth == 0:
                return signature[:i + 1], signature[i + 1:]
    return signature[0], signature[1:]


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def align(self, n):
        padding = -self.at % n
        assert not any(self.data[self.at:self.at + padding]), "padding is not zero"
        self.at += padding

    def number(self, code):
        size = struct.calcsize("=" + code)
        self.align(size)
        self.at += size
        return struct.unpack_from("<" + code, self.data, self.at - size)[0]

    def text(self, size):
        value = self.data[self.at:self.at + size]
        assert len(value) == size and self.data[self.at + size] == 0 and 0 not in value, "string"
        self.at += size + 1
        return value.decode()

    def value(self, kind):
        if kind in NUMBERS:
            value = self.number(NUMBERS[kind])
            return bool(value) if kind == "b" else value
        if kind in "so":
            return self.text(self.number("I"))
        if kind == "g":
            return self.text(self.number("B"))
        if kind == "v":
            return self.value(self.value("g"))
        if kind[0] == "a":
            size = self.number("I")
            self.align(8 if kind[1] in "({" else ALIGNMENT[kind[1]])
            end, values = self.at + size, []
            while self.at < end:
                values.append(self.value(kind[1:]))
            assert self.at == end, "array length"
            return values
        self.align(8)
        return tuple(self.values(kind[1:-1]))

    def values(self, signature):
        values = []
        while signature:
            one, signature = first_type(signature)
            values.append(self.value(one))
        return values


class Writer:
    def __init__(self):
        self.data = bytearray()

    def align(self, n):
        self.data += bytes(-len(self.data) % n)

    def put(self, kind, value):
        if kind in "so":
            self.put("u", len(value))
            self.data += value.encode() + b"\0"
        elif kind == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif kind == "v":
            self.put("g", value[0])
            self.put(*value)
        else:
            self.align(ALIGNMENT[kind])
            self.data += struct.pack("<" + NUMBERS[kind], value)
        return self


def message(kind, serial, fields, body=b""):
    """kind 2: an answer, 3: an error, 4: a signal. fields: (code, type, value)."""
    w = Writer()
    w.data += bytes([ord("l"), kind, 1, 1])
    w.put("u", len(body)).put("u", serial).put("u", 0)
    for code, type_, value in fields:
        w.align(8)
        w.data.append(code)
        w.put("v", (type_, value))
    struct.pack_into("<I", w.data, 12, len(w.data) - 16)
    w.align(8)
    return bytes(w.data + body)


class FakeSystemd:
    """answers: what a method does instead of succeeding, or a list of that for one call after the other: "hang", "close", "error NAME",
    "job RESULT", "raw HEX" (bytes sent as they are), "ok"."""

    def __init__(self, t, answers=None, bus=False, root="", silent=False):
        self.t, self.bus, self.root = t, bus, root
        self.answers = {k: list(v) if isinstance(v, list) else v for k, v in (answers or {}).items()}
        self.end_after_raw = False
        self.silent = silent  # accepts, and says nothing
        self.calls = []  # (member, arguments)
        self.connections = 0
        self.run = t.tmp / f"run-{id(self)}"
        path = self.run / ("dbus/system_bus_socket" if bus else "systemd/private")
        path.parent.mkdir(parents=True)
        self.socket = socket.socket(socket.AF_UNIX)
        directory = os.open(path.parent, os.O_PATH)
        self.socket.bind(f"/proc/self/fd/{directory}/{path.name}")  # the path itself may be too long
        os.close(directory)
        self.socket.listen(16)
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()
        t.defer(self.close)

    def close(self):
        for s in [self.socket, *self.open]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def command(self, *args):
        """The command line that runs a program where this is the system's systemd."""
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', self.run, *args]

    def called(self, member):
        return [arguments for name, arguments in self.calls if name == member]

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if not self.silent:
                self._authenticate(connection)
                while self._answer(connection, self._receive(connection)):
                    pass
        except (OSError, EOFError):
            pass

    @staticmethod
    def _exactly(connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _line(self, connection):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._exactly(connection, 1)
        return line[:-2]

    def _authenticate(self, connection):
        assert self._exactly(connection, 1) == b"\0"
        line = self._line(connection)
        if self.answers.get("AUTH") == "refuse":
            connection.sendall(b"REJECTED ANONYMOUS\r\n")
            raise EOFError
        assert line == b"AUTH EXTERNAL", line
        connection.sendall(b"DATA\r\n")
        assert self._line(connection) == b"DATA"
        connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
        assert self._line(connection) == b"BEGIN"

    def _receive(self, connection):
        head = self._exactly(connection, 16)
        order, kind, _, version, body_size, serial, fields_size = struct.unpack("<cBBBIII", head)
        assert (order, kind, version) == (b"l", 1, 1), head
        rest = self._exactly(connection, (fields_size + 7) // 8 * 8 + body_size)
        reader = Reader(head + rest, 16)
        fields = {}
        while reader.at < 16 + fields_size:
            reader.align(8)
            code = reader.number("B")
            fields[code] = reader.value("v")
        reader.align(8)
        body = Reader(reader.data[reader.at:])
        arguments = body.values(fields.get(8, ""))
        assert body.at == body_size
        destination = fields.get(6)
        assert bool(destination) == self.bus, fields
        self.calls.append((fields[3], arguments))
        return serial, fields[3], arguments

    def _behaviour(self, member):
        wanted = self.answers.get(member, "ok")
        if isinstance(wanted, list):
            wanted = wanted.pop(0) if wanted else "ok"
        word, _, value = wanted.partition(" ")
        return word, value

    def _answer(self, connection, call):
        serial, member, arguments = call
        word, value = self._behaviour(member)
        reply = [(5, "u", serial)]
        if word == "close":
            connection.close()
            return False
        if word == "hang":
            return True
        if word == "raw":
            connection.sendall(bytes.fromhex(value))
            if self.end_after_raw:
                connection.shutdown(socket.SHUT_WR)
            return True
        if word == "error":
            text = bytes(Writer().put("s", f"told to fail: {value}").data)
            connection.sendall(message(3, 1, [(4, "s", value), *reply, (8, "g", "s")], text))
            return True
        if member == "Get":
            body = bytes(Writer().put("v", ("s", self.root)).data)
            connection.sendall(message(2, 1, [*reply, (8, "g", "v")], body))
        elif member in ("StartTransientUnit", "StopUnit"):
            job = "/org/freedesktop/systemd1/job/7"
            connection.sendall(message(2, 1, [*reply, (8, "g", "o")], bytes(Writer().put("o", job).data)))
            if (word, value) != ("job", "never"):
                for path, result in ((job + "0", "failed"), (job, value or "done")):  # first another's
                    body = Writer().put("u", 7).put("o", path).put("s", arguments[0]).put("s", result)
                    connection.sendall(message(4, 2, [
                        (1, "o", "/org/freedesktop/systemd1"), (2, "s", "org.freedesktop.systemd1.Manager"), (3, "s", "JobRemoved"),
                        (8, "g", "uoss")], bytes(body.data)))
        else:
            connection.sendall(message(2, 1, reply))
        return True
