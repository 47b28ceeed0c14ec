# SPDX-License-Identifier: Apache-2.0
"""The holes that image stores and engines had: what comes from a registry, an archive or an image's configuration is hostile. Each test
names its CVEs; tests/integration/test_layers.py has those of layers, test_runtime_security.py those of the runtime."""

import base64
import gzip
import io
import json
import os
import resource
import socket
import stat
import struct
import tarfile

import registry_fixture as reg
from layers_fixture import Applied, directory, entry, make_tar, symlink
from registry_fixture import Answer, FaultServer, digest_of
from swapping import swapping
from test_pull import Store

SECRET = "s3cr3t-w0rd"


def tree(path):
    return sorted(os.path.join(d, n) for d, _, names in os.walk(path) for n in names)


def archive(t, name, files, layer=b"", config=None, repo_tags=None, layers=None, config_name=None):
    """A docker-archive of one layer, with names that may be anything."""
    document = {"architecture": {"x86_64": "amd64"}.get(os.uname().machine, "arm64"), "os": "linux", "config": config or {},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}
    manifest = [{"Config": config_name or "config.json", "RepoTags": repo_tags or [f"{name}:test"], "Layers": layers or ["layer.tar"]}]
    path = t.tmp / f"{name}.tar"
    with tarfile.open(path, "w") as tar:
        for member, data in [("config.json", json.dumps(document).encode()), ("layer.tar", layer),
                             ("manifest.json", json.dumps(manifest).encode()), *files]:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def image(t, name, *entries, **config):
    """An image of busybox and these entries, with this configuration."""
    rootfs = io.BytesIO(t._busybox_layer())
    with tarfile.open(fileobj=rootfs, mode="a") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    env = {"Env": ["PATH=/bin"], **config}
    t.havre("load", "-i", archive(t, name, [], layer=rootfs.getvalue(), config=env))
    return f"{name}:test"


EVIL_DIGESTS = ["sha256:../../../../../../../../tmp/x", "sha256:" + "../" * 21 + "a", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65,
                "../blobs:" + "a" * 64, "sha256", "sha256:", ":" + "a" * 64, "sha1:" + "a" * 40, "sha256:" + "a" * 63 + "/", "sha256:" + "a" * 64 + "/..", "/etc/passwd", ""]


def test_digests(t):
    """CVE-2024-3727: a digest that is none is refused wherever it stands: in a name, a manifest, an index, a header, an archive. No path is
    made of it and nothing appears beside the store."""
    server = FaultServer(t)
    manifest = json.loads(server.add_image("app", "v1", [{"f": b"1"}]))
    store = Store(t)
    before = tree(t.tmp)
    for n, evil in enumerate(EVIL_DIGESTS):
        broken = {}
        for place in ("layer", "config"):
            copy = json.loads(json.dumps(manifest))
            (copy["layers"][0] if place == "layer" else copy["config"])["digest"] = evil
            broken[place] = (reg.OCI_MANIFEST, json.dumps(copy).encode())
        broken["index"] = (reg.OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": reg.OCI_INDEX, "manifests": [
            {"mediaType": reg.OCI_MANIFEST, "digest": evil, "size": 100, "platform": {"os": "linux", "architecture": "amd64"}}]}).encode())
        for place, document in broken.items():
            server.manifests["app", f"{place}{n}"] = document
            r = store.pull(f"{server.host}/app:{place}{n}", check=False)
            assert r.rc == 1 and "digest" in r.err and r.err.count("\n") == 1, (evil, place, r)
        r = store("pull", f"{server.host}/app@{evil}", check=False)
        assert r.rc == 1, (evil, r)
    server.script = lambda r: Answer(200, server.manifests["app", "v1"][1], {"Content-Type": reg.OCI_MANIFEST, "Docker-Content-Digest": EVIL_DIGESTS[0]}) \
        if r.path.endswith("/manifests/v1") else None
    store.pull(f"{server.host}/app:v1")  # a lying header is no digest: what arrived is what counts
    assert [p for p in tree(t.tmp) if p not in before and not p.startswith(str(store.root))] == []
    for evil in ("../../../../../../etc/passwd", "/etc/passwd", "blobs/sha256/../../../x"):
        for fields in ({"config_name": evil}, {"layers": [evil]}):
            r = t.havre("load", "-i", archive(t, "evil", [], layer=make_tar(entry("f")), **fields), check=False)
            assert r.rc != 0 and "root:" not in r.err, (evil, r)


