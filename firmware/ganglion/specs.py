"""Tool specs as the wire shows them. Loaded to publish `up/tools`, dropped after."""

import binascii
import hashlib
import json

from . import tools


def _property(kind):
    if kind == "point":
        return '{"type":["integer","string"],"x-point":true}'
    if kind == "gpio":
        return '{"type":"integer","minimum":0,"maximum":63}'
    if kind == "level":
        return '{"enum":[0,1,"toggle"]}'
    if kind.startswith("str"):
        return '{"type":"string","minLength":1,"maxLength":%s}' % kind[3:]
    return '{"enum":["%s"]}' % kind.replace("|", '","')


def _schema(line):
    properties = []
    required = []
    for part in line.split():
        name, kind = part.split(":", 1)
        if name.endswith("?"):
            name = name[:-1]
        else:
            required.append('"%s"' % name)
        properties.append('"%s":%s' % (name, _property(kind)))
    out = '{"type":"object","properties":{%s},"additionalProperties":false' % ",".join(properties)
    if required:
        out += ',"required":[%s]' % ",".join(required)
    return out + "}"


def text():
    """The JSON array of all specs."""
    out = []
    for fam in tools.families():
        for name, desc, line, acts, _ in tools.family(fam).SPECS:
            out.append(
                '{"name":"%s","desc":%s,"args":%s,"acts":%s}'
                % (name, json.dumps(desc), _schema(line), "true" if acts else "false")
            )
    return "[" + ",".join(out) + "]"


def digest():
    """Six characters that stand for `text()`."""
    h = hashlib.sha256()
    for fam in tools.families():
        for spec in tools.family(fam).SPECS:
            for part in spec[:3]:
                h.update(part.encode() + b"\0")
    raw = binascii.b2a_base64(h.digest()[:6]).decode()
    return raw[:6].replace("+", "-").replace("/", "_")
