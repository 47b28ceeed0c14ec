# SPDX-License-Identifier: Apache-2.0
"""Bridge networks: addresses, reaching each other and the world, publishing, isolation, and what is left behind. Each test has a network
namespace of its own (network_fixture)."""

import json
import os
import re
import socket
import subprocess

from network_fixture import MACHINE, OUTSIDE, Outside, address, ask, isolate, serve


def inside(t, name, *args, **kw):
    return t.havre("exec", name, *args, **kw)


def test_network_bridge(t):
    """the default network: address, route, hosts; containers reach each other, this machine and, masqueraded, what is outside"""
    image = isolate(t)
    outside = Outside(t)
    serve(t, "one")
    assert address(t, "one") == "172.17.0.2"
    run = t.havre("run", "--rm", image, "sh", "-c", "ip -o addr show eth0; ip route; cat /etc/hosts; hostname; ping -c1 -W2 172.17.0.2").out
    assert "172.17.0.3/16" in run and "default via 172.17.0.1 dev eth0" in run and "fe80" not in run
    hostname = [line for line in run.splitlines() if len(line) == 12][0]
    assert f"172.17.0.3\t{hostname}" in run and "1 packets received" in run
    assert ask(t, "172.17.0.2", 80) == "one"
    t.wait_for(lambda: t.havre("run", "--rm", image, "nc", "-w", "2", "172.17.0.2", "80", input="", check=False).out.strip() == "one")
    # Outside sees this machine's address.
    watch = subprocess.Popen(["nsenter", "-t", str(outside.process.pid), "-n", t.busybox(), "nc", "-l", "-p", "99", "-e", "echo", "far"])
    t.defer(watch.wait)
    t.defer(watch.kill)
    t.wait_for(lambda: t.havre("run", "--rm", image, "nc", "-w", "2", OUTSIDE, "99", input="", check=False).out.strip() == "far")
    # Nobody outside reaches a container that published nothing, even with a route to it.
    outside.run("ip", "route", "add", "172.17.0.0/16", "via", MACHINE)
    assert ask(t, "172.17.0.2", 80, outside.run, timeout=1) == ""
    t.havre("rm", "-f", "one")
    t.wait_for(lambda: "veth" not in t.run(["ip", "-br", "link"]).out)


def test_network_publish(t):
    """-p: every address, one address, loopback only (CVE-2020-8558), ranges, UDP, a free port, in use; hairpin; nothing is left afterwards"""
    image = isolate(t)
    outside = Outside(t)
    serve(t, "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", f"{MACHINE}:8082:80", "-p", "9000-9003:9000-9003/udp", "-p", "80")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8080) == "web") and t.wait_for(lambda: ask(t, MACHINE, 8080) == "web")
    assert t.wait_for(lambda: ask(t, MACHINE, 8080, outside.run) == "web")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8081) == "web") and ask(t, MACHINE, 8081, outside.run) == ""
    assert ask(t, "127.0.0.1", 8082) == "" and t.wait_for(lambda: ask(t, MACHINE, 8082, outside.run) == "web")
    # A neighbour that sends to 127.0.0.1 over the wire is not let in.
    outside.run("sh", "-c", "ip route del local 127.0.0.0/8 table local; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via " + MACHINE)
    assert ask(t, "127.0.0.1", 8081, outside.run, timeout=1) == ""
    # Containers, and the published one itself, come in by this machine's address.
    assert t.wait_for(lambda: inside(t, "web", "nc", "-w", "2", MACHINE, "8080", input="", check=False).out.strip() == "web")
    free = t.havre("port", "web", "80").out.split()
    assert "0.0.0.0:8080" in free and "127.0.0.1:8081" in free and len(free) == 4
    assert t.havre("port", "web", "9001/udp").out == "0.0.0.0:9001\n"
    ps = t.havre("ps", "--format", "{{.Ports}}").out
    assert "0.0.0.0:9000-9003->9000-9003/udp" in ps and "0.0.0.0:8080->80/tcp" in ps, ps
    taken = t.havre("run", "-d", "--name", "late", "-p", "8080:80", image, "true", check=False)
    assert taken.rc == 125 and "8080 is already allocated" in taken.err
    assert t.run([t.busybox(), "nc", "-l", "-p", "8080"], check=False, timeout=5).rc != 0  # the port is held
    t.havre("stop", "-t", "0", "web")
    assert t.havre("port", "web").out == ""
    late = t.havre("start", "late", check=False)
    assert late.rc == 0, late
    t.havre("rm", "-f", "web", "late")
    for wrong in ("0:80x", "1.2.3.4.5:80:80", "80-70", "70000", "8000-8002:80-81", "80/icmp"):
        assert t.havre("create", "-p", wrong, image, "true", check=False).rc == 125, wrong