def test_tls_is_verified(t):
    """CVE-2025-6032: certificates are verified by default, for the registry, for where it redirects to and for the token server: an unknown
    CA, another host's name and an expired one are refused before a credential or a request is sent; only an explicit flag turns that off."""
    t.need("openssl")
    (t.tmp / "other").mkdir()
    ca, certificate, key = reg.make_certificate(t.tmp)
    _, foreign, foreign_key = reg.make_certificate(t.tmp / "other")
    t.run(["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", "expired.crt", "-days", "-1", "-extfile", "ext.cnf"])
    (t.tmp / "name.cnf").write_text("subjectAltName=DNS:registry.example\n")
    t.run(["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", "name.crt", "-days", "2", "-extfile", "name.cnf"])
    store = Store(t)
    bad = {"CA": FaultServer(t, tls=(foreign, foreign_key)), "expired": FaultServer(t, tls=(t.tmp / "expired.crt", key)),
           "name": FaultServer(t, tls=(t.tmp / "name.crt", key))}
    for what, server in bad.items():
        for host in (server.host, f"0.0.0.0:{server.port}", f"localhost:{server.port}"):
            store.fails(f"{host}/app:v1", f"ca={ca}", f"user=u:{SECRET}", kind="unreachable", says="cannot be trusted")
        assert server.requests == [], (what, server.requests)

    def redirect(request):
        if "/blobs/" in request.path:
            return Answer(307, b"", {"Location": f"https://{bad['CA'].host}{request.path}"})
        return None
    good = FaultServer(t, redirect, tls=(certificate, key))
    good.add_image("app", "v1", [{"f": b"1"}])
    store.fails(f"{good.host}/app:v1", f"ca={ca}", kind="unreachable", says="cannot be trusted")
    good.script = lambda r: Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="https://{bad["CA"].host}/token"'})
    store.fails(f"{good.host}/app:v1", f"ca={ca}", f"user=u:{SECRET}", kind="unreachable", says="cannot be trusted")
    assert bad["CA"].requests == []
    bad["CA"].add_image("app", "v1", [{"f": b"1"}])
    r = t.havre("pull", f"{bad['CA'].host}/app:v1", check=False)
    assert r.rc != 0 and bad["CA"].requests == []
    t.havre("pull", "--tls-verify=false", f"{bad['CA'].host}/app:v1")


def test_loopback_is_not_a_licence(t):
    """CVE-2020-15157, CVE-2025-6032: a registry on this machine may do without TLS, but what it names (a token server, another place of a blob)
    on other hosts may not, and no password goes there."""
    other = FaultServer(t)
    abroad = f"0.0.0.0:{other.port}"  # arrives here, and is none of the names that may do without TLS
    for realm in (f"http://{abroad}/token", f"http://127.0.0.1:80@{abroad}/token", f"http://localhost@{abroad}/", f"HTTP://{abroad}/token"):
        server = FaultServer(t, lambda r, realm=realm: Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}))
        Store(t).fails(f"{server.host}/app:v1", f"user=u:{SECRET}", kind="permission", says="plain HTTP.*refused")
    server = FaultServer(t, lambda r: Answer(307, b"", {"Location": f"http://{abroad}{r.path}"}))
    Store(t).fails(f"{server.host}/app:v1", f"user=u:{SECRET}", kind="permission", says="plain HTTP.*refused")
    assert other.requests == []


