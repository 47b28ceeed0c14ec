# SPDX-License-Identifier: Apache-2.0
"""Names without a registry: aliases, the registries that are searched, and what is asked on a terminal (containers-registries.conf(5))."""

import re

from registry_fixture import FaultServer


def configured(t, text):
    path = t.tmp / "registries.conf"
    path.write_text(text)
    env = {"CONTAINERS_REGISTRIES_CONF": path, "REGISTRY_AUTH_FILE": t.tmp / "none.json"}

    def havre(*args, **kw):
        return t.havre(*args, env=env, **kw)
    havre.env = env
    return havre


def server_with(t, *names):
    server = FaultServer(t)
    for name in names:
        server.add_image(name, "v1", [{"a": name.encode()}])
    return server


def test_aliases(t):
    """An alias stands for one name, whatever the search list says; tags and digests follow; the image is found by the short name."""
    server = server_with(t, "team/app")
    havre = configured(t, f"""
        unqualified-search-registries = ["registry.example"]
        [aliases]
        "app" = "{server.host}/team/app"
        "my/app" = "{server.host}/team/app"
        "gone" = "{server.host}/team/app"
        "gone" = ""
        """)
    r = havre("pull", "app:v1")
    assert f'Resolved "app:v1" as an alias: {server.host}/team/app:v1' in r.err and f"{server.host}/team/app:v1" in r.out, r
    assert havre("pull", "-q", "my/app:v1").out == f"{server.host}/team/app:v1\n"
    assert havre("image", "inspect", "--format", "{{.RepoTags}}", "app:v1").out == f"[{server.host}/team/app:v1]\n"
    digest = havre("images", "--digests", "--format", "{{.Digest}}").out.strip()
    assert havre("pull", "-q", f"app@{digest}").rc == 0
    r = havre("pull", "gone:v1", check=False)
    assert r.rc == 1 and "registry.example/gone:v1" in r.err, r
    havre("rmi", "app:v1")
    assert havre("images", "-q").out == "" or server.host not in havre("images").out


def test_search_registries(t):
    """The registries are tried in their order, by pull and by run; without any a short name is docker.io's."""
    first, second = server_with(t, "other"), server_with(t, "app", "library/app")
    havre = configured(t, f'unqualified-search-registries = ["{first.host}", "{second.host}"]\n')
    r = havre("pull", "app:v1")
    assert r.rc == 0 and f"{first.host}/app:v1" in r.err and f"{second.host}/app:v1" in r.out, r
    assert first.count("GET", "v2/app/manifests") == 1
    havre("rmi", "app:v1")
    r = havre("create", "app:v1", "x")
    assert r.rc == 0 and second.count("GET", "v2/app/manifests") == 2, r
    r = havre("pull", "nowhere:v1", check=False)
    assert r.rc == 1 and f"{first.host}/nowhere" in r.err and f"{second.host}/nowhere" in r.err, r
    enforcing = configured(t, f'unqualified-search-registries = ["{first.host}", "{second.host}"]\nshort-name-mode = "enforcing"\n')
    for command in (["pull", "thing:v1"], ["run", "thing:v1"]):
        r = enforcing(*command, check=False)
        assert r.rc != 0 and "give the full name" in r.err and f"{first.host}/thing:v1, {second.host}/thing:v1" in r.err, r
    for text, words in (('short-name-mode = "x"', "short-name-mode must be"), ('unqualified-search-registries = "x"', "must be a list"),
                        ('[aliases]\n"a" = true', "must be a text")):
        r = configured(t, text)("pull", "app", check=False)
        assert r.rc == 1 and words in r.err and "registries.conf" in r.err, (text, r)


def test_asked_on_a_terminal(t):
    """On a terminal somebody chooses, and the choice is remembered where podman keeps it."""
    first, second = server_with(t, "app"), server_with(t, "app")
    havre = configured(t, f'unqualified-search-registries = ["{first.host}", "{second.host}"]\n')
    terminal = t.terminal([*t.havre_args("pull", "app:v1")], env=havre.env)
    terminal.expect(r"Which one\? ")
    terminal.send("7\n")
    terminal.expect("from 1 to 2")
    terminal.send("2\n")
    assert terminal.wait() == 0
    assert not first.requests and second.count("GET", "v2/app/manifests/v1") == 1
    recorded = (t.tmp / ".cache/containers/short-name-aliases.conf").read_text()
    assert re.fullmatch(rf'\[aliases\]\n  "app" = "{re.escape(second.host)}/app"\n', recorded), recorded
    assert havre("pull", "-q", "app:v1").out == f"{second.host}/app:v1\n"
