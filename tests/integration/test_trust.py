# SPDX-License-Identifier: Apache-2.0
"""Trust: policy.json decides which images may be used, and GPG signatures prove whose they are. The judge is skopeo."""

import json

import trust_fixture as trust
from registry_fixture import FaultServer, digest_of, start_registry
from trust_fixture import Signer, Storage, payload, policy, sign

ACCEPT = "insecureAcceptAnything"


def server_with_image(t):
    server = FaultServer(t)
    server.add_image("team/app", "v1", [{"a": b"1"}])
    server.digest = digest_of(server.manifests[("team/app", "v1")][1])
    server.name = f"{server.host}/team/app"
    return server


def pull(t, path, name, check=False, **kw):
    return t.havre("pull", "-q", "--signature-policy", path, name, check=check, **kw)


def test_policy_scopes(t):
    """The most specific scope counts alone: image, repository, namespaces, host, the transport, the default; a refusal names it."""
    server = server_with_image(t)
    name, host = server.name, server.host
    other = f"{name}@sha256:{'0' * 64}"
    for scope, scopes in ((f"{name}:v1", {name: [ACCEPT]}), (name, {f"{host}/team": [ACCEPT], f"{name}:v2": [ACCEPT]}),
                          (f"{host}/team", {host: [ACCEPT], other: [ACCEPT]}), (host, {"": [ACCEPT]}), ("", {})):
        bad = policy(t, [ACCEPT], docker={scope: ["reject"], **scopes})
        r = pull(t, bad, f"{name}:v1")
        assert r.rc == 1 and f'(transport docker, scope "{scope}")' in r.err and str(bad) in r.err and "rejected" in r.err, r
        good = policy(t, ["reject"], docker={scope: [ACCEPT], **{k: ["reject"] for k in scopes}})
        assert pull(t, good, f"{name}:v1").rc == 0
    assert server.count("GET", "blobs/") == 2  # the refusals fetched nothing
    r = pull(t, policy(t, ["reject"], dir={"": [ACCEPT]}), f"{name}:v1")
    assert r.rc == 1 and "(default)" in r.err, r
    r = t.havre("pull", "-q", "--signature-policy", t.tmp / "none", f"{name}:v1", check=False)
    assert r.rc == 1 and "cannot read the signature policy" in r.err, r


def test_usual_policy_and_commands(t):
    """The user's policy.json counts for pull, run and load without being named; load knows the kinds of archives."""
    server = server_with_image(t)
    archive = t.busybox_archive()
    usual = t.tmp / ".config/containers/policy.json"
    usual.parent.mkdir(parents=True)
    policy(t, ["reject"]).rename(usual)
    for command in (["pull", f"{server.name}:v1"], ["run", "--rm", f"{server.name}:v1", "x"],
                    ["create", f"{server.name}:v1", "x"], ["load", "-i", archive]):
        r = t.havre(*command, check=False)
        assert r.rc != 0 and str(usual) in r.err and "rejected" in r.err, (command, r)
    assert t.havre("images", "-q").out == ""
    t.havre("load", "-i", archive, "--signature-policy", policy(t, ["reject"], docker_archive={"": [ACCEPT]}))
    assert t.havre("run", "--rm", "havre/hello", timeout=120).rc == 0  # it is our own


def test_malformed_policies(t):
    """What is unknown, twice, empty or contradictory refuses the whole file, and the message names the place."""
    server = server_with_image(t)
    for text, words in (
            ('{}', "default"), ('[]', "object"), ('{"default": []}', "1 to"), ('{"default": [{"type": "accept"}]}', "accept"),
            ('{"default": [{"type": "reject", "x": 1}]}', "default[0].x"), ('{"default": [{"type": "reject"}], "more": {}}', "more"),
            ('{"default": [{"type": "insecureAcceptAnything"}], "default": [{"type": "reject"}]}', "twice"),
            ('{"default": [{"type": "insecureAcceptAnything"}], "d\\u0065fault": [{"type": "reject"}]}', "escapes"),
            ('{"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}', "exactly one of"),
            ('{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/x", "keyData": "eA=="}]}', "exactly one of"),
            ('{"default": [{"type": "signedBy", "keyType": "keys", "keyPath": "/x"}]}', "GPGKeys"),
            ('{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": "*"}]}', "keyData"),
            ('{"default": [{"type": "sigstoreSigned", "keyPath": "/x", "signedIdentity": {"type": "exactReference"}}]}',
             "dockerReference"),
            ('{"default": [{"type": "reject"}], "transports": {"docker": {"exam*.org": [{"type": "reject"}]}}}', "exam*.org"),
            ('{"default": [{"type": "reject"}], "transports": {"dir": {"/": [{"type": "reject"}]}}}', "below /"),
            ('{"default"', "ends too early")):
        path = t.tmp / "bad.json"
        path.write_text(text)
        r = pull(t, path, f"{server.name}:v1")
        assert r.rc == 1 and words in r.err and str(path) in r.err, (text, r)
    assert not server.requests