def test_network_update_ports(t):
    """ports published and taken back while the container runs: what stays is never free for a moment, a port in use changes nothing, the next
    start has the same; disconnecting the network moves them to the next one"""
    image = isolate(t)
    serve(t, "web", "-p", "8080:80", "-p", "9000-9002:9000-9002/udp", "-p", "80")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8080) == "web")
    chosen = [p for p in t.havre("port", "web", "80").out.split() if "8080" not in p]

    def held(port):
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", int(port)))
            except OSError:
                return True
        return False

    t.havre("update", "--publish-add", "8081:80", "--publish-add", "127.0.0.1:8082:80", "web")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8081) == "web") and t.wait_for(lambda: ask(t, "127.0.0.1", 8082) == "web")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8080) == "web")
    for port in (8080, 8081, 8082, chosen[0].rsplit(":", 1)[1]):
        assert held(port), port
    t.havre("update", "--publish-rm", "8080:80", "--publish-rm", "9001/udp", "--publish-add", "8083:80", "web")
    assert ask(t, "127.0.0.1", 8080) == "" and not held(8080)
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8083) == "web") and held(8083) and held(8081)
    after = t.havre("port", "web").out
    assert "9001" not in after and "0.0.0.0:9000" in after and "0.0.0.0:9002" in after, after
    assert all(c in after for c in chosen), (chosen, after)
    taken = t.havre("update", "--publish-add", "8090:80", "--publish-add", "8083:81", "web", check=False)
    assert taken.rc == 1 and "8083 is already allocated" in taken.err, taken.err
    assert t.havre("port", "web").out == after and not held(8090)
    unknown = t.havre("update", "--publish-rm", "81", "web", check=False)
    assert unknown.rc == 1 and "port 81/tcp is not published" in unknown.err
    t.havre("restart", "-t", "0", "web")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8083) == "web") and ask(t, "127.0.0.1", 8080) == ""
    # The published ports go where the default route goes.
    t.havre("network", "create", "second")
    t.defer(t.havre, "network", "rm", "second")
    t.havre("network", "connect", "second", "web")
    t.havre("network", "disconnect", "bridge", "web")
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 8083) == "web") and held(8081)
    t.havre("update", "--publish-rm", "80", "--publish-rm", "9000/udp", "--publish-rm", "9002/udp", "web")
    assert t.havre("port", "web").out == "" and not held(8083)
    t.havre("rm", "-f", "web")
    assert "dnat" not in elements(t), elements(t)
    # One that does not run is only changed.
    t.havre("create", "--name", "later", image, "true")
    t.defer(t.havre, "rm", "-f", "later")
    t.havre("update", "--publish-add", "8080:80", "later")
    assert "8080" in t.havre("inspect", "-f", "{{json .HostConfig.PortBindings}}", "later").out
    alone = t.havre("run", "-d", "--name", "alone", "--network", "none", image, "sleep", "600")
    t.defer(t.havre, "rm", "-f", "alone")
    refused = t.havre("update", "--publish-add", "8080:80", "alone", check=False)
    assert alone.rc == 0 and refused.rc == 1 and "network mode none" in refused.err


def elements(t):
    """The published ports in the rules, "dnat" where there is one."""
    tables = t.run(["nft", "list", "ruleset"]).out
    return "".join(f"dnat {m}\n" for m in re.findall(r"map (?:any|publish)[46] \{[^}]*elements = \{([^}]*)\}", tables))


def test_network_many_ports(t):
    """a thousand published ports cost no process and no fd each, and go with the container"""
    image = isolate(t)
    serve(t, "many", "-p", "20000-20999:20000-20999", port=20999)
    assert t.wait_for(lambda: ask(t, "127.0.0.1", 20999) == "many")
    monitors = [p for p in os.listdir("/proc") if p.isdigit() and str(t.run_dir) in str(read_links(p))]
    assert all(len(read_links(p)) < 40 for p in monitors)
    t.havre("rm", "-f", "many")
    with_ports = t.havre("run", "--rm", "-p", "20000:20000", image, "true")
    assert with_ports.rc == 0


