# SPDX-License-Identifier: Apache-2.0
"""havred with other people's clients: docker compose and docker-py."""
import json

import api_fixture
import network_fixture

APPLICATION = """
version: "3.8"
services:
  db:
    image: {image}
    command: ["sh", "-c", "echo kept >> /data/log; while :; do nc -l -p 5432 -e cat /data/log; done"]
    volumes: [kept:/data]
    networks: [back]
    restart: unless-stopped
    stop_grace_period: 0s
    healthcheck: {{test: ["CMD-SHELL", "test -s /data/log"], interval: 1s, timeout: 20s, retries: 20}}
  api:
    image: {image}
    command: ["sh", "-c", "mkdir /www; nc db 5432 < /dev/null > /www/index.html; exec httpd -f -p 8000 -h /www"]
    depends_on: {{db: {{condition: service_healthy}}}}
    environment: {{GREETING: hello}}
    networks: [back, front]
    stop_grace_period: 0s
  web:
    image: {image}
    command: ["sh", "-c", "until wget -q -O- http://api:8000/; do sleep 0.2; done; exec sleep 1000"]
    networks: [front]
    depends_on: [api]
    stop_grace_period: 0s
    deploy: {{resources: {{limits: {{memory: 64m}}}}}}
  once:
    image: {image}
    command: ["echo", "done"]
    ports: ["18080:80"]
    networks: [front]
networks:
  front: {{}}
  back: {{internal: true, ipam: {{config: [{{subnet: 10.99.0.0/24}}]}}}}
volumes:
  kept: {{}}
"""


def test_compose(t):
    """docker compose brings up an application of four services, scales, runs in, restarts, stops and removes it with its networks and volumes."""
    t.need("docker-compose")
    network_fixture.isolate(t)
    a = api_fixture.Api(t)
    directory = t.tmp / "app"
    directory.mkdir()
    (directory / "docker-compose.yml").write_text(APPLICATION.format(image=t.busybox_image()))

    def compose(*words, **kw):
        return t.run(["docker-compose", "--project-directory", directory, "-f", directory / "docker-compose.yml", *words],
                     env={**a.env, "HOME": str(t.tmp)}, timeout=110, **kw)

    def names():
        return sorted(t.havre("ps", "-a", "--filter", "label=com.docker.compose.project=app", "--format", "{{.Names}} {{.State}}").out.splitlines())
    t.defer(t.havre, "rm", "-fa", check=False)
    compose("up", "-d")
    t.wait_for(lambda: names() == ["app_api_1 running", "app_db_1 running", "app_once_1 exited", "app_web_1 running"], timeout=60)
    t.wait_for(lambda: "kept" in compose("logs", "--no-color", "web").out, timeout=60)
    assert "done" in compose("logs", "--no-color", "once").out
    compose("up", "-d", "--scale", "web=2", "web")
    assert "app_web_2 running" in names()
    assert compose("exec", "-T", "api", "sh", "-c", "echo $GREETING; cat /www/index.html").out.split() == ["hello", "kept"]
    assert t.havre("inspect", "-f", "{{.HostConfig.Memory}}", "app_web_1").out == "67108864\n"
    compose("restart", "db")
    assert compose("run", "--rm", "-T", "--no-deps", "once", "cat", "/etc/hostname").rc == 0
    compose("pause", "api")
    assert "app_api_1 paused" in names()
    compose("unpause", "api")
    compose("stop")
    assert all(name.endswith("exited") for name in names()), names()
    compose("start")
    t.wait_for(lambda: "app_db_1 running" in names(), timeout=60)
    compose("down", "-v")
    assert names() == [] and t.havre("volume", "ls", "-q").out == ""
    assert t.havre("network", "ls", "--filter", "type=custom", "-q").out == ""


test_compose.asan = False  # minutes
test_compose.vm = False
test_compose.timeout = 300

