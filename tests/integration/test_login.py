# SPDX-License-Identifier: Apache-2.0
"""login and logout: credentials are proved first, kept where docker, podman and skopeo find them, and removed again."""

import base64
import json
import os
import pty
import re
import signal
import stat
import threading

import registry_fixture as reg
from registry_fixture import Answer, FaultServer, start_registry


class Home:
    """A home directory of its own, so that no real credentials are touched."""

    def __init__(self, t):
        self.t, self.path = t, t.tmp / "home"
        self.path.mkdir()
        self.docker = self.path / ".docker/config.json"
        self.env = {"HOME": self.path, "XDG_RUNTIME_DIR": t.tmp / "run-user", "XDG_CONFIG_HOME": None, "DOCKER_CONFIG": None,
                    "REGISTRY_AUTH_FILE": None, "CONTAINERS_REGISTRIES_CONF": t.tmp / "none.conf"}
        self.auth = t.tmp / "run-user/containers/auth.json"

    def __call__(self, *args, **kw):
        return self.t.havre(*args, env={**self.env, **kw.pop("env", {})}, **kw)

    def fails(self, *args, says, **kw):
        r = self(*args, check=False, **kw)
        assert r.rc in (1, 125), r
        for text in [says] if isinstance(says, str) else says:
            assert re.search(text, r.err), (text, r)
        return r


def basic_server(t, user="u", password="p"):
    good = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return FaultServer(t, lambda request: Answer(200, b"{}") if request.headers.get("Authorization") == good else Answer(
        401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))


def test_login_and_logout(t):
    """Against the real registry: a wrong password keeps nothing, a right one is used by pull, by push and by skopeo, and logout ends that."""
    home, registry = Home(t), start_registry(t, tls=True, password=True)
    image = registry.push_busybox("secret:v1")
    ca = ("--ca-file", registry.ca)
    home.fails("login", *ca, "-u", reg.USER, "--password-stdin", registry.host, input="wrong\n", says='refuses user "tester"')
    assert not home.docker.exists()
    r = home("login", *ca, "-u", reg.USER, "--password-stdin", registry.host, input=reg.PASSWORD + "\n")
    assert r.out == "Login Succeeded\n" and str(home.docker) in r.err, r
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600 and sorted(p.name for p in home.docker.parent.iterdir()) == ["config.json"]
    assert json.loads(home.docker.read_text()) == {"auths": {registry.host: {
        "auth": base64.b64encode(f"{reg.USER}:{reg.PASSWORD}".encode()).decode()}}}
    assert home("login", "--get-login", registry.host).out == reg.USER + "\n"
    home("pull", "-q", *ca, image)
    home("tag", image, f"{registry.host}/other:v1")
    home("push", "-q", *ca, f"{registry.host}/other:v1")
    t.run(["skopeo", "inspect", "--raw", f"--cert-dir={registry.directory}/certs", f"docker://{image}"], env=home.env)
    assert "existing credentials" in home("login", *ca, registry.host).out
    assert home("logout", registry.host).out == f"Removing login credentials for {registry.host}\n"
    assert home("logout", registry.host).out == f"Not logged in to {registry.host}\n"
    home.fails("login", "--get-login", registry.host, says="not logged in")
    home.fails("pull", "-q", *ca, f"{registry.host}/other:v2", says=["needs credentials", "havre login"])


def test_keeps_what_is_there(t):
    """Other entries and settings stay; the entry that a file of podman's has is replaced there; a symbolic link stays one."""
    home, server = Home(t), basic_server(t)
    home.docker.parent.mkdir()
    real = t.tmp / "dotfiles.json"
    before = {"auths": {"quay.io": {"auth": "YTpi"}}, "HttpHeaders": {"X": "1"}, "detachKeys": "ctrl-e", "number": 12345678901234567}
    real.write_text(json.dumps(before))
    home.docker.symlink_to(real)
    home("login", "-u", "u", "-p", "p", f"https://{server.host}/v1/")
    after = json.loads(real.read_text())
    assert home.docker.is_symlink() and after["auths"].pop(server.host) and after == before, after
    home("logout", server.host)
    assert json.loads(real.read_text()) == before
    home.auth.parent.mkdir(parents=True)
    home.auth.write_text(json.dumps({"auths": {server.host: {"auth": "b2xkOm9sZA=="}}}))
    home("login", "-u", "u", "-p", "p", server.host)
    assert json.loads(home.auth.read_text())["auths"][server.host]["auth"] == base64.b64encode(b"u:p").decode()
    assert json.loads(real.read_text()) == before
    real.write_text("{ not json")
    home.fails("login", "-u", "u", "-p", "p", "127.0.0.1:1", says="cannot reach")
    home.fails("logout", "quay.io", says="config.json")
    assert real.read_text() == "{ not json"