def test_signed_by(t):
    """signedBy: one good signature among bad ones is enough, and nothing but a good one is."""
    server, storage = server_with_image(t), Storage(t)
    ours, other = Signer(t, "ours"), Signer(t, "other")
    name, digest = f"{server.name}:v1", server.digest
    good = sign(ours, payload(digest, name))
    strict = policy(t, ["reject"], docker={server.host: [ours.requirement()]})

    def refused(words, *signatures):
        storage.put("team/app", digest, *signatures)
        r = pull(t, strict, name)
        assert r.rc == 1 and words in r.err and str(strict) in r.err, (words, r)
        return r

    refused("there is none")
    refused("not by one of the policy's keys", sign(other, payload(digest, name)))
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0x10
    refused("(gpgv: ", bytes(damaged))
    refused("neither an OpenPGP message", b"hello")
    refused("it is for 127.0.0.1", sign(ours, payload(digest, f"{server.name}:v2")))
    refused("it is for the manifest", sign(ours, payload("sha256:" + "0" * 64, name)))
    refused("critical.x", sign(ours, payload(digest, name, x=1)))
    refused("must be \"atomic", sign(ours, payload(digest, name, type="cosign container image signature")))
    refused("2 GPG signatures", sign(other, payload(digest, name)), sign(ours, payload(digest, "registry.example/app:v1")))
    refused("signed text", sign(ours, b"\0" * 100))
    assert t.havre("images", "-q").out == "" and server.count("GET", "blobs/") == 0
    storage.put("team/app", digest, sign(other, payload(digest, name)), good)
    assert pull(t, strict, name).rc == 0
    # What is here already is asked about again.
    storage.put("team/app", digest)
    assert pull(t, strict, name).rc == 1


def test_keys_of_signed_by(t):
    """keyPath, keyPaths and keyData, armoured or not; an expired key's signature is not good; requirements add up."""
    server, storage = server_with_image(t), Storage(t)
    ours, other = Signer(t, "ours"), Signer(t, "other")
    name = f"{server.name}:v1"
    storage.put("team/app", server.digest, sign(ours, payload(server.digest, name)))

    def allowed(*requirements):
        r = pull(t, policy(t, list(requirements)), name)
        return r.rc == 0, r.err

    def keys(**where):
        return {"type": "signedBy", "keyType": "GPGKeys", **where}
    assert allowed(keys(keyPath=str(ours.armored)))[0]
    assert allowed(keys(keyPaths=[str(other.armored), str(ours.public)]))[0]
    assert allowed(keys(keyData=trust.key_data(ours.public)))[0] and allowed(keys(keyData=trust.key_data(ours.armored)))[0]
    both = t.tmp / "both.asc"
    both.write_text(other.armored.read_text() + "\n" + ours.armored.read_text().replace("\n", "\r\n"))
    assert allowed(keys(keyPath=str(both)))[0] and not allowed(keys(keyPath=str(other.armored)))[0]
    assert "no such file" in allowed(keys(keyPath=str(t.tmp / "gone")))[1].lower()
    assert "no OpenPGP keys" in allowed(keys(keyPath="/etc/hostname"))[1]
    assert not allowed(ours.requirement(), other.requirement())[0]
    assert allowed(ours.requirement(), ACCEPT)[0] and not allowed(ours.requirement(), "reject")[0]
    assert "signedByX509CAs" not in allowed({**ours.requirement(), "keyType": "signedByX509CAs"})[1]
    ours.gpg("--quick-set-expire", ours.fingerprint, "seconds=1")
    t.wait_for(lambda: ":e:" in ours.gpg("--with-colons", "--list-keys"), what="the key's end")
    ours.public.unlink()
    ours.gpg("--output", ours.public, "--export", ours.fingerprint)
    good, words = allowed(ours.requirement())
    assert not good and "its key has expired" in words, words


