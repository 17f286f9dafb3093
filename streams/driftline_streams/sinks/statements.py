"""SQL files cut into statements."""

from __future__ import annotations

import re

# What may contain a semicolon that ends nothing: strings, quoted names, comments and heredocs.
_TOKEN = re.compile(
    r"""
    '(?:[^'\\]|\\.|'')*'
    | "(?:[^"\\]|\\.|"")*"
    | `(?:[^`\\]|\\.|``)*`
    | (?P<comment> --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | (?P<end> ; )
    """,
    re.DOTALL | re.VERBOSE,
)


def statements(text: str) -> list[str]:
    """The statements of a file in order, without the semicolons between them; comments alone are no statement.

    >>> statements("SELECT ';'; -- first; done\\nSELECT 2;\\n-- end")
    ["SELECT ';'", '-- first; done\\nSELECT 2']
    """
    found: list[str] = []
    start, bare = 0, ""
    last = 0
    for token in _TOKEN.finditer(text):
        bare += text[last : token.start()]
        last = token.end()
        if token["end"]:
            if bare.strip():
                found.append(text[start : token.start()].strip())
            start, bare = token.end(), ""
        elif not token["comment"]:
            bare += token[0]
    if (bare + text[last:]).strip():
        found.append(text[start:].strip())
    return found