def test_secrets_are_not_told(t):
    """Passwords and tokens appear in no message and no log, whatever a registry answers."""
    encoded = base64.b64encode(f"u:{SECRET}".encode()).decode()
    answers = iter(())

    def script(request):
        return next(answers, None)
    server = FaultServer(t, script)
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.host}/token",service="s"'}
    token = Answer(200, json.dumps({"token": "t0k3n-" + SECRET}).encode())
    for sequence in ([Answer(401, b"", realm), Answer(500, b"no")] + [Answer(404, b"")] * 20,
                     [Answer(401, b"", realm), Answer(200, b"{}")], [Answer(401, b"", realm), Answer(200, b"not json " + SECRET.encode())],
                     [Answer(401, b"", realm), token, Answer(401, b"", realm), token, Answer(401, b"", realm), token, Answer(401, b"", realm), token, Answer(403, b"")],
                     [Answer(401, b"", {"WWW-Authenticate": "Basic realm=x"}), Answer(403, b"")]):
        answers = iter(sequence)
        r = Store(t)("pull", f"{server.host}/app:v1", f"user=u:{SECRET}", check=False, timeout=120)
        text = r.out + r.err
        assert r.rc != 0 and SECRET not in text and encoded not in text and "t0k3n" not in text, r


def limited(megabytes):
    def apply():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    return apply


def test_bombs(t):
    """CVE-2023-25153, CVE-2017-14992, CVE-2025-58183: headers without end, deep and wide JSON end in an error with bounded memory (400 MB of
    address space, of which libraries take half)."""
    if t.sanitized:
        t.skip("sanitizers reserve address space")

    def raw_header(name, kind, size):
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, size
        return info.tobuf(tarfile.USTAR_FORMAT)
    # Extended headers, each with an attribute of nearly 1 MiB, that announce an entry that never comes.
    record = b"SCHILY.xattr.user.%06d=" + b"x" * 1_000_000 + b"\n"
    plain = io.BytesIO()
    with gzip.GzipFile(fileobj=plain, mode="wb", compresslevel=1) as out:
        for i in range(450):
            body = record % i
            length = len(body) + 8
            body = b"%d " % length + body
            assert len(body) == length
            out.write(raw_header("x", tarfile.XHDTYPE, len(body)) + body + b"\0" * (-len(body) % 512))
    (t.tmp / "headers.tar.gz").write_bytes(plain.getvalue())
    r = t.havre("import", t.tmp / "headers.tar.gz", "bomb", check=False, preexec_fn=limited(400))
    assert r.rc == 1 and "ends in the middle" in r.err, r
    for document in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" + b"1," * 3_000_000 + b"1]", b'"' + b"a" * 5_000_000):
        files = [("manifest.json", document)]
        r = t.havre("load", "-i", archive(t, "json", files), check=False, preexec_fn=limited(400))
        assert r.rc == 1 and r.err, r
        server = FaultServer(t)
        server.manifests["app", "v1"] = (reg.OCI_MANIFEST, document)
        r = t.havre("pull", f"{server.host}/app:v1", check=False, preexec_fn=limited(400))
        assert r.rc == 1 and r.err, r


test_bombs.timeout = 300


def test_sparse_files_cost_nothing(t):
    """CVE-2025-58183, CVE-2017-14992: a sparse file of an exabyte is refused by the file system or made of holes; no zeros are written."""
    layer = make_tar(entry("f", data=b"1\n0\n1\n".ljust(512, b"\0") + b"x",
                           pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60), "GNU.sparse.name": "f"}))
    r = Applied(t, layer, check=False).result
    assert r.rc != 0 and "size" in r.err, r
    layer = make_tar(entry("f", data=b"1\n0\n1\n".ljust(512, b"\0") + b"x",
                           pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40), "GNU.sparse.name": "f"}))
    done = Applied(t, layer)
    assert os.stat(done.dirs[0] / "f").st_blocks < 64


