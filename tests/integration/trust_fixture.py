# SPDX-License-Identifier: Apache-2.0
"""Keys, policies and signature storages for the tests of trust. Everything is below t.tmp, which is HOME too."""

import base64
import json
import subprocess
import urllib.request

from registry_fixture import OCI_MANIFEST, digest_of


class Signer:
    """A GPG key in a home of its own. `fingerprint`; `public` and `armored`: files with the public key."""

    def __init__(self, t, name):
        t.need("gpg", "gpgv", "gpg-agent")
        self.t, self.home = t, t.tmp / f"gpg-{name}"
        self.home.mkdir(mode=0o700)
        self.env = {"GNUPGHOME": self.home}
        t.defer(self._stop)
        self.gpg("--passphrase", "", "--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
        self.fingerprint = next(line.split(":")[9] for line in self.gpg("--with-colons", "--list-keys").splitlines()
                                if line.startswith("fpr"))
        self.public, self.armored = t.tmp / f"{name}.gpg", t.tmp / f"{name}.asc"
        self.gpg("--output", self.public, "--export", self.fingerprint)
        self.gpg("--armor", "--output", self.armored, "--export", self.fingerprint)

    def _stop(self):
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def gpg(self, *args):
        return self.t.run(["gpg", "--batch", "--quiet", *args], env=self.env).out

    def requirement(self, **more):
        return {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(self.public), **more}


def payload(digest, reference, **critical):
    document = {"type": "atomic container signature", "image": {"docker-manifest-digest": digest},
                "identity": {"docker-reference": reference}}
    document.update(critical)
    return json.dumps({"critical": document, "optional": {}}).encode()


def sign(signer, text):
    """The bytes of a simple signature of this text."""
    source, target = signer.t.tmp / "signed.txt", signer.t.tmp / "signed.sig"
    source.write_bytes(text)
    target.unlink(missing_ok=True)
    signer.gpg("--output", target, "--sign", source)
    return target.read_bytes()


class Storage:
    """A lookaside storage that this HOME's registries.d names for all registries."""

    def __init__(self, t, **settings):
        self.directory = t.tmp / "lookaside"
        self.directory.mkdir()
        self.configuration = t.tmp / ".config/containers/registries.d"
        self.configuration.mkdir(parents=True)
        lines = {"lookaside": f"file://{self.directory}", **settings}
        (self.configuration / "default.yaml").write_text(
            "# comment\ndefault-docker:\n" + "".join(f"  {k.replace('_', '-')}: {v}\n" for k, v in lines.items()))

    def folder(self, path, digest):
        return self.directory / f"{path}@{digest.replace(':', '=')}"

    def put(self, path, digest, *signatures):
        folder = self.folder(path, digest)
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for n, data in enumerate(signatures, 1):
            (folder / f"signature-{n}").write_bytes(data)


def policy(t, default, name="policy.json", **transports):
    """Writes a policy and returns its path. Requirements are objects or their types."""
    def expand(requirements):
        return [{"type": r} if isinstance(r, str) else r for r in requirements]
    document = {"default": expand(default)}
    if transports:
        document["transports"] = {transport.replace("_", "-"): {scope: expand(r) for scope, r in scopes.items()}
                                  for transport, scopes in transports.items()}
    path = t.tmp / name
    path.write_text(json.dumps(document))
    return path


def key_data(path):
    return base64.b64encode(path.read_bytes()).decode()


def push_attachment(registry, name, digest, layers, blobs):
    """Puts a manifest of signatures where cosign does."""
    def send(method, url, data, kind):
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers
    for blob in blobs:
        location = send("POST", f"http://{registry.host}/v2/{name}/blobs/uploads/", b"", "application/octet-stream")["Location"]
        send("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest_of(blob)}", blob, "application/octet-stream")
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(b"{}"), "size": 2}}
    registry.put_manifest(name, digest.replace(":", "-") + ".sig", json.dumps(manifest).encode(), OCI_MANIFEST)
