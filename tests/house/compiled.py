#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prepares the compilation database for clang-tidy: compiled.py BUILD-DIR OUT-DIR writes OUT-DIR/compile_commands.json without the flags
clang does not take, and prints the sources in it that are not generated."""

import json
import os
import sys

build, out = sys.argv[1], sys.argv[2]
with open(os.path.join(build, "compile_commands.json")) as f:
    entries = json.load(f)
here, names = os.getcwd(), set()
for entry in entries:
    entry["command"] = entry["command"].replace("ccache ", "").replace(" -ftrivial-auto-var-init=zero", "").replace(" -fno-tree-loop-distribute-patterns", "")
    entry["file"] = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
    if not entry["file"].startswith(os.path.realpath(build) + "/") and entry["file"].endswith(".c"):
        names.add(os.path.relpath(entry["file"], here))
os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "compile_commands.json"), "w") as f:
    json.dump(entries, f)
print("\n".join(sorted(names)))
