# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the runtime in each of its system calls, in the other commands and in containers with hooks, a terminal or a user namespace:
`delete --force` then leaves nothing (test_crash_runtime.py has create, start and delete)."""
import os
import socket

from test_crash_runtime import cut

ASAN = False  # as there


def test_kill_exec(t):
    """Killed anywhere in exec, with and without a terminal; the container goes on until it is deleted."""
    bundle = t.bundle(args=["sleep", "100"])

    def prepare(container):
        t.runtime("run", "--detach", "--bundle", bundle, container, stdout=None, stderr=None)
    assert cut(t, 7, os.getpid() % 7, prepare, lambda c: ["exec", c, "true"]) > 5
    taker = console_socket(t)
    assert cut(t, 11, os.getpid() % 11, prepare, lambda c: ["exec", "--detach", "--tty", "--console-socket", taker, c, "true"]) > 3


test_kill_exec.timeout = 300


def test_kill_small_commands(t):
    """Killed anywhere in kill, pause, resume and update: nothing is left frozen or half changed that delete could not remove."""
    bundle = t.bundle(args=["sleep", "100"])

    def prepare(container):
        t.runtime("run", "--detach", "--bundle", bundle, container, stdout=None, stderr=None)

    def paused(container):
        prepare(container)
        t.runtime("pause", container)
    for step, before, command in ((3, prepare, lambda c: ["kill", c, "KILL"]), (3, prepare, lambda c: ["pause", c]),
                                  (3, paused, lambda c: ["resume", c]), (5, prepare, lambda c: ["update", "--pids-limit", "20", "--memory", "40000000", c])):
        assert cut(t, step, os.getpid() % step, before, command) > 3
    assert cut(t, 3, os.getpid() % 3, paused, lambda c: ["delete", "--force", c]) > 3


test_kill_small_commands.timeout = 300


def console_socket(t):
    """A socket that takes terminals, and lets them lie."""
    path = os.path.relpath(t.tmp / "console.sock", t.tmp)
    taker = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(t.tmp)  # the path may be longer than an address
    taker.bind(path)
    os.chdir(here)
    taker.listen(200)
    t.defer(taker.close)
    return path


def test_kill_run_of_every_kind(t):
    """Killed anywhere in create or run of a container with hooks, with a terminal, and with a user namespace."""
    hook = {"path": "/bin/true"}
    hooks = {kind: [hook] for kind in ("createRuntime", "createContainer", "startContainer", "poststart", "poststop")}

    def userns(spec):
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"]["uidMappings"] = spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundles = {"hooks": t.bundle({"hooks": hooks}, args=["sleep", "100"]), "userns": t.bundle(args=["sleep", "100"], edit=userns),
               "terminal": t.bundle({"process": {"terminal": True}}, args=["sleep", "100"])}
    taker = console_socket(t)
    # The way to a root whose ids are mapped must be open to them.
    for directory in [bundles["userns"], *bundles["userns"].parents][:-2]:
        if directory.stat().st_uid == 0 and str(directory).startswith(str(t.case_dir)):
            directory.chmod(directory.stat().st_mode | 0o011)
    for kind, bundle in bundles.items():
        flags = ["--console-socket", taker] if kind == "terminal" else []
        step = 17
        assert cut(t, step, os.getpid() % step, lambda c: None, lambda c: ["create", "--bundle", bundle, *flags, c]) > 3, kind
        assert cut(t, step, os.getpid() % step, lambda c: None, lambda c: ["run", "--detach", "--bundle", bundle, *flags, c]) > 3, kind


test_kill_run_of_every_kind.timeout = 300
