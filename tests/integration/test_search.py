# SPDX-License-Identifier: Apache-2.0
"""Searching registries: docker's search, and the list of repositories where there is none."""

import json
import urllib.parse

from registry_fixture import Answer, FaultServer


def search_server(t):
    def script(request):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path != "/v1/search":
            return None
        results = [{"name": "team/web", "description": "A web server\nof the team, with a description that is long enough to be cut",
                    "star_count": 12, "is_official": False, "is_automated": True},
                   {"name": "library/web", "description": "\x1b[31mofficial", "star_count": 900, "is_official": True}]
        results = results[:int(query["n"])] if query["q"] == "web & co" else []
        return Answer(200, json.dumps({"results": results}).encode(), {"Content-Type": "application/json"})
    return FaultServer(t, script)


def catalog_server(t, names, page=1000, scope=False):
    def script(request):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/v1/search":
            return Answer(404)
        if url.path != "/v2/_catalog":
            return None
        rest = [n for n in sorted(names) if n > query.get("last", "")]
        return Answer(200, json.dumps({"repositories": rest[:min(page, int(query["n"]))]}).encode(), {"Content-Type": "application/json"})
    return FaultServer(t, script)


def test_search(t):
    """docker's table: the most stars first, descriptions cut at 45 columns, filters, limits and templates."""
    server = search_server(t)
    h = server.host
    out = t.havre("search", f"{h}/web & co").out.splitlines()
    assert out[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert out[1].split() == [f"{h}/library/web", "?[31mofficial", "900", "[OK]"]
    assert out[2].split()[0] == f"{h}/team/web" and "A web server of the team, with a description…" in out[2] and "cut" not in out[2]

    def names(*flags):
        return t.havre("search", *flags, "--format", "{{.Name}}", f"{h}/web & co").out.split()
    assert names("--filter", "stars=100") == names("-f", "is-official=true") == names("--filter", "is-automated=false") == [f"{h}/library/web"]
    assert names("--filter", "stars=10", "--filter", "is-automated=1") == [f"{h}/team/web"] and len(names("--limit", "1")) == 1
    row = json.loads(t.havre("search", "--no-trunc", "--format", "json", "-f", "is-automated=true", f"{h}/web & co").out)
    assert row["Description"].endswith("to be cut") and row["StarCount"] == "12" and row["IsAutomated"] == "[OK]"
    assert t.havre("search", f"{h}/nothing").out.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    for args, words in ((["--limit", "0", "x"], "limit"), (["-f", "stars=x", "x"], "stars"), (["-f", "color=red", "x"], "color")):
        r = t.havre("search", *args, check=False)
        assert r.rc != 0 and words in r.err, (args, r)


def test_search_catalog(t):
    """A registry without a search is asked for its repositories, page by page; the registries of registries.conf are searched too."""
    many = catalog_server(t, [f"team/app{i:03}" for i in range(120)] + ["zoo/web"], page=50)
    other = catalog_server(t, ["web/site"])
    assert t.havre("search", "--format", "{{.Name}}", f"{many.host}/web").out == f"{many.host}/zoo/web\n"
    assert len(t.havre("search", "--limit", "100", "--format", "{{.Name}}", f"{many.host}/").out.split()) == 100
    conf = t.tmp / "registries.conf"
    conf.write_text(f'unqualified-search-registries = ["{many.host}", "{other.host}"]\n')
    env = {"CONTAINERS_REGISTRIES_CONF": conf}
    assert t.havre("search", "--format", "{{.Name}}", "web", env=env).out.split() == sorted(
        [f"{many.host}/zoo/web", f"{other.host}/web/site"])
    nothing = FaultServer(t)
    nothing.script = lambda request: Answer(404) if "_catalog" in request.path or "/v1/" in request.path else None
    r = t.havre("search", f"{nothing.host}/web", check=False)
    assert r.rc == 1 and "cannot be searched" in r.err, r


def test_insufficient_scope(t):
    """403 with insufficient_scope: a token for the scope that the challenge names is fetched, and the request repeated."""
    def script(request):
        url = urllib.parse.urlsplit(request.path)
        if url.path == "/token":
            return Answer(200, json.dumps({"token": "more" if "catalog" in url.query else "less"}).encode())
        token = request.headers.get("Authorization")
        realm = f'Bearer realm="http://{server.host}/token",service="x"'
        if not token:
            return Answer(401, b"", {"WWW-Authenticate": realm + ',scope="repository:a:pull"'})
        if url.path == "/v2/_catalog" and token == "Bearer more":
            return Answer(200, b'{"repositories": ["a"]}')
        if url.path == "/v1/search":
            return Answer(404)
        return Answer(403, b"", {"WWW-Authenticate": realm + ',scope="registry:catalog:*",error="insufficient_scope"'})
    server = FaultServer(t, script)
    assert t.havre("search", "--format", "{{.Name}}", f"{server.host}/a", env={"REGISTRY_AUTH_FILE": t.tmp / "none"}).out == f"{server.host}/a\n"
