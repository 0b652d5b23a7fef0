# SPDX-License-Identifier: BSD-3-Clause
"""How the debug build compiles each source, for tools that must see what the compiler sees."""

import json
import shlex

from rule import ROOT, Skip

DATABASE = ROOT / "build/debug/compile_commands.json"


def of_sources():
    """source -> the compiler's argv without ccache, input and output."""
    if not DATABASE.exists():
        raise Skip("build/debug is not configured: cmake --preset debug")
    return {entry["file"]: _plain(shlex.split(entry["command"]), entry["file"])
            for entry in json.loads(DATABASE.read_text())}


def _plain(words, source):
    if words[0].endswith("ccache"):
        words = words[1:]
    kept, skip = [], False
    for word in words:
        if skip or word in ("-c", source):
            skip = False
        elif word in ("-o", "-MT", "-MF"):
            skip = True
        elif word != "-MD":
            kept.append(word)
    return kept


def everywhere():
    """Flags that together suit every header: the union of where the sources look and what they define."""
    found = {}
    for words in of_sources().values():
        for at, word in enumerate(words):
            if word in ("-isystem", "-I"):
                found[(word, words[at + 1])] = None
            elif word.startswith(("-I", "-D")) and not word.startswith(("-DSALLYPORT", "-DGTEST")):
                found[(word,)] = None
    return [word for flag in found for word in flag]
