# SPDX-License-Identifier: Apache-2.0
"""Pods (engine/pod.h): P1 to P3."""

import json
import os
import signal

from network_fixture import isolate


def pod_state(t, name):
    return t.havre("pod", "ls", "--filter", f"name={name}", "--format", "{{.Status}}").out.strip()


def test_pod_shares(t):
    """Containers of a pod have one network, host name and shared memory, and each its own processes; another container has none of it."""
    image = t.busybox_image()
    made = t.havre("pod", "create", "--network", "none", "--label", "a=b", "shop").out.strip()
    t.defer(t.havre, "pod", "rm", "-f", "-t", "0", "shop", check=False)
    assert pod_state(t, "shop") == "Created"
    t.havre("run", "-d", "--pod", "shop", "--name", "server", image, "sh", "-c",
            "echo here > /dev/shm/f; while :; do echo hi | nc -l -p 99; done")
    assert pod_state(t, "shop") == "Running"
    t.wait_for(lambda: t.havre("exec", "server", "netstat", "-ltn").out.count(":99 ") == 1)
    got = t.havre("run", "--rm", "--pod", made[:12], image, "sh", "-c", "hostname; nc 127.0.0.1 99; cat /dev/shm/f; ps; hostname -i").out
    assert got.startswith("shop\nhi\nhere\n") and "nc -l" not in got, got
    assert t.havre("run", "--rm", "--network", "none", image, "nc", "127.0.0.1", "99", check=False).rc != 0
    assert "server" in t.havre("ps", "--pod", "--format", "{{.Names}} {{.PodName}}").out
    assert t.havre("ps", "-aq").out.count("\n") == 1, "the sandbox is no container of the user's"
    assert "havre-init" in t.havre("pod", "top", "shop").out
    one = json.loads(t.havre("pod", "inspect", "shop").out)[0]
    assert one["Id"] == made and one["NumContainers"] == 2 and one["Labels"] == {"a": "b"}
    for flags, words in [(("--network", "none"), "conflicts with pod"), (("-p", "80:80"), "belong to the pod"),
                         (("--pid", "container:nobody"), "no such container"), (("--hostname", "x"), "hostname")]:
        wrong = t.havre("create", "--pod", "shop", *flags, image, "true", check=False)
        assert wrong.rc == 125 and words in wrong.err, wrong
    assert "no such pod" in t.havre("run", "--pod", "server", image, "true", check=False).err
    assert "pod rm" in t.havre("rm", "-f", "shop", check=False).err
    assert "running container" in t.havre("pod", "rm", "shop", check=False).err


def test_pod_life(t):
    """stop, start, restart, kill, pause of a pod are those of its containers; what dies alone leaves the pod degraded; rm leaves nothing."""
    image = t.busybox_image()
    t.havre("pod", "create", "--network", "none", "--share", "net,pid", "pp")
    t.defer(t.havre, "pod", "rm", "-f", "-t", "0", "pp", check=False)
    for name in ("aa", "bb"):
        t.havre("create", "--pod", "pp", "--name", name, image, "sh", "-c", f"echo I am {name}; exec sleep 1000")
    t.havre("pod", "start", "pp")
    assert pod_state(t, "pp") == "Running"
    assert t.havre("exec", "aa", "ps").out.count("sleep 1000") == 2, "the pid namespace is shared"
    logs = t.havre("pod", "logs", "-n", "pp").out.split("\n")
    assert "aa I am aa" in logs and "bb I am bb" in logs
    t.havre("pod", "pause", "pp")
    assert pod_state(t, "pp") == "Paused"
    t.havre("pod", "unpause", "pp")
    t.havre("kill", "aa")
    t.wait_for(lambda: pod_state(t, "pp") == "Degraded")
    t.havre("pod", "stop", "-t", "0", "pp")
    assert pod_state(t, "pp") == "Exited"
    t.havre("start", "bb")
    assert pod_state(t, "pp") == "Degraded", "starting one starts the sandbox"
    t.havre("pod", "restart", "pp")
    assert pod_state(t, "pp") == "Running"
    t.havre("pod", "kill", "pp")
    t.wait_for(lambda: pod_state(t, "pp") == "Exited")
    assert t.havre("pod", "exists", "pp").rc == 0
    t.havre("pod", "prune")
    assert t.havre("pod", "ls", "-q").out == "" and t.havre("ps", "-aq").out == ""
    assert t.havre("pod", "exists", "pp", check=False).rc == 1
    assert not os.listdir(t.root / "containers")


test_pod_life.asan = False


def test_pod_network(t):
    """A pod has an address and published ports of its own, which its containers serve."""
    image = isolate(t)
    t.havre("pod", "create", "-p", "8099:80", "--name", "web")
    t.defer(t.havre, "pod", "rm", "-f", "-t", "0", "web", check=False)
    t.havre("run", "-d", "--pod", "web", image, "httpd", "-f", "-p", "80", "-h", "/etc")
    t.wait_for(lambda: t.run(["busybox", "wget", "-qO-", "http://127.0.0.1:8099/hostname"], check=False).out == "web\n")
    two = [t.havre("run", "--rm", "--pod", "web", image, "ip", "-4", "addr", "show", "eth0").out for _ in range(2)]
    assert two[0] == two[1] and "inet " in two[0]
    assert t.havre("run", "--rm", "--pod", "new:other", image, "hostname").out == "other\n"
    t.havre("pod", "rm", "-f", "-t", "0", "other")


test_pod_network.asan = False


def test_pod_sandbox_dies(t):
    """A sandbox whose monitor was killed is found dead, and comes back with the next container."""
    image = t.busybox_image()
    t.havre("pod", "create", "--network", "none", "pp")
    t.defer(t.havre, "pod", "rm", "-f", "-t", "0", "pp", check=False)
    t.havre("run", "-d", "--pod", "pp", "--name", "aa", image, "sleep", "1000")
    pid = json.loads(t.havre("container", "inspect", "pp").out)[0]["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as f:
        monitor = int(f.read().split(")")[1].split()[1])
    os.kill(monitor, signal.SIGKILL)
    t.wait_for(lambda: pod_state(t, "pp") == "Degraded")
    t.wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
    assert t.havre("run", "--rm", "--pod", "pp", image, "hostname").out == "pp\n"
    assert pod_state(t, "pp") == "Running"