DOCKER_PY = """
import docker, io, json, sys, tarfile
c = docker.from_env()
image = sys.argv[1]
assert c.ping() and c.version()["ApiVersion"]
assert c.containers.run(image, ["echo", "hello"], remove=True) == b"hello\\n"
try:
    c.containers.run(image, ["sh", "-c", "exit 3"], remove=True)
    raise SystemExit("no error for status 3")
except docker.errors.ContainerError as e:
    assert e.exit_status == 3
try:
    c.images.get("none:such")
    raise SystemExit("no error for a missing image")
except docker.errors.ImageNotFound:
    pass
x = c.containers.run(image, ["sh", "-c", "echo one; echo two >&2; exec sleep 1000"], detach=True, name="py1", labels={"l": "v"}, environment={"A": "b"},
                     mem_limit="64m", tmpfs={"/t": "size=1m"})
assert [o.name for o in c.containers.list(filters={"label": "l=v"})] == ["py1"]
x.reload()
assert x.status == "running" and x.attrs["HostConfig"]["Memory"] == 64 << 20
code, out = x.exec_run(["sh", "-c", "echo $A; exit 4"])
assert (code, out) == (4, b"b\\n")
code, (out, err) = x.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
assert (out, err) == (b"o\\n", b"e\\n")
assert x.logs(stdout=True, stderr=False) == b"one\\n" and x.logs(stdout=False, stderr=True) == b"two\\n"
assert next(x.logs(stream=True, follow=True)).strip() in (b"one", b"two")
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w") as t:
    info = tarfile.TarInfo("file"); info.size = 4; t.addfile(info, io.BytesIO(b"data"))
assert x.put_archive("/", data.getvalue())
bits, stat = x.get_archive("/file")
assert stat["size"] == 4 and tarfile.open(fileobj=io.BytesIO(b"".join(bits))).extractfile("file").read() == b"data"
assert x.top()["Processes"] and x.stats(stream=False)["pids_stats"]["current"] >= 1
assert {"Kind": 1, "Path": "/file"} in x.diff()
x.pause(); x.reload(); assert x.status == "paused"
x.unpause(); x.rename("py2"); x.update(mem_limit="128m"); x.restart(timeout=0); x.reload()
assert x.status == "running" and x.name == "py2" and x.attrs["HostConfig"]["Memory"] == 128 << 20
made = x.commit("example.com/made", tag="1")
assert "example.com/made:1" in made.tags and made.history()[0]["Id"] == made.id
v = c.volumes.create("pyvol", labels={"a": "b"})
assert [o.name for o in c.volumes.list(filters={"label": "a=b"})] == ["pyvol"]
n = c.networks.create("pynet", driver="bridge", internal=True)
n.connect(x, aliases=["other"]); n.reload()
assert [o.name for o in n.containers] == ["py2"]
n.disconnect(x); n.remove(); v.remove()
x.stop(timeout=0)
assert x.wait()["StatusCode"] == 137
x.remove()
try:
    c.containers.get("py2")
    raise SystemExit("no error for a removed container")
except docker.errors.NotFound:
    pass
c.images.remove("example.com/made:1")
low = c.api
y = c.containers.run(image, ["sh", "-c", "echo hello"], detach=True); y.wait()
for _ in range(10):  # what follows the head at once is not lost in the client's buffer
    assert low.attach(y.id, stream=False, logs=True) == b"hello\\n"
y = c.containers.run(image, ["sleep", "1"], detach=True, restart_policy={"Name": "always"})
assert low.wait(y.id, timeout=30)["StatusCode"] == 0  # of that run, though another begins
y.remove(force=True)
y = c.containers.run(image, ["sleep", "1000"], detach=True)
assert low.top(y.id, "waux")["Titles"][:4] == ["USER", "PID", "%CPU", "%MEM"]
y.kill(); y.reload()
assert y.status == "exited" and y.attrs["State"]["ExitCode"] == 137
for wrong in (lambda: low.pull("127.0.0.1:1/none"), lambda: low.containers(before="nobody"),
              lambda: low.create_container(image, "top", healthcheck={"test": "true", "interval": 1000})):
    try:
        wrong()
        raise SystemExit("no error")
    except docker.errors.APIError as e:
        assert e.response.status_code in (400, 404, 500)
z = low.create_container(image, "top", healthcheck={"test": "true", "start_period": 3000000000})
assert low.inspect_container(z)["Config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "StartPeriod": 3000000000}
assert c.df()["Images"] and c.info()["OSType"] == "linux"
print("fine")
"""


def test_docker_py(t):
    """docker-py: containers, exec, logs, archives, stats, update, commit, volumes, networks, its errors."""
    python = "/usr/bin/python3"  # Debian's, which has the module
    if t.run([python, "-c", "import docker"], check=False).rc:
        t.skip("docker-py is not installed")
    network_fixture.isolate(t)
    a = api_fixture.Api(t)
    t.defer(t.havre, "rm", "-fa", check=False)
    script = t.tmp / "client.py"
    script.write_text(DOCKER_PY)
    assert t.run([python, script, t.busybox_image()], env={**a.env, "HOME": str(t.tmp)}, timeout=100).out == "fine\n"
    events = t.havre("events", "--since", "1h", "--until", "0s", "--format", "json").out.splitlines()
    assert {"create", "start", "exec_create: sh -c echo $A; exit 4", "pause", "rename", "update", "destroy"} <= {json.loads(e)["Action"] for e in events}


test_docker_py.vm = False