def test_account_files(t):
    """CVE-2024-9676, CVE-2026-47262: /etc/passwd and /etc/group as symlinks out of the root, FIFOs, devices or files without end are an error
    or empty, quickly, and never the host's."""
    endless = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    for n, name in enumerate(("etc/passwd", "etc/group")):
        kinds = [(tarfile.FIFOTYPE, {}), (tarfile.CHRTYPE, {"devmajor": 1, "devminor": 5}), (tarfile.DIRTYPE, {}),
                 (tarfile.SYMTYPE, {"linkname": "/dev/zero"}), (tarfile.SYMTYPE, {"linkname": "/proc/self/mem"}),
                 (tarfile.SYMTYPE, {"linkname": "../../../../../../../../etc/shadow"})]
        evil = [entry(name, kind, **fields) for kind, fields in kinds]
        evil.append(entry(name, data=b"1\n0\n1\n".ljust(512, b"\0") + b"x", pax={**endless, "GNU.sparse.name": name}))
        for i, member in enumerate(evil):
            used = image(t, f"accounts{n}{i}", member)
            r = t.havre("run", "--rm", "--user", "daemon:daemon" if n else "daemon", used, "id", check=False, timeout=20)
            assert r.rc != 0 and "uid=" not in r.out, (name, i, r)
            r = t.havre("run", "--rm", "--user", "0", used, "echo", "ran", check=False, timeout=20)
            assert r.out in ("", "ran\n"), (name, i, r)


def test_numeric_users(t):
    """CVE-2026-46680, CVE-2024-40635: USER of an image that overflows, or that a passwd file has as a name, never becomes root."""
    for n, user in enumerate(("4294967296", "2147483648", "18446744073709551616", "-1", "1234:4294967296", "0x0", "00000000000000000000004294967296")):
        used = image(t, f"users{n}", entry("etc/passwd", data=f"root:x:0:0::/:/bin/sh\n{user}:x:0:0::/:/bin/sh\n1234:x:0:0::/:/bin/sh\n".encode()), User=user)
        r = t.havre("run", "--rm", used, "id", "-u", check=False)
        assert r.rc != 0 or user == "0x0", (user, r)  # a name may look like anything but a decimal number
    used = image(t, "users", entry("etc/passwd", data=b"root:x:0:0::/:/bin/sh\n1234:x:0:0::/:/bin/sh\n"), User="1234")
    assert t.havre("run", "--rm", used, "id", "-u").out == "1234\n"


def test_workdir(t):
    """CVE-2026-55686, CVE-2026-44517, CVE-2024-1753, CVE-2024-9407: WORKDIR of an image, and targets of its volumes, through symlinks to the
    host, its root or /proc stay inside: nothing is made, owned or entered outside."""
    host = t.tmp / "host"
    host.mkdir()
    (host / "secret").write_text("secret")
    before = os.stat(host)
    climb = "../" * 12
    links = {"absolute": str(host), "dots": climb + str(host)[1:], "proc": "/proc/1/root" + str(host), "fd": "/proc/self/fd/5/" + climb + str(host)[1:],
             "cwd": "/proc/self/cwd/" + climb + str(host)[1:]}
    for name, target in links.items():
        for tail in ("", "/made/deeper"):
            used = image(t, f"wd{name}", symlink("trap", target), WorkingDir="/trap" + tail, User="1000", Volumes={"/trap/volume": {}})
            r = t.havre("run", "--rm", used, "sh", "-c", "cat secret ../secret ../../secret; pwd", check=False)
            assert "secret" not in r.out, (name, tail, r)
            r = t.havre("run", "--rm", "-v", f"vol{name}:/trap/v", used, "true", check=False)
            after = os.stat(host)
            assert os.listdir(host) == ["secret"] and (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode), (name, os.listdir(host))


def test_workdir_race(t):
    """CVE-2026-55686, CVE-2026-44517 as a race: the working directory lies in a volume, whose owner swaps it for a symlink to the host."""
    host = t.tmp / "host"
    host.mkdir()
    (host / "secret").write_text("secret")
    used = image(t, "wdrace")
    t.havre("run", "--rm", "-v", "shared:/vol", used, "mkdir", "-p", "/vol/w")
    data = t.root / "volumes/shared/_data"
    os.symlink("../" * 12 + str(host)[1:], data / "link")
    with swapping(t, (data / "w", data / "link"), rounds=30) as attack:
        for n in attack:
            r = t.havre("run", "--rm", "-v", "shared:/vol", "-w", f"/vol/w/x{n}", used, "sh", "-c", "cat ../secret /vol/w/secret; pwd", check=False)
            assert "secret" not in r.out, r
            assert os.listdir(host) == ["secret"]


