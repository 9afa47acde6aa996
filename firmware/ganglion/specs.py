"""Tool specs as the wire shows them. Loaded at boot and to publish `up/tools`, dropped after."""

import binascii
import hashlib
import json

from . import tools


_JSON_TYPES = {"bool": "boolean", "obj": "object", "list": "array"}


def _property(kind):
    if kind == "point":
        return '{"type":["integer","string"],"x-point":true}'
    if kind == "gpio":
        return '{"type":"integer","minimum":0,"maximum":63}'
    if kind == "level":
        return '{"enum":[0,1,"toggle"]}'
    if kind.startswith("str"):
        return '{"type":"string","minLength":1,"maxLength":%s}' % kind[3:]
    if ".." in kind:
        name = "integer" if kind[:3] == "int" else "number"
        return '{"type":"%s","minimum":%s,"maximum":%s}' % ((name,) + tuple(kind[3:].split("..")))
    if kind in _JSON_TYPES:
        return '{"type":"%s"}' % _JSON_TYPES[kind]
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


def _each():
    """Every spec, one family in the heap at a time."""
    for family in tools.FAMILIES:
        for spec in tools.load(family).SPECS:
            yield spec
        tools.drop(family)


def chunks(digest):
    """The message of `up/tools`, in pieces of some 200 bytes."""
    head = '{"hash":"%s","specs":[' % digest
    for name, desc, line, acts, _ in _each():
        yield '%s{"name":"%s","desc":%s,"args":%s,"acts":%s}' % (
            head,
            name,
            json.dumps(desc),
            _schema(line),
            "true" if acts else "false",
        )
        head = ","
    yield "]}"


def digest():
    """Six characters that stand for the specs."""
    h = hashlib.sha256()
    for spec in _each():
        for part in spec[:3]:
            h.update(part.encode() + b"\0")
    raw = binascii.b2a_base64(h.digest()[:6]).decode()
    return raw[:6].replace("+", "-").replace("/", "_")
