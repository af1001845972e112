#!/usr/bin/env python3
"""A reader of ckpt images, version 1, in plain Python 3: written from docs/image-format.md alone, to prove it.

    read_image.py IMAGE [--bases FOLDER]     prints what is in the image as JSON (section 10 of the document)
    read_image.py --self-test IMAGE          flips each byte in turn and counts how many flips are refused
"""
import hashlib
import json
import os
import re
import struct
import sys

HEADER, TRAILER = 64, 128
HEADER_MAGIC = bytes.fromhex("89434b50540d0a1a")
TRAILER_MAGIC = bytes.fromhex("89434b5054454e44")
ID = re.compile(r"[0-9a-f]{32}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
RESERVED = {"latest", "never", "auto", "must"}


class Refused(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Refused(what)


# ---- BLAKE3 -------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def compress(chaining, block, counter, length, flags):
    v = list(chaining) + list(IV[:4]) + [counter & MASK, counter >> 32, length, flags]
    m = list(block)
    for turn in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[2 * i]) & MASK
            vd ^= va
            vd = (vd >> 16 | vd << 16) & MASK
            vc = (vc + vd) & MASK
            vb ^= vc
            vb = (vb >> 12 | vb << 20) & MASK
            va = (va + vb + m[2 * i + 1]) & MASK
            vd ^= va
            vd = (vd >> 8 | vd << 24) & MASK
            vc = (vc + vd) & MASK
            vb ^= vc
            v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & MASK, vc, vd
        m = [m[p] for p in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def words(block):
    return struct.unpack("<16I", block.ljust(64, b"\0"))


def chunk(data, counter, root):
    chaining = IV
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        flags = (CHUNK_START if i == 0 else 0) | ((CHUNK_END | root) if i == len(blocks) - 1 else 0)
        chaining = compress(chaining, words(block), counter, len(block), flags)
    return chaining


def subtree(data, counter, root):
    if len(data) <= 1024:
        return chunk(data, counter, root)
    left = 1024
    while left * 2 < len(data):
        left *= 2
    first = subtree(data[:left], counter, 0)
    second = subtree(data[left:], counter + left // 1024, 0)
    return compress(IV, first + second, 0, 64, PARENT | root)


def blake3(data):
    return struct.pack("<8I", *subtree(bytes(data), 0, ROOT))


# ---- msgpack ------------------------------------------------------------------------------------------------------


class Map:
    """A msgpack map: keys may be values that Python cannot hash."""

    def __init__(self, pairs):
        self.pairs = pairs

    def get(self, name, default=None):
        for key, value in self.pairs:
            if isinstance(key, str) and key == name:
                return value
        return default


class Float(float):
    """A number that came as a float, so that integers and floats are told apart where that matters."""


class Parser:
    def __init__(self, data, depth, values, containers):
        self.data, self.at = data, 0
        self.depth, self.values, self.containers = depth, values, containers

    def take(self, count):
        require(count <= len(self.data) - self.at, "msgpack: ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, count):
        return int.from_bytes(self.take(count), "big")

    def text(self, count):
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("msgpack: not UTF-8")

    def array(self, count, depth):
        self.container(count, depth)
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count, depth):
        self.container(2 * count, depth)
        pairs, seen = [], set()
        for _ in range(count):
            key = self.value(depth + 1)
            if isinstance(key, (str, int, float, bool)) or key is None:
                require((type(key) is bool, key) not in seen, "msgpack: a key twice")
                seen.add((type(key) is bool, key))
            pairs.append((key, self.value(depth + 1)))
        return Map(pairs)

    def container(self, needs, depth):
        self.containers -= 1
        require(self.containers >= 0 and depth <= self.depth, "limit: arrays and maps")
        require(needs <= len(self.data) - self.at, "msgpack: ends early")

    def value(self, depth=1):
        self.values -= 1
        require(self.values >= 0, "limit: values")
        kind = self.take(1)[0]
        if kind < 0x80:
            return kind
        if kind >= 0xE0:
            return kind - 256
        if kind < 0x90:
            return self.map(kind & 15, depth)
        if kind < 0xA0:
            return self.array(kind & 15, depth)
        if kind < 0xC0:
            return self.text(kind & 31)
        if kind in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[kind]
        if kind in (0xC4, 0xC5, 0xC6):
            return bytes(self.take(self.unsigned(1 << (kind - 0xC4))))
        if kind == 0xCA:
            return Float(struct.unpack(">f", self.take(4))[0])
        if kind == 0xCB:
            return Float(struct.unpack(">d", self.take(8))[0])
        if 0xCC <= kind <= 0xCF:
            return self.unsigned(1 << (kind - 0xCC))
        if 0xD0 <= kind <= 0xD3:
            return int.from_bytes(self.take(1 << (kind - 0xD0)), "big", signed=True)
        if kind in (0xD9, 0xDA, 0xDB):
            return self.text(self.unsigned(1 << (kind - 0xD9)))
        if kind in (0xDC, 0xDD):
            return self.array(self.unsigned(2 if kind == 0xDC else 4), depth)
        if kind in (0xDE, 0xDF):
            return self.map(self.unsigned(2 if kind == 0xDE else 4), depth)
        raise Refused("msgpack: type %02x is not allowed" % kind)


def msgpack(data, depth, values, containers):
    parser = Parser(data, depth, values, containers)
    value = parser.value()
    require(parser.at == len(data), "msgpack: bytes follow")
    return value


# ---- header, trailer, manifest ------------------------------------------------------------------------------------


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def check_header(data):
    require(len(data) >= HEADER, "incomplete: no header")
    require(data[:8] == HEADER_MAGIC, "corrupt: magic")
    require(blake3(data[:48])[:16] == data[48:64], "corrupt: header checksum")
    require(number(data, 8, 2) <= 1, "newer version")
    require(number(data, 16, 8) & ~1 == 0, "unknown feature")
    fixed = (number(data, 8, 2), number(data, 10, 2), number(data, 12, 4), number(data, 40, 8))
    require(fixed == (1, 0, 64, 0), "corrupt: header")


def check_trailer(data):
    """Returns offset, length and hash of the manifest."""
    require(len(data) >= HEADER + TRAILER, "incomplete: no trailer")
    at = len(data) - TRAILER
    trailer = data[at:]
    require(trailer[:8] == TRAILER_MAGIC, "incomplete: no trailer magic")
    require(blake3(data[:HEADER] + trailer[:96]) == trailer[96:], "corrupt: trailer checksum")
    fixed = (number(trailer, 8, 2), number(trailer, 10, 2), number(trailer, 12, 4), number(trailer, 56, 8))
    require(fixed == (1, 0, 128, 0) and trailer[40:56] == data[24:40], "corrupt: trailer")
    offset, length, size = (number(trailer, i, 8) for i in (16, 24, 32))
    require(size == len(data), "incomplete: length")
    require(length <= 64 << 20, "limit: manifest")
    require(offset >= HEADER and offset % 8 == 0 and (offset + length + 7) // 8 * 8 == at, "corrupt: manifest's place")
    return offset, length, trailer[64:96]


class Fields:
    def __init__(self, value, place):
        require(isinstance(value, Map), "corrupt: %s is no map" % place)
        self.map, self.place = value, place
        self.names = {key for key, _ in value.pairs if isinstance(key, str)}

    def typed(self, name, kinds, check=None):
        value = self.map.get(name)
        good = isinstance(value, kinds) and (isinstance(value, bool) <= (kinds is bool)) and (check is None or check(value))
        require(good, "corrupt: %s.%s" % (self.place, name))
        return value

    def text(self, name):
        return self.typed(name, str, lambda text: len(text.encode("utf-16-le")) <= 2 << 20)

    def count(self, name):
        return count(self.map.get(name), "%s.%s" % (self.place, name))

    def number(self, name):
        value = self.typed(name, (int, float), lambda n: n == n and abs(n) != float("inf"))
        return plain(value)

    def flag(self, name):
        return self.typed(name, bool)

    def hash(self, name):
        return self.typed(name, bytes, lambda data: len(data) == 32).hex()

    def id(self, name):
        return self.typed(name, str, ID.fullmatch)

    def list(self, name):
        return self.typed(name, list)

    def ascending(self, name):
        values = [count(value, name) for value in self.list(name)]
        require(all(a < b for a, b in zip(values, values[1:])), "corrupt: %s.%s" % (self.place, name))
        return values

    def texts(self, name):
        values = self.list(name)
        require(all(isinstance(value, str) for value in values), "corrupt: %s.%s" % (self.place, name))
        return values

    def maps(self, name):
        return [Fields(value, "%s[%d]" % (name, i)) for i, value in enumerate(self.list(name))]

    def inner(self, name):
        return Fields(self.map.get(name), name)

    def ref(self):
        return {"id": self.id("id"), "epoch": self.count("epoch"), "generation": self.count("generation")}

    def optional(self, name, read):
        return {name: read(name)} if name in self.names else {}

    def open(self, **known):
        return {**{str(key): plain(value) for key, value in self.map.pairs}, **known}


def count(value, place):
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 2**53
    require(whole and value >= 0 and value == int(value), "corrupt: %s is no count" % place)
    return int(value)


def plain(value):
    """A value of an open field as JSON shows it."""
    if isinstance(value, Map):
        return {str(key): plain(item) for key, item in value.pairs}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


def read_manifest(data):
    top = Fields(msgpack(data, 32, 1 << 23, 1 << 21), "manifest")
    image, run, producer, provenance = (top.inner(name) for name in ("image", "run", "producer", "provenance"))
    manifest = {
        "image": {
            **image.ref(),
            "names": image.texts("names"),
            "reason": image.text("reason"),
            "createdAt": image.number("createdAt"),
            "clockMs": image.number("clockMs"),
            "finished": image.flag("finished"),
            "parent": image.inner("parent").ref() if image.map.get("parent", 0) is not None else None,
        },
        "run": {"id": run.text("id"), "app": {name: run.inner("app").text(name) for name in ("name", "version")}},
        "producer": {name: producer.text(name) for name in ("sdk", "node", "platform", "arch")},
        "provenance": {
            **{name: provenance.text(name) for name in ("host", "cwd", "execPath")},
            **{name: provenance.count(name) for name in ("pid", "ppid")},
            **provenance.optional("pgrp", provenance.count),
            **provenance.optional("sid", provenance.count),
            **{name: provenance.texts(name) for name in ("execArgv", "argv")},
            "startedAt": provenance.number("startedAt"),
            "openFiles": [open_file(fields) for fields in provenance.maps("openFiles")],
        },
        "members": [fields.open(name=fields.text("name"), kind=fields.text("kind")) for fields in top.maps("members")],
        "files": [fields.open(**{name: fields.text(name) for name in ("member", "name", "path")}) for fields in top.maps("files")],
        "bases": [{**fields.ref(), "manifestHash": fields.hash("manifestHash")} for fields in top.maps("bases")],
    }
    manifest["buffers"] = [read_buffer(fields, manifest) for fields in top.maps("buffers")]
    manifest["sections"] = []
    for fields in top.maps("sections"):
        manifest["sections"].append(read_section(fields, manifest))
    require(len(manifest["bases"]) <= 32, "limit: bases")
    require(all(member["kind"] in ("program", "worker", "process") for member in manifest["members"]), "corrupt: member's kind")
    names = manifest["image"]["names"]
    require(all(NAME.fullmatch(name) and name not in RESERVED and not ID.fullmatch(name) for name in names), "corrupt: names")
    unique(names)
    unique([member["name"] for member in manifest["members"]])
    unique([(section["member"], section["name"]) for section in manifest["sections"]])
    unique([(file["member"], file["name"]) for file in manifest["files"]])
    unique([manifest["image"]["id"]] + [base["id"] for base in manifest["bases"]])
    return manifest


def open_file(fields):
    return {
        "fd": fields.count("fd"),
        "target": fields.text("target"),
        **fields.optional("position", fields.count),
        **fields.optional("flags", fields.text),
    }


def unique(names):
    require(len(set(names)) == len(names), "corrupt: a name twice")


def read_buffer(fields, manifest):
    length = fields.count("length")
    record = {"member": fields.text("member"), "kind": fields.text("kind"), "length": length, "extents": read_extents(fields, length, manifest)}
    require(record["kind"] in ("ArrayBuffer", "SharedArrayBuffer"), "corrupt: buffer's kind")
    record.update(fields.optional("maxLength", fields.count))
    require(record.get("maxLength", length) >= length, "corrupt: maxLength")
    return record


def read_section(fields, manifest):
    length = fields.count("length")
    require(length <= 3 << 29, "limit: section")
    record = {name: fields.text(name) for name in ("member", "name", "kind", "encoding")}
    uses = [count(index, "buffers") for index in fields.list("buffers")]
    for before, index in zip([-1] + uses, uses):
        good = before < index < len(manifest["buffers"]) and manifest["buffers"][index]["member"] == record["member"]
        require(good, "corrupt: section's buffers")
    optional = {**fields.optional("numbers", fields.ascending), **fields.optional("imports", fields.ascending)}
    numbers, imports = optional.get("numbers", []), optional.get("imports", [])
    require("numbers" not in optional or len(numbers) == len(uses), "corrupt: section's numbers")
    require(all(value < 1 << 24 for value in numbers), "corrupt: section's numbers")
    earlier = manifest["sections"]
    good = all(index < len(earlier) and earlier[index]["member"] == record["member"] for index in imports)
    require(good, "corrupt: section's imports")
    record.update(optional, **fields.optional("carriedFrom", fields.count), **fields.optional("dropped", lambda key: read_dropped(fields.inner(key))))
    return {**record, "version": fields.count("version"), "length": length, "extents": read_extents(fields, length, manifest), "buffers": uses}


def read_dropped(fields):
    first = [{"path": place.text("path"), "what": place.text("what")} for place in fields.maps("first")]
    require(len(first) <= fields.count("count"), "corrupt: dropped")
    return {"count": fields.count("count"), "first": first}


def read_extents(fields, length, manifest):
    extents = []
    for item in fields.list("extents"):
        require(isinstance(item, list) and len(item) >= 2, "corrupt: extent")
        place, size = count(item[0], "place"), count(item[1], "extent")
        require(size > 0 and place <= 2 and len(item) == (4, 2, 5)[place], "corrupt: extent")
        if place == 1:
            extents.append({"place": {"at": "zero"}, "length": size})
            continue
        require(size <= 1 << 20 and isinstance(item[-1], bytes) and len(item[-1]) == 32, "corrupt: extent")
        where = {"at": "own" if place == 0 else "base", "offset": count(item[-2], "offset")}
        if place == 2:
            where["base"] = count(item[2], "base")
            require(where["base"] < len(manifest["bases"]), "corrupt: base")
        extents.append({"place": where, "length": size, "hash": item[-1].hex()})
    require(sum(extent["length"] for extent in extents) == length, "corrupt: extents do not add up")
    return extents


def check_arrangement(data, manifest, offset, length):
    parts, zeros = [], 0
    for record in manifest["sections"] + manifest["buffers"]:
        for extent in record["extents"]:
            if extent["place"]["at"] == "own":
                parts.append((extent["place"]["offset"], extent["length"]))
            elif extent["place"]["at"] == "zero":
                zeros += extent["length"]
    require(zeros <= 64 << 30, "limit: zeros")
    end = HEADER
    for start, size in sorted(parts) + [(offset, length), (len(data) - TRAILER, TRAILER)]:
        require(start >= end and start - end < 4096, "corrupt: parts overlap or leave a hole")
        require(not any(data[end:start]), "corrupt: padding")
        end = start + size


# ---- the whole image ----------------------------------------------------------------------------------------------


def open_image(data):
    check_header(data)
    offset, length, expected = check_trailer(data)
    raw = data[offset : offset + length]
    require(blake3(raw) == expected, "corrupt: manifest")
    manifest = read_manifest(raw)
    require(manifest["image"]["id"] == data[24:40].hex(), "corrupt: id")
    return manifest, expected.hex(), offset, length


def open_bases(manifest, folder):
    taken = {}
    for record in manifest["sections"] + manifest["buffers"]:
        for extent in record["extents"]:
            if extent["place"]["at"] == "base":
                taken.setdefault(extent["place"]["base"], []).append((extent["place"]["offset"], extent["length"]))
    bases = {}
    for index, ranges in taken.items():
        record = manifest["bases"][index]
        data = find_base(folder, record["id"])
        base, manifest_hash, end, _ = open_image(data)
        require(manifest_hash == record["manifestHash"], "corrupt: another base")
        require(all(base["image"][key] == record[key] for key in ("id", "epoch", "generation")), "corrupt: another base")
        require(sum(size for _, size in ranges) <= len(data), "limit: taken from a base")
        require(all(HEADER <= at and at + size <= end for at, size in ranges), "corrupt: extent of a base")
        bases[index] = data
    return bases


def find_base(folder, base_id):
    for name in sorted(os.listdir(folder)) if folder else []:
        if name.endswith(".ckpt"):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            if data[24:40].hex() == base_id:
                return data
    raise Refused("base missing")


def contents_of(record, data, bases):
    parts = []
    for extent in record["extents"]:
        place, size = extent["place"], extent["length"]
        if place["at"] == "zero":
            parts.append(bytes(size))
            continue
        source = data if place["at"] == "own" else bases[place["base"]]
        part = source[place["offset"] : place["offset"] + size]
        require(blake3(part).hex() == extent["hash"], "corrupt: extent")
        parts.append(part)
    return b"".join(parts)


def read_image(data, folder):
    manifest, manifest_hash, offset, length = open_image(data)
    check_arrangement(data, manifest, offset, length)
    bases = open_bases(manifest, folder)
    buffers = [contents_of(record, data, bases) for record in manifest["buffers"]]
    values = []
    for record in manifest["sections"]:
        raw = contents_of(record, data, bases)
        require(record["encoding"] == "tree-1", "unknown encoding")
        mine = [
            Memory(other["kind"], content, other.get("maxLength"), None)
            for other, content in zip(manifest["buffers"], buffers)
            if other["member"] == record["member"]
        ]
        for index, memory in enumerate(mine):
            memory.index = index
        if "numbers" in record:
            every = [other for other in range(len(buffers)) if manifest["buffers"][other]["member"] == record["member"]]
            numbered = [None] * (max(record["numbers"], default=-1) + 1)
            for number, index in zip(record["numbers"], record["buffers"]):
                numbered[number] = mine[every.index(index)]
            mine = numbered
        values.append(describe(msgpack(raw, 2004, 1 << 27, 16_000_000), mine))
    hashes = [hashlib.sha256(content).hexdigest() for content in buffers]
    return {"manifestHash": manifest_hash, "manifest": manifest, "buffers": hashes, "values": values}


# ---- tree-1 -------------------------------------------------------------------------------------------------------

VIEWS = (
    ("DataView", 1),
    ("Int8Array", 1),
    ("Uint8Array", 1),
    ("Uint8ClampedArray", 1),
    ("Int16Array", 2),
    ("Uint16Array", 2),
    ("Int32Array", 4),
    ("Uint32Array", 4),
    ("Float32Array", 4),
    ("Float64Array", 8),
    ("BigInt64Array", 8),
    ("BigUint64Array", 8),
    ("Float16Array", 2),
    ("Buffer", 1),
)


class Memory:
    def __init__(self, kind, content, maximum, index):
        self.kind, self.content, self.maximum, self.index = kind, content, maximum, index

    def describe(self):
        return {"kind": self.kind, "sha256": hashlib.sha256(self.content).hexdigest(), "maximum": self.maximum, "index": self.index}


def f64(value):
    require(isinstance(value, (int, float)) and not isinstance(value, bool), "decode: no number")
    return "7ff8000000000000" if value != value else struct.pack(">d", float(value)).hex()


def describe(value, buffers):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        require(isinstance(value, float) or abs(value) < 2**53, "decode: an integer that is not safe")
        return {"f64": f64(value)}
    if isinstance(value, list):
        return {"array": [describe(item, buffers) for item in value]}
    require(isinstance(value, Map), "decode: bytes outside a tag")
    if value.pairs and isinstance(value.pairs[0][0], int):
        require(len(value.pairs) == 1, "decode: a tag with more than one key")
        return tagged(value.pairs[0][0], value.pairs[0][1], buffers)
    require(all(isinstance(key, str) for key, _ in value.pairs), "decode: a key that is no text")
    return {"object": [[key, describe(item, buffers)] for key, item in value.pairs]}


def tagged(tag, payload, buffers):
    if tag in (0, 1):
        require(payload is None, "decode: payload")
        return {"undefined": True} if tag == 0 else {"f64": "8000000000000000"}
    if tag == 2:
        good = isinstance(payload, str) and re.fullmatch(r"-?(0|[1-9a-f][0-9a-f]*)", payload) and payload != "-0"
        require(good, "decode: bigint")
        return {"bigint": str(int(payload, 16))}
    if tag == 3:
        require(isinstance(payload, bytes) and len(payload) % 2 == 0, "decode: text")
        try:
            return payload.decode("utf-16-le")
        except UnicodeDecodeError:
            return {"utf16le": payload.hex()}
    if tag == 8:
        return {"date": f64(payload)}
    if tag == 9:
        return {"buffer": memory_of(payload, buffers).describe()}
    require(isinstance(payload, list), "decode: no list, or unknown tag")
    if tag == 10:
        return {"view": view(payload, buffers)}
    if tag == 7:
        return {"set": [describe(item, buffers) for item in payload]}
    require(tag in (4, 5, 6) and len(payload) % 2 == 0, "decode: unknown tag, or half a pair")
    items = [describe(item, buffers) for item in payload]
    pairs = [[items[i], items[i + 1]] for i in range(0, len(items), 2)]
    return {{4: "object", 5: "nullPrototype", 6: "map"}[tag]: pairs}


def memory_of(payload, buffers):
    if not isinstance(payload, list):
        index = count(payload, "buffer")
        require(index < len(buffers) and buffers[index] is not None, "decode: no such buffer")
        return buffers[index]
    require(len(payload) == 3 and payload[0] in (0, 1) and isinstance(payload[1], bytes), "decode: memory")
    maximum = None if payload[2] is None else count(payload[2], "maximum")
    require(maximum is None or maximum >= len(payload[1]), "decode: maximum")
    return Memory(("ArrayBuffer", "SharedArrayBuffer")[payload[0]], payload[1], maximum, None)


def view(payload, buffers):
    require(len(payload) == 4, "decode: view")
    kind = count(payload[0], "view")
    require(kind < len(VIEWS), "decode: kind of view")
    name, size = VIEWS[kind]
    memory = memory_of(payload[1], buffers)
    offset = count(payload[2], "offset")
    length = None if payload[3] is None else count(payload[3], "length")
    if length is None:
        require(memory.maximum is not None and name != "Buffer" and offset <= len(memory.content), "decode: tracking view")
    else:
        require(offset + length * size <= len(memory.content), "decode: view beyond its memory")
    require(offset % size == 0, "decode: alignment")
    return {"kind": name, "memory": memory.describe(), "byteOffset": offset, "length": length}


# ---- command ------------------------------------------------------------------------------------------------------


def self_test(data):
    refused = 0
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        try:
            read_image(bytes(damaged), None)
        except Refused:
            refused += 1
    print("refused %d of %d" % (refused, len(data)))


def main(args):
    sys.setrecursionlimit(10_000)
    path = args[1] if args[0] == "--self-test" else args[0]
    with open(path, "rb") as file:
        data = file.read()
    if args[0] == "--self-test":
        self_test(data)
        return 0
    folder = args[args.index("--bases") + 1] if "--bases" in args else None
    try:
        print(json.dumps(read_image(data, folder)))
    except Refused as why:
        print("%s: %s" % (path, why), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
