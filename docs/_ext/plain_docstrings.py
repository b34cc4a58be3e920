"""Docstrings are read in terminals, so they write n_features_out_ and |x| without markup.

reStructuredText would take the first for a link and the second for a substitution. Both are
escaped here, outside of `quoted` names and of the names of parameters and attributes, which
numpydoc escapes by itself.
"""

import re

ENTRY = re.compile(r"^\s*[\w*, ]+ : ")
QUOTED = re.compile(r"(`[^`]*`)")
NAME = re.compile(r"(?<![\w\\])([A-Za-z]\w*[A-Za-z0-9])_(?!\w)")


def escaped(line):
    head = ENTRY.match(line)
    start = head.end() if head else 0
    parts = QUOTED.split(line[start:])
    parts[::2] = [NAME.sub(r"\1\\_", part).replace("|", r"\|") for part in parts[::2]]
    return line[:start] + "".join(parts)


def escape(app, what, name, obj, options, lines):
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "::")):
            lines[i] = escaped(line)


def setup(app):
    app.connect("autodoc-process-docstring", escape, priority=100)  # before numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
