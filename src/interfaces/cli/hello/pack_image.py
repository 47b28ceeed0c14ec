#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs one static program into an image archive: a docker archive and an OCI layout at once. The same program gives the same bytes."""

import argparse
import datetime
import hashlib
import io
import json
import os
import tarfile

CREATED = int(os.environ.get("SOURCE_DATE_EPOCH", 1767225600))


def entry(name, kind, mode, data=b""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, len(data), CREATED
    return info, io.BytesIO(data)


def tar_of(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, data if info.isreg() else None)
    return out.getvalue()


def layer_of(program, name):
    directories = [entry(d, tarfile.DIRTYPE, m) for d, m in
                   (("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777))]
    return tar_of(directories + [entry(name, tarfile.REGTYPE, 0o755, program)])


class Layout:
    """Blobs by digest, in the order of their adding."""

    def __init__(self):
        self.blobs = {}

    def add(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def add_json(self, value):
        return self.add(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--name", default="hello", help="of the program in the image")
    p.add_argument("--reference", required=True)
    p.add_argument("--architecture", required=True)
    p.add_argument("--output", required=True)
    a = p.parse_args()


    created = datetime.datetime.fromtimestamp(CREATED, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with open(a.program, "rb") as f:
        layer = layer_of(f.read(), a.name)
    layout = Layout()
    layer_digest = layout.add(layer)
    config_digest = layout.add_json({
        "architecture": a.architecture,
        "os": "linux",
        "created": created,
        "config": {"Cmd": ["/" + a.name], "Env": ["PATH=/"], "WorkingDir": "/",
                   "Labels": {"org.opencontainers.image.title": "havre/hello",
                              "org.opencontainers.image.description": "Says where it runs"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_digest]},
        "history": [{"created": created, "created_by": "havre"}],
    })

    def descriptor(kind, digest):
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(layout.blobs[digest])}

    manifest_digest = layout.add_json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config_digest),
        "layers": [descriptor("layer.v1.tar", layer_digest)],
    })
    tag = a.reference.rsplit(":", 1)[1]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [dict(descriptor("manifest.v1+json", manifest_digest), annotations={
            "io.containerd.image.name": "docker.io/" + a.reference,
            "org.opencontainers.image.ref.name": tag,
        })],
    }
    docker = [{"Config": "blobs/sha256/" + config_digest, "RepoTags": [a.reference],
               "Layers": ["blobs/sha256/" + layer_digest]}]

    def text(value):
        return json.dumps(value, sort_keys=True).encode()

    entries = [entry("oci-layout", tarfile.REGTYPE, 0o644, text({"imageLayoutVersion": "1.0.0"})),
               entry("index.json", tarfile.REGTYPE, 0o644, text(index)),
               entry("manifest.json", tarfile.REGTYPE, 0o644, text(docker)),
               entry("blobs", tarfile.DIRTYPE, 0o755), entry("blobs/sha256", tarfile.DIRTYPE, 0o755)]
    entries += [entry("blobs/sha256/" + d, tarfile.REGTYPE, 0o644, data) for d, data in layout.blobs.items()]
    with open(a.output, "wb") as f:
        f.write(tar_of(entries))


if __name__ == "__main__":
    main()