def test_authfile_and_names(t):
    """--authfile and REGISTRY_AUTH_FILE name the file; docker.io has docker's key; namespaces have their own entry; --all removes all."""
    home, server = Home(t), basic_server(t)
    mine = t.tmp / "deep/er/auth.json"
    home("login", "-u", "u", "-p", "p", "--authfile", mine, server.host)
    home("login", "-u", "u", "-p", "p", f"{server.host}/team", env={"REGISTRY_AUTH_FILE": mine})
    assert sorted(json.loads(mine.read_text())["auths"]) == [server.host, f"{server.host}/team"] and not home.docker.exists()
    assert home("login", "--get-login", "--authfile", mine, f"{server.host}/team/app").out == "u\n"
    r = home("logout", "--all", "--authfile", mine)
    assert r.out.count("Removing login credentials for") == 2 and json.loads(mine.read_text()) == {"auths": {}}, r
    home.docker.parent.mkdir()
    home.docker.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": "bWU6eA=="}}}))
    assert home("login", "--get-login").out == "me\n" == home("login", "--get-login", "docker.io").out
    assert home("logout").out == "Removing login credentials for docker.io\n"
    for wrong in ("bad host", "a//b", ""):
        home.fails("login", "-u", "u", "-p", "p", wrong, says="is not the name of a registry")


def test_mistakes(t):
    """What cannot be: a password for nobody, two passwords, a question without a terminal, nobody there, no registry."""
    home, server = Home(t), FaultServer(t)
    home.fails("login", "--password-stdin", "x", says="needs --username")
    home.fails("login", "-u", "u", "-p", "p", "--password-stdin", "x", says="exclude each other")
    home.fails("login", "127.0.0.1:1", says="no terminal: give -u and --password-stdin")
    home.fails("login", "-u", "u", "--password-stdin", "127.0.0.1:1", input="", says="a password is needed")
    home.fails("login", "-u", "u", "-p", "p", f"127.0.0.1:{reg.free_port()}", says="cannot reach 127.0.0.1:")
    home.fails("login", "-u", "u", "-p", "p", server.host, says="no registry")
    home.fails("logout", "-a", "x", says="cannot be named")
    assert not home.docker.exists()


HELPER = """#!/usr/bin/env python3
import json, os, sys
path = os.environ["HELPER_STORE"]
store = json.load(open(path)) if os.path.exists(path) else {}
text = sys.stdin.read()
verb = sys.argv[1]
if verb == "store":
    entry = json.loads(text)
    store[entry["ServerURL"]] = entry
elif verb == "erase":
    del store[text.strip()]
elif verb == "get":
    if text.strip() not in store:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(store[text.strip()]))
elif verb == "list":
    print(json.dumps({k: v["Username"] for k, v in store.items()}))
json.dump(store, open(path, "w"))
"""


def test_credential_helpers(t):
    """credsStore and credHelpers: the secret goes to the program and not into the file; get, erase and list work; a missing program is an error."""
    home, server = Home(t), basic_server(t)
    programs = t.tmp / "programs"
    programs.mkdir()
    (programs / "docker-credential-mine").write_text(HELPER)
    (programs / "docker-credential-mine").chmod(0o755)
    home.env |= {"PATH": f"{programs}:{os.environ['PATH']}", "HELPER_STORE": t.tmp / "helper.json"}
    kept = t.tmp / "helper.json"
    home.docker.parent.mkdir()
    for config in ({"credsStore": "mine"}, {"credHelpers": {server.host: "mine"}}):
        home.docker.write_text(json.dumps(config))
        r = home("login", "-u", "u", "-p", "p", "--verbose", server.host)
        assert "Kept by docker-credential-mine" in r.out and "is kept in" not in r.err, r
        assert json.loads(kept.read_text())[server.host] == {"ServerURL": server.host, "Username": "u", "Secret": "p"}
        assert json.loads(home.docker.read_text()) == {**config, "auths": {server.host: {}}}
        assert home("login", "--get-login", server.host).out == "u\n"
        assert "existing credentials" in home("login", server.host).out
        r = home("logout", server.host) if "credsStore" in config else home("logout", "--all")
        assert r.out == f"Removing login credentials for {server.host}\n", r
        assert json.loads(kept.read_text()) == {} and json.loads(home.docker.read_text()) == {**config, "auths": {}}
    home.docker.write_text('{"credsStore": "absent"}')
    home.fails("login", "-u", "u", "-p", "p", server.host, says="docker-credential-absent is not installed")


