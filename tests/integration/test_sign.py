# SPDX-License-Identifier: Apache-2.0
"""Signing: by GPG and by sigstore's keys, at push and in the registry. The judge is skopeo."""

import base64
import json
import subprocess

import trust_fixture as trust
from registry_fixture import digest_of, start_registry
from trust_fixture import Signer, Storage, policy

ACCEPT = "insecureAcceptAnything"


def make_key(t, name, passphrase="secret"):
    (t.tmp / f"{name}.pass").write_text(passphrase + "\n")
    out = t.havre("image", "generate-sigstore-key", "--output-prefix", t.tmp / name, "--passphrase-file", t.tmp / f"{name}.pass").out
    assert out == f'Key written to "{t.tmp}/{name}.private" and "{t.tmp}/{name}.pub"\n'
    return ["--sign-by-sigstore-private-key", t.tmp / f"{name}.private", "--sign-passphrase-file", t.tmp / f"{name}.pass"]


def pushed_name(t, registry, name="team/app:v1"):
    full = f"{registry.host}/{name}"
    t.havre("tag", t.busybox_image(), full)
    return full


def digest_in(t, registry, name, tag):
    return t.run(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{registry.host}/{name}:{tag}"]).out.strip()


def skopeo_copy(t, storage, policy_path, name, to):
    return t.run(["skopeo", "--registries.d", storage.configuration, "--policy", policy_path, "copy", "-q", "--src-tls-verify=false",
                  f"docker://{name}", f"dir:{t.tmp}/{to}"], check=False, timeout=120)


def test_push_signed(t):
    """push --sign-by: skopeo and we accept the image by the signer's key, and refuse what somebody else's policy asks for."""
    t.need("skopeo")
    registry, storage = start_registry(t), Storage(t)
    ours, other = Signer(t, "ours"), Signer(t, "other")
    name = pushed_name(t, registry)
    t.havre("push", "-q", "--sign-by", ours.fingerprint, name, env=ours.env)
    t.havre("push", "-q", "--sign-by", ours.fingerprint, "--sign-identity", "registry.example/app:v1", name, env=ours.env)
    folder = storage.folder("team/app", digest_in(t, registry, "team/app", "v1"))
    assert sorted(f.name for f in folder.iterdir() if f.name != ".lock") == ["signature-1", "signature-2"]
    for n, (requirement, expected) in enumerate((
            (ours.requirement(), True), (other.requirement(), False),
            (ours.requirement(signedIdentity={"type": "exactReference", "dockerReference": "registry.example/app:v1"}), True),
            (ours.requirement(signedIdentity={"type": "exactReference", "dockerReference": "registry.example/app:v2"}), False))):
        path = policy(t, [requirement])
        theirs = skopeo_copy(t, storage, path, name, f"copy{n}")
        mine = t.havre("image", "verify", "--signature-policy", path, name, check=False)
        assert (theirs.rc == 0, mine.rc == 0) == (expected, expected), (requirement, theirs, mine)
    r = t.havre("push", "-q", "--sign-by", "nobody@example.org", name, env=ours.env, check=False)
    assert r.rc == 1 and "could not be signed" in r.err and "nobody@example.org" in r.err, r


def test_copy_signed(t):
    """copy --sign-by signs what came to the registry, by its digest; skopeo accepts it. Other places keep no signatures."""
    t.need("skopeo")
    registry, storage, ours = start_registry(t), Storage(t), Signer(t, "ours")
    source = registry.push_busybox("source:v1")
    name = f"{registry.host}/team/copy:v1"
    copy = ["image", "copy", "-q", "--sign-by", ours.fingerprint, f"docker://{source}"]
    t.havre(*copy, f"docker://{name}", env=ours.env)
    folder = storage.folder("team/copy", digest_in(t, registry, "team/copy", "v1"))
    assert [f.name for f in folder.iterdir() if f.name != ".lock"] == ["signature-1"]
    r = skopeo_copy(t, storage, policy(t, [ours.requirement()]), name, "copied")
    assert r.rc == 0, r
    r = t.havre(*copy, f"dir:{t.tmp}/dir", env=ours.env, check=False)
    assert r.rc != 0 and "--sign-by" in r.err and not (t.tmp / "dir").exists(), r


def test_standalone(t):
    """standalone-sign and standalone-verify: ours and skopeo's accept each other's files, and both notice what is wrong."""
    t.need("skopeo")
    ours, other = Signer(t, "ours"), Signer(t, "other")
    manifest, name = t.tmp / "manifest.json", "registry.example/team/app:v1"
    manifest.write_text('{"schemaVersion": 2, "layers": []}')
    skopeo = ["skopeo"]
    for signer, verifier in (("skopeo", "havre"), ("havre", "skopeo"), ("havre", "havre")):
        tool = {"skopeo": lambda *a, check=True: t.run([*skopeo, *a], env=ours.env, check=check),
                "havre": lambda *a, check=True: t.havre("image", *a, env=ours.env, check=check)}
        signature = t.tmp / f"{signer}.sig"
        tool[signer]("standalone-sign", manifest, name, ours.fingerprint, "--output", signature)
        out = tool[verifier]("standalone-verify", manifest, name, ours.fingerprint, signature).out
        assert "Signature verified" in out and digest_of(manifest.read_bytes()) in out, out
        assert tool[verifier]("standalone-verify", manifest, name + "x", ours.fingerprint, signature, check=False).rc != 0
        changed = t.tmp / "changed.json"
        changed.write_text("{}")
        assert tool[verifier]("standalone-verify", changed, name, ours.fingerprint, signature, check=False).rc != 0
        assert tool[verifier]("standalone-verify", manifest, name, other.fingerprint, signature, check=False).rc != 0
    t.havre("image", "standalone-verify", "--public-key-file", ours.armored, manifest, name, "any", t.tmp / "havre.sig")
    r = t.havre("image", "standalone-verify", "--public-key-file", other.armored, manifest, name, "any", t.tmp / "havre.sig", check=False)
    assert r.rc == 1 and "not by one of the policy's keys" in r.err, r


def test_sigstore(t):
    """push with a sigstore key: the signature is in the registry as cosign keeps it; openssl verifies it; sigstoreSigned decides."""
    t.need("openssl")
    registry, storage = start_registry(t), Storage(t, use_sigstore_attachments="true")
    flags, _ = make_key(t, "ours"), make_key(t, "other")
    name = pushed_name(t, registry)
    t.havre("push", "-q", *flags, name)
    digest = digest_in(t, registry, "team/app", "v1")
    attached = registry.manifest("team/app", digest.replace(":", "-") + ".sig")
    layer = attached["layers"][0]
    assert len(attached["layers"]) == 1 and layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = registry.blob_path(layer["digest"])
    critical = json.loads(payload.read_bytes())["critical"]
    assert critical["image"]["docker-manifest-digest"] == digest and critical["identity"]["docker-reference"] == name
    (t.tmp / "signature").write_bytes(base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
    t.run(["openssl", "dgst", "-sha256", "-verify", t.tmp / "ours.pub", "-signature", t.tmp / "signature", payload])

    def allowed(key, **more):
        path = policy(t, [{"type": "sigstoreSigned", "keyPath": str(t.tmp / key), **more}])
        r = t.havre("pull", "-q", "--signature-policy", path, name, check=False)
        return r.rc == 0, r.err
    assert allowed("ours.pub")[0] and allowed("ours.pub", signedIdentity={"type": "matchExact"})[0]
    good, words = allowed("other.pub")
    assert not good and "none of its 1 sigstore signature" in words, words
    assert not allowed("ours.pub", signedIdentity={"type": "exactRepository", "dockerRepository": "registry.example/x"})[0]
    good, words = allowed("ours.pub", rekorPublicKeyPath="/x")
    assert not good and "rekorPublicKeyPath, which havre does not support" in words, words
    good, words = allowed("ours.pass")
    assert not good and "not a PEM public key" in words, words
    path = policy(t, [{"type": "sigstoreSigned", "keyData": trust.key_data(t.tmp / "ours.pub")}])
    assert t.havre("pull", "-q", "--signature-policy", path, name).rc == 0
    # A second signer's signature comes beside the first one.
    t.havre("image", "sign", *make_key(t, "third"), name)
    assert len(registry.manifest("team/app", digest.replace(":", "-") + ".sig")["layers"]) == 2
    assert allowed("ours.pub")[0] and allowed("third.pub")[0]
    # Without the setting nothing is written, and nothing is read.
    (storage.configuration / "default.yaml").write_text(f"default-docker: {{lookaside: 'file://{storage.directory}'}}\n")
    assert "there is none" in allowed("ours.pub")[1]
    r = t.havre("push", "-q", *flags, name, check=False)
    assert r.rc == 1 and "use-sigstore-attachments" in r.err, r


def test_sigstore_key_kinds(t):
    """Public keys are ECDSA of any curve, RSA and Ed25519: signatures made by openssl are verified."""
    t.need("openssl", "skopeo")
    registry, _ = start_registry(t), Storage(t, use_sigstore_attachments="true")
    image = registry.push_busybox("team/app:v1")
    digest = digest_in(t, registry, "team/app", "v1")
    text = trust.payload(digest, image, type="cosign container image signature").replace(b'"optional": {}', b'"optional": null')
    (t.tmp / "payload").write_bytes(text)

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       cwd=t.tmp)
    layers, blobs = [], []
    for kind, options in (("p384", ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]), ("rsa", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
                          ("ed", ["ED25519"])):
        openssl("genpkey", "-algorithm", *options, "-out", f"{kind}.key")
        openssl("pkey", "-in", f"{kind}.key", "-pubout", "-out", f"{kind}.pub")
        if kind == "ed":
            openssl("pkeyutl", "-sign", "-inkey", "ed.key", "-rawin", "-in", "payload", "-out", "sig")
        else:
            openssl("dgst", "-sha256", "-sign", f"{kind}.key", "-out", "sig", "payload")
        layers.append({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": digest_of(text), "size": len(text),
                       "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode((t.tmp / "sig").read_bytes()).decode()}})
        blobs = [text, b"{}"]
    trust.push_attachment(registry, "team/app", digest, layers, blobs)
    for kind, expected in (("p384", True), ("rsa", True), ("ed", True)):
        path = policy(t, [{"type": "sigstoreSigned", "keyPath": str(t.tmp / f"{kind}.pub")}])
        r = t.havre("image", "verify", "--signature-policy", path, image, check=False)
        assert (r.rc == 0) == expected and (not expected or digest in r.out), (kind, r)


def test_private_keys(t):
    """The private key is encrypted; a wrong passphrase, a damaged file and another kind of file are told apart; nothing is overwritten."""
    registry, _ = start_registry(t), Storage(t, use_sigstore_attachments="true")
    flags = make_key(t, "ours")
    name = pushed_name(t, registry)
    (t.tmp / "wrong").write_text("wrong\n")
    key = t.tmp / "ours.private"
    assert key.stat().st_mode & 0o777 == 0o600 and "BEGIN ENCRYPTED SIGSTORE PRIVATE KEY" in key.read_text()
    r = t.havre("push", "-q", *flags[:2], "--sign-passphrase-file", t.tmp / "wrong", name, check=False)
    assert r.rc == 1 and "the passphrase does not open the key" in r.err, r
    t.havre("push", "-q", *flags[:2], name, env={"COSIGN_PASSWORD": "secret"})
    r = t.havre("push", "-q", *flags[:2], name, check=False)
    assert r.rc == 1 and "no terminal" in r.err, r
    r = t.havre("push", "-q", "--sign-by-sigstore-private-key", t.tmp / "ours.pub", *flags[2:], name, check=False)
    assert r.rc == 1 and "not a private key of sigstore" in r.err, r
    document = json.loads(base64.b64decode("".join(key.read_text().splitlines()[1:-1])))
    for change, words in (({"N": 1 << 24, "r": 1024}, "bounded"), ({"N": 1000}, "power of two"), ({"p": 1 << 20}, "kdf.params.p")):
        bad = json.loads(json.dumps(document))
        bad["kdf"]["params"].update(change)
        text = base64.b64encode(json.dumps(bad).encode()).decode()
        (t.tmp / "bad.private").write_text(f"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n{text}\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n")
        r = t.havre("push", "-q", "--sign-by-sigstore-private-key", t.tmp / "bad.private", *flags[2:], name, check=False)
        assert r.rc == 1 and words in r.err, (change, r)
    r = t.havre("image", "generate-sigstore-key", "--output-prefix", t.tmp / "ours", "--passphrase-file", t.tmp / "wrong", check=False)
    assert r.rc == 1 and "is there already" in r.err, r


def test_image_trust(t):
    """image trust set changes one scope of the policy and keeps the rest; show lists what is there."""
    ours = Signer(t, "ours")
    path = t.tmp / ".config/containers/policy.json"
    path.parent.mkdir(parents=True)
    policy(t, [ACCEPT], dir={"/srv": ["reject"]}).rename(path)
    for args in (["-t", "reject", "default"], ["-t", "accept", "registry.example"], ["-f", ours.armored, "registry.example/team"],
                 ["-t", "sigstoreSigned", "-f", ours.public, "-f", ours.armored, "registry.example/other"]):
        assert t.havre("image", "trust", "set", *args).out == ""
    document = json.loads(path.read_text())
    assert document["default"] == [{"type": "reject"}] and document["transports"]["dir"] == {"/srv": [{"type": "reject"}]}
    assert document["transports"]["docker"] == {
        "registry.example": [{"type": ACCEPT}],
        "registry.example/team": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(ours.armored)}],
        "registry.example/other": [{"type": "sigstoreSigned", "keyPaths": [str(ours.public), str(ours.armored)]}]}
    rows = [line.split() for line in t.havre("image", "trust", "show").out.splitlines()]
    assert ["repository", "registry.example/team", "signed", "ours@example.org", str(ours.armored)] in rows
    assert ["all", "default", "reject"] in rows and rows[0] == ["TRANSPORT", "NAME", "TYPE", "ID", "KEYS"]
    assert json.loads(t.havre("image", "trust", "show", "--json").out)[0]["type"] == "reject"
    assert t.havre("image", "trust", "show", "--raw").out == path.read_text()
    before = path.read_text()
    for args, words in ((["-t", "signedBy", "x"], "needs a public key"), (["-f", t.tmp / "none", "x"], "none"),
                        (["-t", "accept", "-f", ours.public, "x"], "keys say nothing"), (["-t", "accept", "x//y"], "x//y")):
        r = t.havre("image", "trust", "set", *args, check=False)
        assert r.rc == 1 and words in r.err and path.read_text() == before, (args, r)