def test_labels_do_not_steer(t):
    """CVE-2026-53488, CVE-2026-53489, CVE-2026-53492, CVE-2026-50195: labels, annotations, environment and history of an image decide nothing on the
    host: no annotation of the runtime, no hook, no environment of the monitor or of a hook, no file."""
    mark = t.tmp / "mark"
    program = t.tmp / "evil"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    labels = {"run.oci.hooks.stdout": str(mark), "run.oci.hooks.stderr": str(mark), "run.oci.handler": str(program), "run.oci.seccomp.receiver": str(mark),
              "run.oci.systemd.subgroup": "evil", "run.oci.delegate-cgroup": "evil", "run.oci.mount_context_type": "context",
              "org.systemd.property.ExecStart": str(program), "org.criu.config": str(program), "run.oci.pidfd_receiver": str(mark),
              "io.containerd.image.unpack": "1", "io.podman.annotations.privileged": "TRUE", "io.podman.annotations.seccomp": "unconfined",
              "havre.privileged": "true", "nerdctl/extensions": str(program), "devcontainer.metadata": "[]"}
    environment = ["PATH=/bin", f"LD_PRELOAD={program}", "LD_LIBRARY_PATH=/", "GLIBC_TUNABLES=glibc.malloc.check=3", f"HAVRE_MONITOR={program}",
                   "HAVRE_TEST_OLD_OVERLAY=1", "_LIBCONTAINER_INITPIPE=3", "NOTIFY_SOCKET=/x", f"TMPDIR={t.tmp}"]
    used = image(t, "labels", Labels=labels, Env=environment, OnBuild=["RUN evil"], Healthcheck={"Test": ["CMD-SHELL", f"touch {mark}"]}, StopSignal="SIGKILL")
    t.havre("run", "-d", "--name", "labels", used, "sleep", "100")
    t.defer(t.havre, "rm", "-f", "labels", check=False)
    for config in t.run_dir.rglob("config.json"):
        spec = json.loads(config.read_text())
        assert not spec.get("annotations") and not spec.get("hooks"), spec
        assert {c for s in spec["process"]["capabilities"].values() for c in s}.isdisjoint({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}), spec
        assert spec["linux"].get("seccomp"), "no seccomp filter"
    pid = json.loads(t.havre("inspect", "labels").out)[0]["State"]["Pid"]
    parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    monitor = open(f"/proc/{parent}/environ").read()
    assert "evil" not in monitor and "LD_" not in monitor and "NOTIFY" not in monitor, monitor
    assert json.loads(t.havre("inspect", "labels").out)[0]["Config"]["Labels"] == labels
    t.havre("exec", "labels", "true")
    t.havre("rm", "-f", "labels")
    assert not mark.exists()


