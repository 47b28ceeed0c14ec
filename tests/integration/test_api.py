# SPDX-License-Identifier: Apache-2.0
"""havred: docker's API over the engine, with docker's own client."""

import base64
import json
import socket
import threading
import time
import urllib.parse

import api_fixture
import registry_fixture as reg


def api(t):
    t.need("docker")
    return api_fixture.Api(t)


def test_api_versions(t):
    """Versions from 1.24 to 1.51 are served, others and unknown paths are refused with docker's words."""
    a = api_fixture.Api(t)
    assert a.call("GET", "/v1.24/version")[1]["ApiVersion"] == "1.51"
    assert a.call("GET", "/v1.52/version") == (400, {
        "message": "client version 1.52 is too new. Maximum supported API version is 1.51"})
    assert a.call("GET", "/v1.23/version")[0] == 400
    assert a.call("GET", "/nothing") == (404, {"message": "page not found"})
    assert a.call("GET", "/swarm")[0] == 503
    assert b"Api-Version: 1.51\r\n" in a.raw(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
    info = a.call("GET", "/info")[1]
    assert info["Containers"] == 0 and info["OSType"] == "linux"


test_api_versions.asan = False


def test_api_edge(t):
    """Damaged requests are answered with 400 or the connection's end, and the service goes on; what hangs blocks nobody."""
    a = api_fixture.Api(t)
    for wrong in (b"nonsense\r\n\r\n", b"GET /info HTTP/3\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                  b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70000 + b"\r\n\r\n",
                  b"POST /containers/create HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
                  b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = a.raw(wrong)
        assert answer == b"" or answer.split()[1] in (b"400", b"413", b"500"), (wrong[:40], answer[:200])
    hanging = []
    for i in range(100):
        s = socket.socket(socket.AF_UNIX)
        s.connect(a.path)
        s.sendall(b"GET /info HT")
        hanging.append(s)
    two = a.raw(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert two.count(b"HTTP/1.1 200 OK") == 2
    for s in hanging:
        s.close()
    assert a.call("POST", "/containers/create", {"Cmd": ["x"]})[0] == 400
    assert a.call("POST", "/containers/create", {"Image": "nosuch"})[0] == 404
    assert a.call("GET", "/containers/json?filters=%7B%22x%22%3A%5B%22y%22%5D%7D")[0] == 400


def test_api_run(t):
    """docker run: output, input, exit statuses, removal; the command line sees the same containers."""
    a = api(t)
    image = t.busybox_image()
    r = a.docker("run", "--rm", image, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (r.rc, r.out, r.err) == (7, "out\n", "err\n"), r
    assert a.docker("run", "--rm", "-i", image, "cat", input="x" * 100000).out == "x" * 100000
    r = a.docker("run", "--rm", image, "nosuch", check=False)
    assert r.rc == 127, r
    a.docker("run", "-d", "--name", "cc", "-e", "A=b", "--label", "l=1", image, "sh", "-c", "echo $A; exec sleep 1000")
    t.defer(t.havre, "rm", "-f", "cc", check=False)
    assert a.docker("ps", "--filter", "label=l", "--format", "{{.Names}} {{.State}}").out == "cc running\n"
    assert t.havre("ps", "--format", "{{.Names}}").out == "cc\n"
    assert a.docker("inspect", "-f", "{{.State.Running}} {{index .Config.Labels \"l\"}}", "cc").out == "true 1\n"
    t.wait_for(lambda: a.docker("logs", "cc").out == "b\n")
    a.docker("stop", "-t", "0", "cc")
    assert a.docker("wait", "cc").out == "137\n"
    a.docker("rename", "cc", "dd")
    assert a.docker("start", "dd").out == "dd\n"
    assert a.docker("rm", "dd", check=False).rc == 1
    a.docker("rm", "-f", "dd")
    assert t.havre("ps", "-aq").out == ""


def test_api_exec(t):
    """docker exec: output, input, exit statuses, detached ones, and their inspection."""
    a = api(t)
    image = t.busybox_image()
    a.docker("run", "-d", "--name", "cc", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "cc", check=False)
    r = a.docker("exec", "cc", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (r.rc, r.out, r.err) == (3, "out\n", "err\n"), r
    assert a.docker("exec", "-i", "cc", "cat", input="hello").out == "hello"
    r = a.docker("exec", "cc", "nosuch", check=False)
    assert r.rc == 127, r
    row = a.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "cc").out
    assert row.split() == ["cc", "1"], row
    a.docker("exec", "-d", "cc", "sh", "-c", "echo x > /tmp/f")
    t.wait_for(lambda: a.docker("exec", "cc", "cat", "/tmp/f", check=False).out == "x\n")
    made = a.call("POST", "/containers/cc/exec", {"Cmd": ["sh", "-c", "exit 5"], "AttachStdout": True})[1]["Id"]
    assert a.call("GET", f"/exec/{made}/json")[1]["ExitCode"] is None
    a.raw(f"POST /exec/{made}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    t.wait_for(lambda: a.call("GET", f"/exec/{made}/json")[1]["ExitCode"] == 5)
    assert a.call("POST", f"/exec/{made}/start", {})[0] == 409
    assert a.call("GET", "/exec/0123456789abcdef/json")[0] == 404


test_api_exec.asan = False


def test_api_terminal(t):
    """docker run -it: a terminal with its size, resized while it runs, and left with the detach keys."""
    a = api(t)
    image = t.busybox_image()
    term = t.terminal(["docker", "run", "-it", "--name", "cc", image, "sh"], env=a.env, rows=30, columns=90)
    t.defer(t.havre, "rm", "-f", "cc", check=False)
    term.expect("# ")

    def has_size(size):
        term.send("stty size\r")
        return size in term.output
    t.wait_for(lambda: term.read(0.2) and has_size("30 90"), every=0.3)
    term.resize(20, 70)
    t.wait_for(lambda: term.read(0.2) and has_size("20 70"), every=0.3)
    term.send("\x10\x11")
    term.wait()
    assert a.docker("inspect", "-f", "{{.State.Running}}", "cc").out == "true\n"


test_api_terminal.asan = False


def test_api_killed(t):
    """havred is killed while a container runs and its log is followed: the container goes on, and so does everything after a restart."""
    a = api(t)
    image = t.busybox_image()
    a.docker("run", "-d", "--name", "cc", image, "sh", "-c", "while true; do echo tick; sleep 0.2; done")
    t.defer(t.havre, "rm", "-f", "cc", check=False)
    t.start(["docker", "logs", "-f", "cc"], env=a.env, stdout=-3)
    pid = a.docker("inspect", "-f", "{{.State.Pid}}", "cc").out
    a.kill()
    a.start()
    assert a.docker("inspect", "-f", "{{.State.Pid}}", "cc").out == pid
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(a.docker("wait", "cc").out))
    thread.start()
    t.wait_for(lambda: a.docker("logs", "--tail", "1", "cc").out == "tick\n")
    a.docker("kill", "cc")
    thread.join()
    assert waiting == ["137\n"]
    query = urllib.parse.urlencode({"since": 0, "until": f"{time.time():.6f}", "filters": json.dumps({"container": ["cc"]})})
    events = [json.loads(line)["Action"] for line in a.call("GET", "/events?" + query)[1].splitlines()]
    assert events[:2] == ["create", "start"] and events[-1] == "die", events


test_api_killed.asan = False


def test_api_images(t):
    """Images by docker's client: import, list, tag, save, load, inspect, remove."""
    a = api(t)
    a.docker("load", "-i", t.busybox_archive())
    assert a.docker("images", "--format", "{{.Repository}}:{{.Tag}}").out == "busybox:test\n"
    a.docker("tag", "busybox:test", "example.com/a/b:c")
    saved = t.tmp / "saved.tar"
    a.docker("save", "-o", saved, "example.com/a/b:c")
    assert "Untagged: example.com/a/b:c" in a.docker("rmi", "example.com/a/b:c").out
    a.docker("rmi", "busybox:test")
    assert a.docker("images", "-q").out == ""
    assert "Loaded image: example.com/a/b:c" in a.docker("load", "-i", saved).out
    assert json.loads(a.docker("image", "inspect", "example.com/a/b:c").out)[0]["RepoTags"] == ["example.com/a/b:c"]
    r = a.docker("rmi", "nosuch:1", check=False)
    assert r.rc == 1 and "No such image: nosuch:1" in r.err


test_api_images.asan = False


def test_api_volumes_networks(t):
    """Volumes and mounts by docker's client, and the list of networks."""
    a = api(t)
    image = t.busybox_image()
    a.docker("volume", "create", "--label", "x=1", "vv")
    a.docker("run", "--rm", "-v", "vv:/data", image, "sh", "-c", "echo kept > /data/f")
    r = a.docker("run", "--rm", "--mount", "type=volume,source=vv,target=/d,readonly", "--tmpfs", "/t", image, "sh", "-c",
                 "cat /d/f; echo x > /t/x && ! echo x > /d/x")
    assert r.out == "kept\n", r
    assert a.docker("volume", "ls", "-q", "--filter", "label=x").out == "vv\n"
    a.docker("volume", "rm", "vv")
    assert t.havre("volume", "ls", "-q").out == ""
    assert set(a.docker("network", "ls", "--format", "{{.Name}}").out.split()) == {"bridge", "host", "none"}


test_api_volumes_networks.asan = False


def test_api_cp(t):
    """docker cp both ways, of a running and of a stopped container: files, directories, their contents, links, the root, tar streams, refusals."""
    a = api(t)
    image = t.busybox_image()
    a.docker("run", "-d", "--name", "cpc", image, "sh", "-c",
             "mkdir -p /d/sub; echo one > /d/f; ln -s /d/f /lnk; ln -s /d /dl; ln -s /nowhere/x /dangling; echo ready; exec sleep 1000")
    t.defer(t.havre, "rm", "-f", "cpc", check=False)
    t.wait_for(lambda: a.docker("logs", "cpc").out == "ready\n")
    out = t.tmp / "out"
    out.mkdir()
    (t.tmp / "h").write_text("hello\n")

    def inside(path):
        return a.docker("exec", "cpc", "cat", path).out
    a.docker("cp", "cpc:/d/f", out / "f1")
    a.docker("cp", "cpc:/d", out / "copy")
    a.docker("cp", "cpc:/d/.", out / "flat")
    a.docker("cp", "cpc:/lnk", out)
    a.docker("cp", "-L", "cpc:/lnk", out / "followed")
    a.docker("cp", "cpc:/", out / "root")
    assert (out / "f1").read_text() == (out / "copy/f").read_text() == (out / "flat/f").read_text() == (out / "followed").read_text() == "one\n"
    assert (out / "lnk").is_symlink() and (out / "flat/sub").is_dir() and (out / "root/d/f").read_text() == "one\n"
    assert "d/f" in t.run(["tar", "t"], input=a.docker("cp", "cpc:/d", "-").out).out.split()
    for target, path in (("/d/", "/d/h"), ("/d/new", "/d/new"), ("/dl/through", "/d/through"), ("/lnk", "/d/f")):
        a.docker("cp", t.tmp / "h", "cpc:" + target)
        assert inside(path) == "hello\n", target
    assert a.docker("exec", "cpc", "readlink", "/lnk").out == "/d/f\n"
    for source, target, says in (("cpc:/none", out, "Could not find the file /none in container cpc"), (t.tmp / "h", "cpc:/nodir/x", "Could not find the file /nodir"),
                                 (out / "copy", "cpc:/d/f", "cannot copy directory"), (t.tmp / "h", "cpc:/dangling", "Could not find the file /nowhere")):
        bad = a.docker("cp", source, target, check=False)
        assert bad.rc == 1 and says in bad.err, (source, target, bad)
    stat = a.head("/containers/cpc/archive?path=/lnk")
    assert stat["name"] == "lnk" and stat["linkTarget"] == "/d/f" and stat["mode"] & 1 << 27, stat
    assert a.head("/containers/cpc/archive?path=/d/")["mode"] & 1 << 31
    assert a.call("GET", "/containers/cpc/archive")[0] == 400 and a.call("PUT", "/containers/cpc/archive?path=/d", b"no tar")[0] == 400
    assert a.call("PUT", "/containers/cpc/archive?path=/d/f", b"")[1]["message"] == "extraction point is not a directory"
    a.docker("stop", "-t", "0", "cpc")
    a.docker("cp", "cpc:/d/h", out / "after")
    a.docker("cp", t.tmp / "h", "cpc:/stopped")
    a.docker("start", "cpc")
    assert (out / "after").read_text() == inside("/stopped") == "hello\n"
    a.docker("run", "-d", "--name", "ro", "--read-only", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "ro", check=False)
    refused = a.docker("cp", t.tmp / "h", "ro:/", check=False)
    assert refused.rc == 1 and "container rootfs is marked read-only" in refused.err, refused
    a.docker("rm", "-f", "cpc", "ro")


def test_api_update_and_history(t):
    """docker update changes what it names and nothing else; docker history; their errors."""
    a = api(t)
    image = t.busybox_image()
    a.docker("create", "--name", "uu", "--memory", "100m", image, "true")

    def shown():
        return a.docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}}", "uu").out.split()
    a.docker("update", "--cpus", "0.5", "uu")
    assert shown() == ["104857600", "500000000", "no"]
    a.docker("update", "--memory", "50m", "--restart", "on-failure:3", "uu")
    assert shown() == ["52428800", "500000000", "on-failure"]
    a.docker("update", "--restart", "no", "uu")
    assert shown() == ["52428800", "500000000", "no"]
    for flags, says in ((["--memory", "1m"], "too small"), (["--restart", "odd"], "invalid restart policy")):
        bad = a.docker("update", *flags, "uu", check=False)
        assert bad.rc == 1 and says in bad.err, bad
    assert a.docker("history", "-q", image).out == t.havre("history", "-q", image).out
    steps = a.call("GET", f"/images/{image}/history")[1]
    assert steps[0]["Id"].startswith("sha256:") and steps[0]["Tags"] and steps[0]["Size"] > 0, steps
    assert a.call("GET", "/images/none/history")[0] == 404


def test_api_registry(t):
    """docker push, pull, search and login against a registry with a password; what a name stands for there; their errors; no builder is said clearly."""
    server = reg.start_registry(t, password=True)
    a = api(t)
    image, name = t.busybox_image(), f"{server.host}/team/app:1"
    a.docker("tag", image, name)
    refused = a.docker("push", name, check=False)
    assert refused.rc == 1 and "denied" in refused.err, refused
    wrong = a.docker("login", "-u", reg.USER, "--password-stdin", server.host, input="bad", check=False)
    assert wrong.rc == 1, wrong
    assert "Login Succeeded" in a.docker("login", "-u", reg.USER, "--password-stdin", server.host, input=reg.PASSWORD).out
    pushed = a.docker("push", name).out
    assert f"The push refers to repository [{server.host}/team/app]" in pushed and "1: digest: sha256:" in pushed, pushed
    a.docker("rmi", name)
    assert "Status: Downloaded newer image" in a.docker("pull", name).out
    assert "Image is up to date" in a.docker("pull", name).out
    assert f"{server.host}/team/app" in a.docker("search", f"{server.host}/app", check=False).out
    auth = base64.urlsafe_b64encode(json.dumps({"username": reg.USER, "password": reg.PASSWORD}).encode()).decode()
    seen = a.call("GET", f"/distribution/{name}/json", headers={"X-Registry-Auth": auth})
    assert seen[0] == 200 and seen[1]["Descriptor"]["digest"] in pushed and seen[1]["Platforms"][0]["os"] == "linux", seen
    assert a.call("GET", f"/distribution/{server.host}/team/none:1/json", headers={"X-Registry-Auth": auth})[0] == 404
    assert a.call("GET", "/images/search?term=")[0] == 400 and a.call("GET", "/images/search?term=x&limit=1000")[0] == 400
    (t.tmp / "context").mkdir()
    (t.tmp / "context/Dockerfile").write_text("FROM scratch\n")
    built = a.docker("build", t.tmp / "context", check=False)
    assert built.rc == 1 and "has no builder yet" in built.err, built
    assert "Total reclaimed space: 0B" in a.docker("builder", "prune", "-f").out
