#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the includes of all layers and the banned functions. Run by every build (tests/house/meson.build): what it finds breaks the build.

    layers.py SOURCE-ROOT [STAMP]

- An include of ours is either a file of the same folder or "LAYER/…" of the same or a lower layer; never a relative path.
- Inside a layer no header includes itself through others.
- Functions without bounds, and those that run a shell, are not called.
"""

import re
import sys
from pathlib import Path

# Folder of a layer -> prefixes of the public headers it may include. Interfaces are several libraries.
LAYERS = {
    "src/base": ["base"],
    "src/runtime": ["runtime", "base"],
    "src/images": ["images", "base"],
    "src/engine": ["engine", "images", "runtime", "base"],
    "src/interfaces/command": ["command", "base"],
    "src/interfaces/oci": ["oci", "command", "runtime", "base"],
    "src/interfaces/cli": ["cli", "command", "engine", "images", "runtime", "base"],
}
BANNED = ("strcpy strcat sprintf vsprintf gets system popen alloca atoi atol atoll atof tmpnam mktemp tempnam "
          "getwd readdir_r strncat stpcpy wcscpy scanf").split()
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")[ \t]*\(")


def without_text(source):
    """The source with comments and literals blanked, lines kept."""
    def blank(match):
        text = match.group(0)
        return text[0] + text[-1] if text[0] in "\"'" else "\n" * text.count("\n") or " "
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source, flags=re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def cycles(edges):
    """Each cycle the search meets, as the files on it."""
    found, state, stack = [], {}, []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for target in sorted(edges.get(node, ())):
            if state.get(target) == 1:
                found.append(stack[stack.index(target):] + [target])
            elif target not in state:
                visit(target)
        stack.pop()
        state[node] = 2

    for node in sorted(edges):
        if node not in state:
            visit(node)
    return found


def check_layer(root, folder, allowed, problems):
    own = allowed[0]
    edges = {}
    public = root / folder / "include" / own
    for path in sorted((root / folder).rglob("*.[ch]")):
        if any(str(path).startswith(str(root / other) + "/") for other in LAYERS if other != folder and other.startswith(folder)):
            continue
        text = path.read_text(errors="replace")
        where = path.relative_to(root)
        for match in INCLUDE.finditer(text):
            name, place = match.group(2), f"{where}:{line_of(text, match.start())}"
            target = None
            if match.group(1) == "<":
                if name.split("/")[0] in {p for ps in LAYERS.values() for p in ps} and "/" in name:
                    problems.append(f"{place}: includes <{name}>: our own headers are included with quotation marks")
                continue
            if ".." in name.split("/") or name.startswith("/"):
                problems.append(f"{place}: includes \"{name}\" by a relative path")
                continue
            first = name.split("/")[0]
            if "/" in name and first in allowed:
                if first == own:
                    target = public / name.split("/", 1)[1]
                elif not any((root / f / "include" / name).exists() for f in LAYERS):
                    problems.append(f"{place}: includes \"{name}\", which does not exist")
            elif "/" in name and any(first == ps[0] for ps in LAYERS.values()):
                problems.append(f"{place}: includes \"{name}\": {own} does not see {first}")
            elif (path.parent / name).exists():
                target = path.parent / name
            elif (root / folder / name).exists():
                target = root / folder / name
            # else: generated into the build folder, or the header of the unit tests
            if target:
                edges.setdefault(str(where), set()).add(str(target.relative_to(root)))
    for cycle in cycles(edges):
        problems.append(f"include cycle: {' -> '.join(cycle)}")


def check_banned(root, problems):
    for top in ("src", "bin", "fuzz", "tests"):
        for path in sorted((root / top).rglob("*.[ch]")):
            text = without_text(path.read_text(errors="replace"))
            for match in CALL.finditer(text):
                problems.append(f"{path.relative_to(root)}:{line_of(text, match.start())}: {match.group(1)}() is banned (STYLE.md)")


def main():
    root = Path(sys.argv[1])
    problems = []
    for folder, allowed in LAYERS.items():
        if (root / folder).is_dir():
            check_layer(root, folder, allowed, problems)
    check_banned(root, problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if len(sys.argv) > 2:
        Path(sys.argv[2]).touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