def test_prompt(t):
    """On a terminal name and password are asked for; the password is not shown; Ctrl-C leaves the terminal as it was."""
    home, server = Home(t), basic_server(t)

    def session(answers, interrupt=False):
        master, slave = pty.openpty()
        p = t.start(t.havre_args("login", server.host), env=home.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        seen = b""
        import termios
        before = termios.tcgetattr(slave)
        for question, answer in answers:
            while question not in seen:
                seen += os.read(master, 1000)
            if question == b"Password: ":
                t.wait_for(lambda: not termios.tcgetattr(slave)[3] & termios.ECHO, what="no echo")
            seen = b"" if answer is None else seen
            if answer is None:
                p.send_signal(signal.SIGINT)
            else:
                os.write(master, answer + b"\n")
        p.wait(timeout=20)
        os.set_blocking(master, False)
        try:
            while True:
                seen += os.read(master, 10000)
        except (BlockingIOError, OSError):
            pass
        after = termios.tcgetattr(slave)
        os.close(master)
        os.close(slave)
        assert before[3] == after[3]
        return p.returncode, seen.decode()

    rc, seen = session([(b"Username: ", b"u"), (b"Password: ", None)])
    assert rc in (1, 130) and not home.docker.exists(), (rc, seen)
    rc, seen = session([(b"Username: ", b"u"), (b"Password: ", b"p")])
    assert rc == 0 and "Login Succeeded" in seen and seen.count("p\r\n") == 0, (rc, seen)
    rc, seen = session([])  # what is kept still does
    assert rc == 0 and "existing credentials" in seen, (rc, seen)


def test_tokens(t):
    """A token server: it is asked without a scope; the refresh token that it gives is kept instead of the password, and used."""
    home, asked = Home(t), []

    def token(request):
        body = request.body.decode()
        asked.append(body)
        if "password=p&" in body:
            return Answer(200, b'{"access_token": "good", "refresh_token": "fresh", "expires_in": 300}')
        if "refresh_token=fresh" in body:
            return Answer(200, b'{"access_token": "good"}')
        return Answer(401)
    auth = FaultServer(t, token)
    server = FaultServer(t, lambda request: (Answer(200, b"{}") if request.path == "/v2/" else None)
                         if request.headers.get("Authorization") == "Bearer good" else Answer(
                             401, b"", {"WWW-Authenticate": f'Bearer realm="http://{auth.host}/token",service="s"'}))
    server.add_image("app", "v1", [{"a": b"1"}])
    home.fails("login", "-u", "u", "-p", "no", server.host, says='refuses user "u"')
    home("login", "-u", "u", "-p", "p", server.host)
    assert "grant_type=password" in asked[-1] and "access_type=offline" in asked[-1] and "scope=" not in asked[-1], asked
    entry = json.loads(home.docker.read_text())["auths"][server.host]
    assert entry == {"auth": base64.b64encode(b"u:").decode(), "identitytoken": "fresh"}, entry
    home("pull", "-q", f"{server.host}/app:v1")
    assert "grant_type=refresh_token" in asked[-1] and "refresh_token=fresh" in asked[-1] and "scope=repository" in asked[-1], asked


test_prompt.timeout = 40


def test_two_at_once(t):
    """Logins at the same time do not lose each other's entries."""
    home = Home(t)
    servers = [basic_server(t) for _ in range(6)]
    threads = [threading.Thread(target=home, args=("login", "-u", "u", "-p", "p", s.host)) for s in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(home.docker.read_text())["auths"]) == sorted(s.host for s in servers)