def test_umask_and_sockets(t):
    """CVE-2020-15257: with a caller whose umask is 0, no file or directory of ours lets others write, sockets are files that only their owner
    reaches, and none is in the abstract namespace that containers with the host's network share."""
    used = t.busybox_image()
    abstract = {line.split()[-1] for line in open("/proc/net/unix") if line.split()[-1].startswith("@")}
    t.havre("run", "-d", "--name", "open", "-v", "vol:/data", "--network", "host", used, "sh", "-c", "umask; sleep 100", preexec_fn=lambda: os.umask(0))
    t.defer(t.havre, "rm", "-f", "open", check=False)
    bundle = t.bundle(args=["sleep", "100"])
    t.run(t.runtime_args("create", "-b", bundle, "--pid-file", t.tmp / "pid", "open-1"), stdout=None, stderr=None, preexec_fn=lambda: os.umask(0))
    t.defer(t.runtime, "delete", "--force", "open-1")
    sockets = 0
    for top in (t.root, t.run_dir, t.runtime_root, t.tmp / "pid"):
        for path in [top, *(top.rglob("*") if top.is_dir() else [])]:
            st = os.lstat(path)
            inside = any(part in ("upper", "_data") or str(path).startswith(str(t.root / "images/layers")) for part in path.parts)
            if stat.S_ISLNK(st.st_mode) or inside:
                continue
            assert not st.st_mode & 0o022, (oct(st.st_mode), path)
            if stat.S_ISSOCK(st.st_mode):
                sockets += 1
                assert not st.st_mode & 0o077, (oct(st.st_mode), path)
                assert path.parent.stat().st_mode & 0o077 == 0, path.parent
    assert sockets >= 2, "neither monitor nor runtime has a socket: the test shows nothing"
    now = {line.split()[-1] for line in open("/proc/net/unix") if line.split()[-1].startswith("@")}
    assert not [name for name in now - abstract if "havre" in name.lower() or "attach" in name or "gate" in name], now - abstract
    for path in t.run_dir.rglob("*.sock"):
        child = os.fork()
        if child == 0:
            try:
                os.chdir(path.parent)  # its directory would stop anybody already; the socket must, too
                os.setgid(12345)
                os.setuid(12345)
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(path.name)
                os._exit(0)
            except PermissionError:
                os._exit(13)
            except BaseException:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 13, path


def test_terminal_escapes(t):
    """Control characters of an image, a registry or a container's processes do not reach the terminal through tables and messages."""
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m"
    layer = make_tar(entry("fine"), entry(f"{evil}/.wh..", data=b""))
    r = t.havre("load", "-i", archive(t, "escapes", [], layer=layer), check=False)
    assert r.rc == 1 and "owned" in r.err, r
    outputs = [r.err]
    used = image(t, "labelled", Labels={"label": evil}, Cmd=["sh", evil])
    t.havre("run", "-d", "--name", "titles", used, "sh", "-c", f"sleep 100; echo '{evil}'")
    t.defer(t.havre, "rm", "-f", "titles", check=False)
    t.havre("create", "--name", "never", used)
    outputs += [t.havre("top", "titles").out, t.havre("ps", "-a", "--no-trunc").out, t.havre("ps", "-a", "--format", "table {{.Names}}\t{{.Labels}}\t{{.Command}}").out,
                t.havre("images").out]
    server = FaultServer(t, lambda r: Answer(404, json.dumps({"errors": [{"code": "X", "message": f"says {evil}"}]}).encode()))
    outputs.append(t.havre("pull", f"{server.host}/app:v1", check=False).err)
    outputs.append(t.havre("inspect", f"nosuch{evil}", check=False).err)
    assert "owned" in outputs[1] and "owned" in outputs[3] and "owned" in outputs[5], outputs
    for text in outputs:
        assert not [c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"], text


def test_hostile_log(t):
    """`havre logs` of a file that is a symlink, a FIFO or nonsense does not block, does not follow and does not crash."""
    used = t.busybox_image()
    t.havre("run", "--name", "logged", used, "echo", "hello")
    log = t.root / "containers" / json.loads(t.havre("inspect", "logged").out)[0]["Id"] / "container.log"
    good = log.read_bytes()
    for bad in (b"{" * 100_000 + b"\n", b'{"log":"' + b"x" * 3_000_000 + b'\n', b"\0" * 10_000, b'{"log":1,"stream":"stdout","time":"x"}\n', b'{"log":"\\ud800","stream":"x","time":""}\n', good[:-5]):
        log.write_bytes(bad + good)
        r = t.havre("logs", "logged", check=False, timeout=20)
        assert r.rc in (0, 1), r
    log.unlink()
    os.mkfifo(log)
    r = t.havre("logs", "logged", check=False, timeout=20)
    assert r.rc in (0, 1)
    log.unlink()
    os.symlink("/etc/passwd", log)
    r = t.havre("start", "-a", "logged", check=False)
    assert "root:x" not in r.out and open("/etc/passwd").read().count("hello") == 0