def read_links(pid):
    try:
        return [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def test_network_objects(t):
    """network create, ls, inspect, rm, prune: docker's words, pools without overlap, wrong input"""
    isolate(t)
    assert t.havre("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").out == "bridge bridge local\nhost host local\nnone null local\n"
    t.run(["ip", "link", "add", "office0", "type", "dummy"], check=False)
    if t.run(["ip", "link", "show", "office0"], check=False).rc != 0:
        t.run(["ip", "link", "add", "office0", "type", "veth", "peer", "name", "office1"])
    t.run(["ip", "addr", "add", "172.18.5.1/24", "dev", "office0"])
    t.run(["ip", "link", "set", "office0", "up"])
    first = t.havre("network", "create", "--label", "team=a", "first").out.strip()
    assert len(first) == 64
    got = json.loads(t.havre("network", "inspect", "first").out)[0]
    assert got["Id"] == first and got["Driver"] == "bridge" and got["Labels"] == {"team": "a"} and not got["Internal"]
    assert got["IPAM"]["Config"] == [{"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"}]  # 172.18 has a route
    t.havre("network", "create", "--subnet", "10.7.0.0/24", "--gateway", "10.7.0.254", "--ip-range", "10.7.0.128/25", "--internal", "second")
    assert t.havre("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}}{{end}}", "second").out.strip() == \
        "10.7.0.0/24 10.7.0.128/25 10.7.0.254"
    assert t.havre("network", "ls", "-q", "--filter", "label=team").out.strip() == first[:12]
    assert t.havre("network", "ls", "-q", "--filter", "type=custom").out.count("\n") == 2
    for args, words in ((["first"], "already exists"), (["host"], "predefined"), (["--subnet", "10.7.0.0/16", "x1"], "overlaps"),
                        (["--subnet", "172.18.0.0/16", "x2"], "route"), (["--subnet", "nonsense", "x3"], "not a subnet"),
                        (["--gateway", "1.2.3.4", "x4"], "no matching subnet"), (["-d", "weave", "x5"], "plugin"), (["a b"], "name")):
        wrong = t.havre("network", "create", *args, check=False)
        assert wrong.rc == 1 and words in wrong.err, wrong
    assert t.havre("network", "rm", "bridge", check=False).rc == 1
    assert t.havre("network", "rm", first[:10]).out.strip() == first[:10]
    assert "not found" in t.havre("network", "rm", "first", check=False).err
    assert t.havre("network", "prune", "-f").out == "Deleted Networks:\nsecond\n\n"
    assert "br-" not in t.run(["ip", "-br", "link"]).out.replace("br-" + t.havre("network", "inspect", "-f", "{{.Id}}", "bridge").out[:12], "")


def test_network_isolation(t):
    """containers of different networks do not reach each other; --internal leads nowhere; without ICC not even neighbours are reached"""
    image = isolate(t)
    outside = Outside(t)
    t.havre("network", "create", "red")
    t.havre("network", "create", "--internal", "back")
    t.havre("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
    serve(t, "red1", "--network", "red", "-p", "8080:80")
    serve(t, "back1", "--network", "back")
    serve(t, "quiet1", "--network", "quiet")
    reach = "for a in {}; do nc -w1 $a 80 </dev/null || echo none; done"

    def tried(network, *addresses):
        return t.havre("run", "--rm", "--network", network, image, "sh", "-c", reach.format(" ".join(addresses))).out.split()
    red, back, quiet = (address(t, f"{n}1", n) for n in ("red", "back", "quiet"))
    assert tried("bridge", red, back, quiet) == ["none", "none", "none"]
    assert t.wait_for(lambda: tried("red", red) == ["red1"])
    assert t.wait_for(lambda: tried("back", back) == ["back1"]) and tried("back", red, OUTSIDE) == ["none", "none"]
    assert "default" not in t.havre("run", "--rm", "--network", "back", image, "ip", "route").out
    assert tried("quiet", quiet) == ["none"] and ask(t, quiet, 80) == "quiet1"
    # What is published is reached from another network, by the machine's address.
    assert t.wait_for(lambda: t.havre("run", "--rm", image, "nc", "-w", "2", MACHINE, "8080", input="", check=False).out.strip() == "red1")
    assert outside.run("true").rc == 0
    busy = t.havre("network", "rm", "red", check=False)
    assert busy.rc == 1 and "active endpoints (red1)" in busy.err


def test_network_connect(t):
    """connect and disconnect, stopped and running: interface, route, files, fixed addresses"""
    image = isolate(t)
    t.havre("network", "create", "--subnet", "10.8.0.0/24", "blue")
    serve(t, "box")
    t.havre("network", "connect", "--ip", "10.8.0.9", "--alias", "other", "blue", "box")
    assert "10.8.0.9" in inside(t, "box", "ip", "addr", "show", "eth1").out
    assert "10.8.0.9" in inside(t, "box", "cat", "/etc/hosts").out and "127.0.0.11" in inside(t, "box", "cat", "/etc/resolv.conf").out
    assert t.havre("network", "connect", "blue", "box", check=False).rc == 1
    taken = t.havre("run", "--rm", "--network", "blue", "--ip", "10.8.0.9", image, "true", check=False)
    assert taken.rc == 125 and "already in use" in taken.err
    assert t.havre("run", "--rm", "--network", "blue:ip=10.8.0.20,mac=02:aa:bb:cc:dd:ee", image, "ip", "addr", "show", "eth0").out.count("10.8.0.20") == 1
    t.havre("network", "disconnect", "bridge", "box")
    assert "default via 10.8.0.1" in inside(t, "box", "ip", "route").out
    assert list(json.loads(t.havre("inspect", "box").out)[0]["NetworkSettings"]["Networks"]) == ["blue"]
    t.havre("restart", "-t", "0", "box")
    assert "10.8.0.9" in inside(t, "box", "ip", "addr").out
    for wrong in (["--ip", "10.9.0.1", "--network", "blue"], ["--ip", "10.8.0.1", "--network", "blue"], ["--ip", "172.17.0.9"],
                  ["--network", "nowhere"], ["--network", "none", "--network", "blue"], ["--mac-address", "zz"]):
        assert t.havre("create", *wrong, image, "true", check=False).rc == 125, wrong
    shared = t.havre("run", "--rm", "--network", "container:box", image, "sh", "-c", "hostname; ip addr; cat /etc/hosts").out
    assert "10.8.0.9" in shared


def test_network_heals(t):
    """rules that somebody flushed (CVE-2025-54410) and bridges that somebody removed come back with the next container; published ports, too"""
    isolate(t)
    t.need("nft")
    serve(t, "web", "-p", "8080:80")
    for damage in (["flush", "ruleset"], ["flush", "chain"]):
        table = [line.split()[2] for line in t.run(["nft", "list", "tables"]).out.splitlines() if "havre" in line][0]
        t.run(["nft", *damage] + (["inet", table, "forward"] if damage[1] == "chain" else []))
        t.havre("run", "--rm", "busybox:test", "true")
        assert t.wait_for(lambda: ask(t, "127.0.0.1", 8080) == "web")
        assert "drop" in t.run(["nft", "list", "chain", "inet", table, "forward"]).out
    t.havre("rm", "-f", "web")
    bridge = "br-" + t.havre("network", "inspect", "-f", "{{.Id}}", "bridge").out[:12]
    t.run(["ip", "addr", "flush", "dev", bridge])  # as if its maker had been killed on the way
    assert "1 packets received" in t.havre("run", "--rm", "busybox:test", "ping", "-c1", "-W5", "172.17.0.1").out
    t.run(["ip", "link", "del", bridge])
    assert "172.17.0.1" in t.havre("run", "--rm", "busybox:test", "ip", "route").out


def test_network_many_at_once(t):
    """containers started at once on one network have addresses of their own; killed starts lose none; what ended gives its address back"""
    image = isolate(t)
    t.havre("network", "create", "--subnet", "10.9.0.0/28", "small")  # thirteen addresses beside the gateway
    starts = [t.start(t.havre_args("run", "-d", "--name", f"n{i:02}", "--network", "small", image, "sleep", "600"),
                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for i in range(12)]
    for i in range(12):
        t.defer(t.havre, "rm", "-f", f"n{i:02}", check=False)
    killed = t.start(t.havre_args("run", "--rm", "--network", "small", image, "true"), stderr=subprocess.DEVNULL)
    killed.kill()
    for start in starts:
        assert start.wait(timeout=60) == 0, start.stderr.read()
    used = t.havre("network", "inspect", "-f", "{{range .Containers}}{{.IPv4Address}} {{end}}", "small").out.split()
    assert len(used) == len(set(used)) == 12, used
    # One address is left; the killed start may have it in a row, but does not use it.
    assert t.havre("run", "--rm", "--network", "small", image, "true").rc == 0
    t.havre("run", "-d", "--name", "last", "--network", "small", image, "sleep", "600")
    t.defer(t.havre, "rm", "-f", "last")
    full = t.havre("run", "--rm", "--network", "small", image, "true", check=False)
    assert full.rc == 125 and "no available addresses" in full.err
    t.havre("kill", "n03")
    t.wait_for(lambda: "n03" not in t.havre("ps", "--format", "{{.Names}}").out)
    assert t.havre("run", "--rm", "--network", "small", image, "true").rc == 0


test_network_many_at_once.asan = False  # it is about processes, and there are many


def test_network_cannot_be_had(t):
    """in a sandbox where forwarding cannot be switched on the default network becomes none, with a warning; one that was asked for is an error"""
    image = isolate(t)
    open("/proc/sys/net/ipv4/ip_forward", "w").write("0")

    def sandboxed(*args):
        return t.run(["unshare", "-m", "sh", "-c", 'f=/proc/sys/net/ipv4/ip_forward; mount --bind $f $f && mount -o remount,bind,ro $f && exec "$@"',
                      "sh", *t.havre_args(*args)], check=False)
    ran = sandboxed("run", "--rm", image, "ls", "/sys/class/net")
    assert ran.rc == 0 and ran.out == "lo\n" and "the container has no network: cannot switch on forwarding" in ran.err, ran
    for flags in (["--network", "bridge"], ["-p", "80"]):
        ran = sandboxed("run", "--rm", *flags, image, "true")
        assert ran.rc == 125 and "forwarding" in ran.err, ran
    assert t.havre("run", "--rm", image, "ls", "/sys/class/net").out == "eth0\nlo\n"


def test_network_ipv6(t):
    """--ipv6: an address of the network's own prefix, reached, published on [::] and by a fixed address"""
    isolate(t)
    outside = Outside(t)
    if not os.path.exists("/proc/sys/net/ipv6"):
        t.skip("this kernel has no IPv6")
    for run, own, interface in ((t.run, "fd00:99::1/64", "wire0"), (None, "fd00:99::2/64", "wire1")):
        args = ["ip", "addr", "add", own, "dev", interface, "nodad"]
        run(args) if run else outside.run(*args)
    t.havre("network", "create", "--ipv6", "--subnet", "fd00:7::/64", "six")
    serve(t, "web", "--network", "six", "--ip6", "fd00:7::77", "-p", "8080:80", "-p", "[fd00:99::1]:8081:80")
    assert t.havre("inspect", "-f", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}", "web").out.strip() == "fd00:7::77"
    assert t.wait_for(lambda: ask(t, "fd00:7::77", 80) == "web")
    assert t.havre("port", "web", "80").out.split() == ["0.0.0.0:8080", "[::]:8080", "[fd00:99::1]:8081"]
    assert t.wait_for(lambda: ask(t, "fd00:99::1", 8080, outside.run) == "web")
    assert t.wait_for(lambda: ask(t, "fd00:99::1", 8081, outside.run) == "web")


def test_network_macvlan(t):
    """a macvlan container is a machine of its own on the parent's wire"""
    image = isolate(t)
    outside = Outside(t)
    made = t.havre("network", "create", "-d", "macvlan", "--subnet", "192.0.2.0/24", "--gateway", "192.0.2.254", "-o", "parent=wire0", "wire",
                   check=False)
    assert made.rc == 0, made
    run = t.havre("run", "-d", "--name", "box", "--network", "wire", "--ip", "192.0.2.9", image, "sleep", "60", check=False)
    if "operation not supported" in run.err.lower():
        t.skip("this kernel has no macvlan")
    t.defer(t.havre, "rm", "-f", "box")
    assert run.rc == 0, run
    assert "1 packets received" in outside.run(t.busybox(), "ping", "-c1", "-W5", "192.0.2.9").out
    assert "default via 192.0.2.254" in t.havre("exec", "box", "ip", "route").out
