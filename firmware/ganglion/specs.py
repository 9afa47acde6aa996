"""Tool specs as the wire shows them. Loaded at boot and to publish `up/tools`, dropped after."""

import binascii
import hashlib
import json

from micropython import const

from . import tools

_PART_BYTES = const(4000)  # and some for what stands around the specs

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


def _each(families):
    """Every spec, one family in the heap at a time."""
    for family in families:
        for spec in tools.load(family).SPECS:
            yield spec
        tools.drop(family)


def _json(spec):
    name, desc, line, acts = spec[:4]
    return '{"name":"%s","desc":%s,"args":%s,"acts":%s}' % (
        name,
        json.dumps(desc),
        _schema(line),
        "true" if acts else "false",
    )


def parts():
    """The families of each message of `up/tools`: as few messages as their 4096 bytes allow."""
    out = []
    left = 0
    for family in tools.FAMILIES:
        n = 0
        for spec in _each((family,)):
            n += len(_json(spec)) + 1
        if n > left:
            out.append([])
            left = _PART_BYTES
        out[-1].append(family)
        left -= n
    return out


def chunks(digest, groups, at):
    """The message of the families `groups[at]`, in pieces of some 200 bytes; ASCII."""
    of = ""
    if len(groups) > 1:
        of = '"part":%d,"of":%d,' % (at + 1, len(groups))
    head = '{"hash":"%s",%s"specs":[' % (digest, of)
    for spec in _each(groups[at]):
        yield head + _json(spec)
        head = ","
    yield "]}"


def digest():
    """Six characters that stand for the specs."""
    h = hashlib.sha256()
    for spec in _each(tools.FAMILIES):
        for part in spec[:3]:
            h.update(part.encode() + b"\0")
    raw = binascii.b2a_base64(h.digest()[:6]).decode()
    return raw[:6].replace("+", "-").replace("/", "_")
