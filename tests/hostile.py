"""Names of files that try to be something else."""

from __future__ import annotations

import os

CHARACTERS = [
    *(chr(code) for code in (*range(1, 0x2F), *range(0x3A, 0x41), *range(0x5B, 0x61), 0x7B, 0x7D)),
    *(chr(code) for code in range(0x7F, 0xA0, 4)),
    *"\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U0001f469\u05d0\u0301",
    *(os.fsdecode(bytes([byte])) for byte in range(0x80, 0x100, 9)),
]
HOSTILE = [
    *(f"a{character}b" for character in CHARACTERS),
    "<!--<script>",
    "]]>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "{{script}}",
    "${alert(1)}",
    "\\u003cscript\\u003e",
    "&lt;b&gt;&amp;",
    "__proto__",
    "%3Cscript%3E",
]