def test_identities(t):
    """signedIdentity: each kind accepts exactly the names that containers-policy.json(5) says."""
    server, storage = server_with_image(t), Storage(t)
    ours = Signer(t, "ours")
    name, digest = server.name, server.digest

    def check(signed_as, ask=f"{name}:v1", **identity):
        storage.put("team/app", digest, sign(ours, payload(digest, signed_as)))
        requirement = ours.requirement(**({"signedIdentity": identity} if identity else {}))
        return pull(t, policy(t, [requirement]), ask).rc == 0
    by_digest = f"{name}@{digest}"
    assert check(f"{name}:v1") and not check(f"{name}:v2") and not check(name)
    assert check(f"{name}:v2", by_digest) and check(by_digest, by_digest) and not check(f"{server.host}/team/other:v1", by_digest)
    assert check(by_digest, by_digest, type="matchExact") and not check(f"{name}:v1", by_digest, type="matchExact")
    assert check(f"{name}:v9", type="matchRepository") and not check(f"{server.host}/app:v1", type="matchRepository")
    assert check("vendor.example/app:1", type="exactReference", dockerReference="vendor.example/app:1")
    assert not check("vendor.example/app:2", type="exactReference", dockerReference="vendor.example/app:1")
    assert check("vendor.example/app:2", type="exactRepository", dockerRepository="vendor.example/app")
    assert check("docker.io/library/app:2", type="exactRepository", dockerRepository="app")
    assert check("vendor.example/app:v1", type="remapIdentity", prefix=f"{server.host}/team", signedPrefix="vendor.example")
    assert not check("vendor.example/app:v1", type="remapIdentity", prefix=f"{server.host}/tea", signedPrefix="vendor.example")
    assert not check("vendor.example/app:v2", type="remapIdentity", prefix=f"{server.host}/team", signedPrefix="vendor.example")


def test_signed_index(t):
    """A signature of the platform's manifest or of the index around it will do."""
    registry, storage = FaultServer(t), Storage(t)
    ours = Signer(t, "ours")
    registry.add_image("app", "single", [{"a": b"1"}])
    kind, manifest = registry.manifests[("app", "single")]
    config = json.loads(registry.blobs[json.loads(manifest)["config"]["digest"]])
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": kind, "digest": digest_of(manifest), "size": len(manifest),
         "platform": {"os": "linux", "architecture": config["architecture"]}}]}).encode()
    registry.manifests[("app", "v1")] = ("application/vnd.oci.image.index.v1+json", index)
    registry.manifests[("app", digest_of(manifest))] = (kind, manifest)
    name = f"{registry.host}/app:v1"
    strict = policy(t, [ours.requirement()])
    assert pull(t, strict, name).rc == 1
    for document in (manifest, index):
        storage.put("app", digest_of(manifest))
        storage.put("app", digest_of(document), sign(ours, payload(digest_of(document), name)))
        assert pull(t, strict, name).rc == 0


def test_skopeo_agrees(t):
    """What skopeo signs we accept, and both refuse the same, over one registry, one storage and one policy."""
    t.need("skopeo")
    registry, storage = start_registry(t), Storage(t)
    ours, other = Signer(t, "ours"), Signer(t, "other")
    image = registry.push_busybox("team/app:plain")
    signed = f"{registry.host}/team/app:signed"

    def copy(source, destination, *flags, check=True):
        return t.run(["skopeo", "--registries.d", storage.configuration, *flags[:2], "copy", "-q", "--src-tls-verify=false",
                      "--dest-tls-verify=false", *flags[2:], source, destination], check=check, env=ours.env, timeout=120)
    anything = policy(t, [ACCEPT], "anything.json")
    copy(f"docker://{image}", f"docker://{signed}", "--policy", anything, "--sign-by", ours.fingerprint)
    for n, (requirement, name, expected) in enumerate((
            (ours.requirement(), signed, True), (ours.requirement(), image, False), (other.requirement(), signed, False),
            (ours.requirement(signedIdentity={"type": "matchRepository"}), image, True))):
        path = policy(t, ["reject"], f"policy{n}.json", docker={registry.host: [requirement]})
        theirs = copy(f"docker://{name}", f"dir:{t.tmp}/copy{n}", "--policy", path, check=False)
        assert (theirs.rc == 0) == expected, (requirement, name, theirs)
        mine = pull(t, path, name)
        assert (mine.rc == 0) == expected, (requirement, name, mine)
