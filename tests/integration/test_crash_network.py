# SPDX-License-Identifier: Apache-2.0
"""kill -9 in one system call after another of what changes networks: the next commands tell a consistent story and can finish it; in the end no
veth, bridge, rule, name, held port or address is left (N1 to N5). HAVRE_TEST_KILL_STEP=1 kills in each of the calls, not in every 53rd."""
import json
import os
import re
import socket

from network_fixture import isolate

KILLED = 99
ASAN = False  # the sanitized programs have many more system calls to be killed in, and nothing else to show
CALLS_MAX = 4000
STEP = int(os.environ.get("HAVRE_TEST_KILL_STEP", "53"))


def killpoint(t, n, *args):
    command = [t.build / "tests" / "tools" / "killpoint", n, *t.havre_args(*args)]
    with open(os.devnull, "wb") as null:  # no pipes: a container that outlives its maker would keep them open
        return t.run(command, check=False, stdout=null, stderr=null, timeout=60)


def links(t):
    return {line.split()[0].split("@")[0] for line in t.run(["ip", "-br", "link"]).out.splitlines()}


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def published(t):
    return re.findall(r"map (?:any|publish)[46] \{[^}]*elements = \{([^}]*)\}", t.run(["nft", "list", "ruleset"]).out)


def check_consistent(t, when):
    """What runs has the interfaces, names and ports that are said of it."""
    for name in t.havre("ps", "-a", "--format", "{{.Names}}").out.split():
        c = json.loads(t.havre("inspect", name).out)[0]
        assert (c["State"]["Pid"] > 0) == c["State"]["Running"], (when, c["State"])
        if not c["State"]["Running"]:
            continue
        got = t.havre("exec", name, "ip", "-o", "-4", "addr", check=False)
        if got.rc != 0:  # a stop that was killed may have done enough
            assert not json.loads(t.havre("inspect", name).out)[0]["State"]["Running"], (when, got)
            continue
        own = got.out
        for network, ep in c["NetworkSettings"]["Networks"].items():
            if f"inet {ep['IPAddress']}/" not in own:  # killed half-way: saying it again finishes it
                assert t.havre("network", "connect", network, name, check=False).rc == 0, (when, network, own)
        held = [int(b["HostPort"]) for bindings in c["NetworkSettings"]["Ports"].values() for b in bindings or []]
        free = [p for p in held if is_free(p)]
        assert not free or not json.loads(t.havre("inspect", name).out)[0]["State"]["Running"], (when, free)


def check_clean(t, image, when):
    check_consistent(t, when)
    for name in t.havre("ps", "-a", "--format", "{{.Names}}").out.split():
        t.havre("rm", "-f", name)
    for network in t.havre("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").out.split():
        t.havre("network", "rm", network)
    # A container starts, which finds everything as it should be: the port, the rules, the first address.
    got = t.havre("run", "--rm", "-p", "8080:80", image, "ip", "-o", "-4", "addr", "show", "eth0").out
    assert "172.17.0.2/16" in got, (when, got)
    t.wait_for(lambda: not [name for name in links(t) if name.startswith("veth")], what=f"no veth, {when}")
    bridges = [name for name in links(t) if name.startswith("br-")]
    assert len(bridges) == 1, (when, bridges)
    assert published(t) == [] and is_free(8080) and is_free(8081), (when, published(t))
    names = [p for p in (t.run_dir / "networks").glob("*.names") if p.read_text()]
    assert names == [], (when, names)


def sweep(t, image, prepare, command):
    """Kills `command` in every STEP-th call, from another one each time, until it gets through."""
    killed = 0
    for n in range(1 + os.getpid() % STEP, CALLS_MAX, STEP):
        prepare()
        result = killpoint(t, n, *command)
        check_clean(t, image, f"killed in call {n} of {' '.join(command)}")
        if result.rc != KILLED:
            assert killed > 50 // STEP
            return
        killed += 1
    raise AssertionError(f"still running after {CALLS_MAX} calls")


def running(t, image, *flags):
    t.havre("network", "create", "red")
    t.havre("run", "-d", "--name", "box", *flags, image, "sleep", "1000")


def test_kill_network_create(t):
    image = isolate(t)
    sweep(t, image, lambda: None, ("network", "create", "--ipv6", "red"))


def test_kill_network_remove(t):
    image = isolate(t)
    sweep(t, image, lambda: t.havre("network", "create", "red"), ("network", "rm", "red"))


def test_kill_network_start(t):
    image = isolate(t)
    prepare = lambda: (t.havre("network", "create", "red"),
                       t.havre("create", "--name", "box", "--network", "bridge", "--network", "red", "-p", "8080:80", image, "sleep", "1000"))
    sweep(t, image, prepare, ("start", "box"))


def test_kill_network_stop(t):
    image = isolate(t)
    sweep(t, image, lambda: running(t, image, "--network", "red", "-p", "8080:80"), ("stop", "-t", "0", "box"))


def test_kill_network_connect(t):
    image = isolate(t)
    sweep(t, image, lambda: running(t, image), ("network", "connect", "red", "box"))


def test_kill_network_disconnect(t):
    image = isolate(t)
    prepare = lambda: running(t, image, "--network", "bridge", "--network", "red", "-p", "8080:80")
    sweep(t, image, prepare, ("network", "disconnect", "bridge", "box"))


def test_kill_network_update(t):
    image = isolate(t)
    sweep(t, image, lambda: running(t, image, "-p", "8080:80"), ("update", "--publish-add", "8081:80", "--publish-rm", "8080:80", "box"))


for test in (test_kill_network_create, test_kill_network_remove, test_kill_network_start, test_kill_network_stop, test_kill_network_connect,
             test_kill_network_disconnect, test_kill_network_update):
    test.timeout = 300 + 6000 // STEP
