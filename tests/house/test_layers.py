# SPDX-License-Identifier: Apache-2.0
"""The build breaks when a layer is violated: each rule is broken once in a copy of the sources."""

import shutil


def copy(t):
    """A configured copy of the sources."""
    tree = t.tmp / "tree"
    tree.mkdir()
    for name in ("meson.build", "meson_options.txt"):
        shutil.copy(t.source / name, tree / name)
    for path in t.source.iterdir():
        if path.is_dir() and not path.name.startswith((".", "build")):
            shutil.copytree(path, tree / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def configure(t, tree):
    # Without optimisation: it is only about what is visible.
    t.run(["meson", "setup", "--buildtype=plain", "build"], cwd=tree, timeout=120)
    return tree / "build"


def add_source(tree, layer, name, text):
    """Adds a file to a layer and to its list of sources."""
    (tree / "src" / layer / name).write_text("/* SPDX-License-Identifier: Apache-2.0 */\n" + text)
    build = tree / "src" / layer / "meson.build"
    build.write_text(build.read_text().replace(f"{layer}_sources = files(", f"{layer}_sources = files('{name}', ", 1))
    assert f"'{name}'" in build.read_text(), f"{layer}/meson.build has no list of sources to add to"


def make(t, build, target):
    return t.run(["ninja", "-C", build, target], check=False, timeout=300)


def test_upward_include_breaks_the_build(t):
    """A header of a higher layer, or of the layer beside, is not on the include path."""
    tree = copy(t)
    for layer, header in (("base", "runtime/container.h"), ("runtime", "images/store.h"), ("images", "engine/engine.h")):
        add_source(tree, layer, f"probe_{layer}.c", f'#include "{header}"\n')
    build = configure(t, tree)
    for layer, header in (("base", "runtime/container.h"), ("runtime", "images/store.h"), ("images", "engine/engine.h")):
        done = make(t, build, f"src/{layer}/lib{layer}.a.p/probe_{layer}.c.o")
        assert done.rc != 0 and f"{header}: No such file" in done.out, done
    done = make(t, build, "tests/house/layers.stamp")
    assert done.rc != 0 and "base does not see runtime" in done.err + done.out, done


def test_upward_symbol_breaks_the_build(t):
    """A function of a higher layer, declared by hand, is found by the seal when linking."""
    tree = copy(t)
    build = configure(t, tree)
    done = make(t, build, "tests/house/libseal_base.so")
    assert done.rc == 0, done
    add_source(tree, "base", "probe.c", "void rt_container_free(void *c);\nvoid probe(void);\n"
               "void probe(void)\n{\n\trt_container_free(0);\n}\n")
    done = make(t, build, "tests/house/libseal_base.so")
    assert done.rc != 0 and "undefined reference to `rt_container_free'" in done.out, done


def test_include_cycles_and_relative_includes_break_the_build(t):
    """Two headers that include each other, an include with "..", and a call of a banned function."""
    tree = copy(t)
    build = configure(t, tree)
    stamp = "tests/house/layers.stamp"
    assert make(t, build, stamp).rc == 0
    for name, text, complaint in (
            ("a", '#include "probe_b.h"\n', "include cycle: src/runtime/probe_a.h -> src/runtime/probe_b.h -> src/runtime/probe_a.h"),
            ("r", '#include "../images/include/images/store.h"\n', "by a relative path"),
            ("f", "static inline void f(char *a)\n{\n\tstrcpy(a, a);\n}\n", "strcpy() is banned"),
            ("s", "#include <engine/engine.h>\n", "with quotation marks")):
        probe, other = tree / f"src/runtime/probe_{name}.h", tree / "src/runtime/probe_b.h"
        probe.write_text(text)
        other.write_text('#include "probe_a.h"\n')
        done = make(t, build, stamp)
        assert done.rc != 0 and complaint in done.out + done.err, f"{name}: {done}"
        probe.unlink()
        other.unlink()
    assert make(t, build, stamp).rc == 0


for test in (test_upward_symbol_breaks_the_build, test_upward_include_breaks_the_build):
    test.timeout = 300
