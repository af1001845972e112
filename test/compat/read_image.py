#!/usr/bin/env python3
"""A reader of ckpt images, version 1, in plain Python 3: written from docs/image-format.md alone, to prove it.

    read_image.py IMAGE [--bases FOLDER]     prints what is in the image as JSON (section 10 of the document)
    read_image.py --self-test IMAGE          flips each byte in turn and counts how many flips are refused
    read_image.py --each IMAGE...            a line for each image, null where it is refused
"""
import hashlib
import json
import os
import re
import struct
import sys

HEADER, TRAILER, PAGE = 64, 128, 4096
METHODS = ("zstd", "brotli")
FED = 256
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
        require(self.maps, "decode: a map, where there are none")
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


def msgpack(data, depth, values, containers, maps=True):
    parser = Parser(data, depth, values, containers)
    parser.maps = maps
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
    require(number(data, 16, 8) & ~15 == 0, "unknown feature")
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

    def different(self, name):
        values = [count(value, name) for value in self.list(name)]
        require(len(set(values)) == len(values), "corrupt: %s.%s" % (self.place, name))
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
    unique([(source["base"], source["buffer"]) for source in all_sources(manifest)])
    unique([manifest["image"]["id"]] + [base["id"] for base in manifest["bases"]])
    return manifest


def all_sources(manifest):
    return [source for buffer in manifest["buffers"] if "pages" in buffer for source in buffer["pages"]["sources"]]


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
    paged = "pages" in fields.names
    record = {"member": fields.text("member"), "kind": fields.text("kind"), "length": length}
    record["extents"] = read_extents(fields, None if paged else length, manifest)
    if paged:
        record["pages"] = read_pages(fields.inner("pages"), length, record["extents"], manifest)
    require(all(extent["place"]["at"] != "compressed" for extent in record["extents"]), "corrupt: a compressed buffer")
    require(record["kind"] in ("ArrayBuffer", "SharedArrayBuffer"), "corrupt: buffer's kind")
    record.update(fields.optional("maxLength", fields.count))
    require(record.get("maxLength", length) >= length, "corrupt: maxLength")
    return record


def read_pages(fields, length, own, manifest):
    page_map = read_extents(fields, -(-length // PAGE), manifest, "map")
    require(length > 0 and all(extent["place"]["at"] == "own" for extent in own + page_map), "corrupt: pages")
    require(all(extent["length"] % PAGE == 0 for extent in own[:-1]), "corrupt: half a page")
    sources = []
    for item in fields.list("sources"):
        require(isinstance(item, list) and len(item) == 3, "corrupt: source")
        base, buffer, size = (count(value, "source") for value in item)
        require(base < len(manifest["bases"]) and size > 0, "corrupt: source")
        sources.append({"base": base, "buffer": buffer, "bytes": size})
    require(len(sources) <= 32, "corrupt: sources")
    require(sum(extent["length"] for extent in own) + sum(source["bytes"] for source in sources) <= length, "corrupt: pages")
    return {"map": page_map, "sources": sources}


def read_section(fields, manifest):
    length = fields.count("length")
    require(length <= 3 << 29, "limit: section")
    record = {name: fields.text(name) for name in ("member", "name", "kind", "encoding")}
    uses = [count(index, "buffers") for index in fields.list("buffers")]
    for before, index in zip([-1] + uses, uses):
        good = before < index < len(manifest["buffers"]) and manifest["buffers"][index]["member"] == record["member"]
        require(good, "corrupt: section's buffers")
    optional = {**fields.optional("numbers", fields.ascending), **fields.optional("imports", fields.different)}
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


def read_extents(fields, length, manifest, name="extents"):
    """They must add up to length, unless that is None."""
    extents = []
    for item in fields.list(name):
        require(isinstance(item, list) and len(item) >= 2, "corrupt: extent")
        place, size = count(item[0], "place"), count(item[1], "extent")
        require(size > 0 and place <= 3 and len(item) == (4, 2, 5, 6)[place], "corrupt: extent")
        if place == 1:
            extents.append({"place": {"at": "zero"}, "length": size})
            continue
        require(size <= 1 << 20 and isinstance(item[-1], bytes) and len(item[-1]) == 32, "corrupt: extent")
        where = {"at": ("own", "zero", "base", "compressed")[place], "offset": count(item[-2], "offset")}
        if place == 3:
            method, where["stored"] = count(item[2], "method"), count(item[3], "stored")
            require(method < len(METHODS) and 0 < where["stored"] < size, "corrupt: compressed extent")
            where["method"] = METHODS[method]
        if place == 2:
            where["base"] = count(item[2], "base")
            require(where["base"] < len(manifest["bases"]), "corrupt: base")
        extents.append({"place": where, "length": size, "hash": item[-1].hex()})
    require(length is None or sum(extent["length"] for extent in extents) == length, "corrupt: extents do not add up")
    return extents


def check_arrangement(data, manifest, offset, length):
    parts, unstored = [], 0
    for record in manifest["sections"] + manifest["buffers"]:
        for extent in record["extents"]:
            if extent["place"]["at"] == "own":
                parts.append((extent["place"]["offset"], extent["length"]))
            elif extent["place"]["at"] == "zero":
                unstored += extent["length"]
            elif extent["place"]["at"] == "compressed":
                parts.append((extent["place"]["offset"], extent["place"]["stored"]))
                unstored += extent["length"] - extent["place"]["stored"]
    for record in manifest["buffers"]:
        if "pages" in record:
            parts += [(extent["place"]["offset"], extent["length"]) for extent in record["pages"]["map"]]
            held = record["extents"] + record["pages"]["sources"]
            unstored += record["length"] - sum(part.get("length", part.get("bytes")) for part in held)
    require(unstored <= 64 << 30, "limit: bytes that are not stored")
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
    require(any("pages" in buffer for buffer in manifest["buffers"]) == bool(number(data, 16, 8) & 2), "corrupt: feature")
    used = {extent["place"].get("method") for section in manifest["sections"] for extent in section["extents"]}
    for bit, method in enumerate(METHODS, 2):
        require(method not in used or number(data, 16, 8) >> bit & 1, "corrupt: feature")
    return manifest, expected.hex(), offset, length


def open_bases(manifest, folder):
    taken = {}
    for record in manifest["sections"] + manifest["buffers"]:
        for extent in record["extents"]:
            if extent["place"]["at"] == "base":
                taken.setdefault(extent["place"]["base"], []).append((extent["place"]["offset"], extent["length"]))
    paged = {}
    for source in all_sources(manifest):
        paged[source["base"]] = paged.get(source["base"], 0) + source["bytes"]
    bases = {}
    for index in sorted(set(taken) | set(paged)):
        ranges = taken.get(index, [])
        record = manifest["bases"][index]
        data = find_base(folder, record["id"])
        base, manifest_hash, end, length = open_image(data)
        require(manifest_hash == record["manifestHash"], "corrupt: another base")
        require(all(base["image"][key] == record[key] for key in ("id", "epoch", "generation")), "corrupt: another base")
        require(sum(size for _, size in ranges) + paged.get(index, 0) <= len(data), "limit: taken from a base")
        require(all(HEADER <= at and at + size <= end for at, size in ranges), "corrupt: extent of a base")
        if index in paged:
            check_arrangement(data, base, end, length)
        bases[index] = (data, base)
    return bases


def find_base(folder, base_id):
    for name in sorted(os.listdir(folder)) if folder else []:
        if name.endswith(".ckpt"):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            if data[24:40].hex() == base_id:
                return data
    raise Refused("base missing")


def decompress(method, stored, size):
    """The whole stream must become exactly size bytes; it is fed in small parts so that no more than that is ever made by much."""
    if method == "brotli":
        try:
            import brotli
        except ImportError:
            raise Refused("unavailable: the image is compressed with brotli: install the Python module brotli")
        stream, failures = brotli.Decompressor(), brotli.error
        feed, ended = stream.process, stream.is_finished
    else:
        try:
            import zstandard
        except ImportError:
            raise Refused("unavailable: the image is compressed with zstd: install the Python module zstandard")
        stream, failures = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj(), zstandard.ZstdError
        feed, ended = stream.decompress, lambda: stream.eof
    found = b""
    try:
        for at in range(0, len(stored), FED):
            if ended():
                break
            found += feed(stored[at : at + FED])
            require(len(found) <= size, "corrupt: more than was compressed")
        require(ended() and len(found) == size, "corrupt: not what was compressed")
    except failures:
        raise Refused("corrupt: not compressed with %s" % method)
    return found


def contents_of(record, data, bases):
    parts = []
    for extent in record["extents"]:
        place, size = extent["place"], extent["length"]
        if place["at"] == "zero":
            parts.append(bytes(size))
            continue
        source = bases[place["base"]][0] if place["at"] == "base" else data
        part = source[place["offset"] : place["offset"] + place.get("stored", size)]
        require(blake3(part).hex() == extent["hash"], "corrupt: extent")
        parts.append(decompress(place["method"], part, size) if place["at"] == "compressed" else part)
    return b"".join(parts)


def own_bytes(extents, data):
    parts = []
    for extent in extents:
        part = data[extent["place"]["offset"] : extent["place"]["offset"] + extent["length"]]
        require(blake3(part).hex() == extent["hash"], "corrupt: extent")
        parts.append(part)
    return b"".join(parts)


def page_map_of(record, data):
    page_map = own_bytes(record["pages"]["map"], data)
    sizes = {}
    for index, code in enumerate(page_map):
        sizes[code] = sizes.get(code, 0) + min(PAGE, record["length"] - index * PAGE)
    sizes.pop(0, 0)
    stated = [sum(extent["length"] for extent in record["extents"])] + [source["bytes"] for source in record["pages"]["sources"]]
    require(sizes == {code: size for code, size in enumerate(stated, 1) if size > 0}, "corrupt: page map")
    return page_map


class Holder:
    """The pages of one buffer that one image holds itself; each extent is read and checked once, when it is first needed."""

    def __init__(self, record, data):
        self.data, self.length, self.places, self.known = data, record["length"], {}, {}
        total = -(-self.length // PAGE)
        own = range(total)
        if "pages" in record:
            own = [index for index, code in enumerate(page_map_of(record, data)) if code == 1]
        own = iter(own)
        for extent in record["extents"]:
            at = 0
            while at < extent["length"]:
                index = next(own, None)
                require(index is not None, "corrupt: pages of a base")
                self.places[index] = (extent, at)
                at += min(PAGE, self.length - index * PAGE)
            require(at == extent["length"], "corrupt: pages of a base")

    def page(self, index, size):
        require(index in self.places and size == min(PAGE, self.length - index * PAGE), "corrupt: page of a base")
        extent, at = self.places[index]
        require(extent["place"]["at"] == "own", "corrupt: page of a base")
        if id(extent) not in self.known:
            self.known[id(extent)] = own_bytes([extent], self.data)
        return self.known[id(extent)][at : at + size]


def pages_of(record, data, bases):
    page_map = page_map_of(record, data)
    holders = [None, Holder(record, data)]
    for source in record["pages"]["sources"]:
        base_data, base = bases[source["base"]]
        require(source["buffer"] < len(base["buffers"]), "corrupt: buffer of a base")
        holders.append(Holder(base["buffers"][source["buffer"]], base_data))
    parts = []
    for index, code in enumerate(page_map):
        size = min(PAGE, record["length"] - index * PAGE)
        parts.append(bytes(size) if code == 0 else holders[code].page(index, size))
    own_bytes(record["extents"], data)
    return b"".join(parts)


def read_image(data, folder):
    manifest, manifest_hash, offset, length = open_image(data)
    check_arrangement(data, manifest, offset, length)
    bases = open_bases(manifest, folder)
    buffers = [(pages_of if "pages" in record else contents_of)(record, data, bases) for record in manifest["buffers"]]
    memories, members = [], {}
    for other, content in zip(manifest["buffers"], buffers):
        index = members[other["member"]] = members.get(other["member"], -1) + 1
        memories.append(Memory(other["kind"], content, other.get("maxLength"), index))
    values, decoded, story = [], [], Story()
    for record in manifest["sections"]:
        raw = contents_of(record, data, bases)
        mine = [memory for memory, other in zip(memories, manifest["buffers"]) if other["member"] == record["member"]]
        if "numbers" in record:
            every = [other for other in range(len(buffers)) if manifest["buffers"][other]["member"] == record["member"]]
            numbered = [None] * (max(record["numbers"], default=-1) + 1)
            for number, index in zip(record["numbers"], record["buffers"]):
                numbered[number] = mine[every.index(index)]
            mine = numbered
        if record["encoding"] == "tree-1":
            decoded.append([])
            values.append(describe(msgpack(raw, 2004, 1 << 27, 16_000_000), mine))
            continue
        if record["encoding"] == "raw":
            decoded.append([])
            values.append({"raw": hashlib.sha256(raw).hexdigest()})
            continue
        if record["encoding"] == "segments-1":
            value, objects = read_segments(raw), []
        else:
            value, objects = read_encoded(record["encoding"], raw, mine, [decoded[index] for index in record.get("imports", [])])
        decoded.append(objects)
        values.append(story.cell(value))
        story.tell()
    hashes = [hashlib.sha256(content).hexdigest() for content in buffers]
    told = {"objects": story.told} if any(record["encoding"] not in ("tree-1", "raw") for record in manifest["sections"]) else {}
    return {"manifestHash": manifest_hash, "manifest": manifest, "buffers": hashes, "values": values, **told}


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


def view(payload, buffers, memory=None):
    require(len(payload) == 4, "decode: view")
    kind = count(payload[0], "view")
    require(kind < len(VIEWS), "decode: kind of view")
    name, size = VIEWS[kind]
    memory = memory or memory_of(payload[1], buffers)
    offset = count(payload[2], "offset")
    length = None if payload[3] is None else count(payload[3], "length")
    if length is None:
        require(memory.maximum is not None and name != "Buffer" and offset <= len(memory.content), "decode: tracking view")
    else:
        require(offset + length * size <= len(memory.content), "decode: view beyond its memory")
    require(offset % size == 0, "decode: alignment")
    return {"kind": name, "memory": memory.describe(), "byteOffset": offset, "length": length}


# ---- graph-1 ------------------------------------------------------------------------------------------------------

CELLS = ("null", "undefined", "true", "false", "hole", "number", "text", "reference", "bigint", "symbol")
ERRORS = ("Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError", "AggregateError")
LISTS = (2, 3, 3, 3, 2, 1, 3, 1, 1, 1, 1, 3, 4, 4, 1, 2)
OBJECT, DICTIONARY, ARRAY, MAP, SET, DATE, REGEXP, ERROR, BOXED, URL, BULK, MEMORY, VIEW, WINDOW, ENCODED, IMPORT = range(16)
INT_TYPES = {0: "b", 1: "h", 2: "i", 3: "d", 4: "B", 5: "H", 6: "I"}
UNDEFINED, HOLE = object(), object()


class Named:
    """A bigint or a symbol."""

    def __init__(self, what, value):
        self.what, self.value = what, value


class Item:
    """An object: what it is, what it holds, and its properties in the order in which they were defined."""

    def __init__(self, what, **content):
        self.what, self.content, self.properties, self.integrity = what, content, {}, 0

    def define(self, key, value, attributes=7):
        name = ("symbol", key.value) if isinstance(key, Named) else ("text", key)
        require(name not in self.properties, "decode: a key twice")
        self.properties[name] = (value, attributes)


def numbers_of(wire, types, length=None):
    good = isinstance(wire, list) and len(wire) == 2 and isinstance(wire[0], int) and wire[0] in types and isinstance(wire[1], bytes)
    require(good, "decode: numbers")
    kind = INT_TYPES[wire[0]]
    require(len(wire[1]) % struct.calcsize(kind) == 0, "decode: half a number")
    values = struct.unpack("<%d%s" % (len(wire[1]) // struct.calcsize(kind), kind), wire[1])
    require(length is None or len(values) == length, "decode: so many numbers")
    return values


def signed(wire, length):
    return numbers_of(wire, (0, 1, 2, 3), length)


def counts_of(wire, length=None):
    return numbers_of(wire, (4, 5, 6), length)


def wide(wire, length=None):
    return numbers_of(wire, (6,), length)


def utf16(wire):
    require(isinstance(wire, (str, bytes)), "decode: text")
    data = wire.encode("utf-16-le", "surrogatepass") if isinstance(wire, str) else wire
    require(len(data) % 2 == 0, "decode: text")
    return data


def texts_of(wire, length=None):
    require(isinstance(wire, list) and len(wire) == 2 and isinstance(wire[0], list), "decode: texts")
    if wire[0] and isinstance(wire[0][0], list):
        different = texts_of(wire[0])
        numbers = counts_of(wire[1], length)
        require(all(number < len(different) for number in numbers), "decode: texts")
        return [different[number] for number in numbers]
    lengths, texts = counts_of(wire[1], length), []
    joined = [utf16(part) for part in wire[0]]
    require(all(joined), "decode: an empty joined text")
    for data in joined:
        while len(texts) < len(lengths) and lengths[len(texts)] == 0:
            texts.append("")
        at = 0
        while at < len(data):
            require(len(texts) < len(lengths) and at + 2 * lengths[len(texts)] <= len(data), "decode: texts")
            end = at + 2 * lengths[len(texts)]
            texts.append(data[at:end].decode("utf-16-le", "surrogatepass"))
            at = end
    texts += [""] * (len(lengths) - len(texts))
    require(all(len(text.encode("utf-16-le", "surrogatepass")) == 2 * size for text, size in zip(texts, lengths)), "decode: texts")
    return texts


def named(kind, wire):
    text = utf16(wire).decode("utf-16-le", "surrogatepass")
    if CELLS[kind] == "bigint":
        require(re.fullmatch(r"-?(0|[1-9a-f][0-9a-f]*)", text) and text != "-0", "decode: bigint")
        return Named("bigint", int(text, 16))
    require(text[:1] in ("#", "@"), "decode: symbol")
    return Named("symbol", text)


def cells_of(wire, length, objects=()):
    """The values of a column; a reference is the object itself."""
    require(isinstance(wire, list) and len(wire) == 5, "decode: column")
    kinds = wire[0]
    if isinstance(kinds, int) and not isinstance(kinds, bool):
        require(5 <= kinds <= 9, "decode: kind of cells")
        kinds = bytes([kinds]) * length
    require(isinstance(kinds, bytes) and len(kinds) == length and all(kind <= 9 for kind in kinds), "decode: kinds of cells")
    others = [kind for kind in kinds if kind >= 8]
    needs = (kinds.count(5), kinds.count(6), kinds.count(7), len(others))
    require(all((part is None) == (need == 0) for part, need in zip(wire[1:], needs)), "decode: values that no cell has")
    require(not others or (isinstance(wire[4], list) and len(wire[4]) == len(others)), "decode: bigints and symbols")
    refs = counts_of(wire[3], needs[2]) if needs[2] else ()
    require(all(ref < len(objects) for ref in refs), "decode: reference")
    sources = {
        5: iter([Float(value) for value in (signed(wire[1], needs[0]) if needs[0] else ())]),
        6: iter(texts_of(wire[2], needs[1]) if needs[1] else ()),
        7: iter([objects[ref] for ref in refs]),
        8: iter([named(kind, text) for kind, text in zip(others, wire[4] or [])]),
    }
    plain_cells = (None, UNDEFINED, True, False, HOLE)
    return [plain_cells[kind] if kind < 5 else next(sources[min(kind, 8)]) for kind in kinds]


def no_holes(values):
    require(HOLE not in values, "decode: a hole that is not in an array")
    return values


def read_encoded(encoding, raw, buffers, imports):
    """Returns the value, and the objects by their numbers."""
    require(encoding == "graph-1", "unknown encoding")
    graph = msgpack(raw, 12, 1 << 27, 16_000_000, maps=False)
    require(isinstance(graph, list) and len(graph) == 5 and isinstance(graph[2], list), "decode: graph")
    order = counts_of(graph[1])
    require(len(order) <= 16_000_000 and all(group < len(graph[2]) for group in order), "decode: order")
    objects = [None] * len(order)
    groups = [Group(wire, [i for i, group in enumerate(order) if group == at]) for at, wire in enumerate(graph[2])]
    for group in groups:
        group.make(objects, buffers, imports, len(raw))
    for group in groups:
        if group.kind == VIEW:
            group.make_views(objects)
    holes = sum(group.fill(objects) for group in groups)
    require(holes <= 500_000, "limit: holes")
    closed = {number for group in groups if group.kind in (ENCODED, IMPORT) for number in group.numbers}
    if graph[3] is not None:
        read_extras(graph[3], objects, closed)
    value = no_holes(cells_of(graph[0], 1, objects))[0]
    made = [number for group in groups if group.kind == ENCODED for number in group.numbers]
    require(sorted(counts_of(graph[4])) == sorted(made), "decode: order of instances")
    for group in groups:
        for number in group.numbers if group.kind != IMPORT else ():
            objects[number].integrity = group.integrity
    return value, objects


def read_extras(wire, objects, closed):
    require(isinstance(wire, list) and len(wire) == 4, "decode: extras")
    targets = counts_of(wire[0])
    columns = [cells_of(part, len(targets), objects) for part in wire[1:3]]
    for number, key, value, bits in zip(targets, *map(no_holes, columns), counts_of(wire[3], len(targets))):
        require(number < len(objects) and number not in closed and bits <= 7, "decode: extras")
        require(isinstance(key, str) or (isinstance(key, Named) and key.what == "symbol"), "decode: key")
        data_of(objects[number]).define(key, value, bits)


def data_of(item):
    """The object that an instance of a class, which this reader does not have, is around."""
    return item.content["data"] if item.what == "instance" else item


class Group:
    def __init__(self, wire, numbers):
        good = isinstance(wire, list) and len(wire) >= 3 and wire[0] in range(16) and wire[2] in range(4)
        require(good and len(wire) == 3 + LISTS[wire[0]], "decode: group")
        (self.kind, self.of, self.integrity), self.lists, self.numbers = wire[:3], wire[3:], numbers
        self.instance = isinstance(self.of, list) and len(self.of) == 2
        if self.instance:
            good = isinstance(self.of[0], str) and count(self.of[1], "version") >= 1
            require(good and (self.kind <= ERROR or self.kind == ENCODED), "decode: class")
        elif self.kind == ERROR:
            require(isinstance(self.of, int) and self.of in range(8), "decode: kind of error")
        else:
            require(self.of is None or (self.of == [] and self.kind == DICTIONARY), "decode: class")
            require(self.kind != ENCODED, "decode: an instance of no class")

    def put(self, objects, items):
        for number, item in zip(self.numbers, items):
            objects[number] = Item("instance", of=self.of, data=item) if self.instance else item

    def make(self, objects, buffers, imports, size):
        n, kind, lists = len(self.numbers), self.kind, self.lists
        if kind in (ERROR, URL) and n > 10_000:
            require(8 * n <= size, "limit: more objects than bytes")
        if kind in (OBJECT, DICTIONARY):
            self.put(objects, [Item("nullPrototype" if self.of == [] else "object") for _ in range(n)])
        elif kind in (ARRAY, MAP, SET):
            self.put(objects, [Item({ARRAY: "array", MAP: "map", SET: "set"}[kind], values=[]) for _ in range(n)])
        elif kind in (DATE, BOXED, URL, REGEXP):
            columns = [no_holes(cells_of(part, n)) for part in lists]
            self.put(objects, [single(kind, cells) for cells in zip(*columns)])
        elif kind == ERROR:
            name = "Error" if self.instance else ERRORS[self.of]
            for number, stack in zip(self.numbers, cells_of(lists[0], n)):
                item = Item("error", name=name)
                require(stack is None or isinstance(stack, str), "decode: stack")
                if stack is not None:
                    item.define("stack", stack, 6)
                objects[number] = Item("instance", of=self.of, data=item) if self.instance else item
        elif kind == BULK:
            self.put(objects, [memory_item(buffer_of(index, buffers)) for index in wide(lists[0], n)])
        elif kind == MEMORY:
            require(isinstance(lists[1], list) and len(lists[1]) == n, "decode: memory")
            parts = zip(counts_of(lists[0], n), lists[1], no_holes(cells_of(lists[2], n)))
            self.put(objects, [memory_item(memory_of([a, b, None if c is None else whole(c)], [])) for a, b, c in parts])
        elif kind == WINDOW:
            require(isinstance(lists[3], list) and len(lists[3]) == n, "decode: windows")
            parts = zip(no_holes(cells_of(lists[0], n)), signed(lists[1], n), signed(lists[2], n), lists[3])
            self.put(objects, [window(*part, buffers) for part in parts])
        elif kind == ENCODED:
            self.put(objects, [None] * n)
        elif kind == IMPORT:
            for number, place, there in zip(self.numbers, wide(lists[0], n), wide(lists[1], n)):
                require(place < len(imports) and there < len(imports[place]), "decode: import")
                objects[number] = imports[place][there]

    def make_views(self, objects):
        n = len(self.numbers)
        parts = [counts_of(self.lists[0], n), wide(self.lists[1], n), signed(self.lists[2], n), no_holes(cells_of(self.lists[3], n))]
        for number, kind, at, offset, length in zip(self.numbers, *parts):
            require(at < len(objects) and objects[at] is not None and objects[at].what == "buffer", "decode: memory of a view")
            objects[number] = view_item(kind, objects[at], whole(offset), None if length is None else whole(length))

    def fill(self, objects):
        """Returns what holes at the end of arrays cost."""
        n, lists = len(self.numbers), self.lists
        targets = [data_of(objects[number]) for number in self.numbers] if self.kind != ENCODED else []
        if self.kind == OBJECT:
            require(isinstance(lists[1], list) and lists[1], "decode: objects without columns")
            keys = texts_of(lists[0], len(lists[1]))
            for key, column in zip(keys, lists[1]):
                for target, value in zip(targets, no_holes(cells_of(column, n, objects))):
                    target.define(key, value)
        elif self.kind == DICTIONARY:
            sizes = wide(lists[0], n)
            parts = [iter(no_holes(cells_of(part, sum(sizes), objects))) for part in lists[1:]]
            for target, size in zip(targets, sizes):
                for _ in range(size):
                    key = next(parts[0])
                    require(isinstance(key, str), "decode: key")
                    target.define(key, next(parts[1]))
        elif self.kind == ARRAY:
            lengths, told = counts_of(lists[0], n), counts_of(lists[1], n)
            items = iter(cells_of(lists[2], sum(told), objects))
            for target, length, here in zip(targets, lengths, told):
                require(here <= length, "decode: array")
                target.content["length"] = length
                for index in range(here):
                    value = next(items)
                    if value is not HOLE:
                        target.define(str(index), value)
            return sum(0 if size - here <= here else 8 if size - here > 4096 else max(size - here, 4) for size, here in zip(lengths, told))
        elif self.kind in (MAP, SET):
            sizes = wide(lists[0], n)
            parts = [iter(no_holes(cells_of(part, sum(sizes), objects))) for part in lists[1:]]
            for target, size in zip(targets, sizes):
                entries = [tuple(next(part) for part in parts) for _ in range(size)]
                require(len({same_value(entry[0]) for entry in entries}) == size, "decode: a key twice")
                target.content["values"] = entries
        elif self.kind == ENCODED:
            for number, data in zip(self.numbers, no_holes(cells_of(lists[0], n, objects))):
                objects[number].content["data"] = data
        return 0


def same_value(value):
    """What is the same key of a Map is the same here."""
    if isinstance(value, Float):
        return ("number", "nan" if value != value else float(value) + 0.0)
    if isinstance(value, Named):
        return (value.what, value.value)
    return (type(value).__name__, id(value) if isinstance(value, Item) or value is UNDEFINED else value)


def whole(value):
    require(isinstance(value, (int, float)) and not isinstance(value, bool) and value == value, "decode: count")
    require(0 <= value < 2**53 and float(value).is_integer(), "decode: count")
    return int(value)


def single(kind, cells):
    if kind == DATE:
        require(isinstance(cells[0], Float), "decode: date")
        whole_ms = abs(cells[0]) <= 8.64e15 and float(cells[0]).is_integer() and f64(cells[0]) != "8000000000000000"
        require(cells[0] != cells[0] or whole_ms, "decode: date")
        return Item("date", time=cells[0])
    if kind == REGEXP:
        require(isinstance(cells[0], str) and isinstance(cells[1], str) and isinstance(cells[2], Float), "decode: regular expression")
        return Item("regexp", source=cells[0], flags=cells[1], lastIndex=cells[2])
    if kind == URL:
        require(isinstance(cells[0], str), "decode: URL")
        return Item("url", href=cells[0])
    require(cells[0] is not None and cells[0] is not UNDEFINED, "decode: boxed")
    return Item("boxed", value=cells[0])


def buffer_of(index, buffers):
    require(index < len(buffers) and buffers[index] is not None, "decode: no such buffer")
    return buffers[index]


def memory_item(memory):
    """One object for each memory, so that two references to a buffer are one."""
    if not hasattr(memory, "item"):
        memory.item = Item("buffer", memory=memory)
    return memory.item


def view_item(kind, memory, offset, length):
    require(kind < len(VIEWS), "decode: kind of view")
    told = view([kind, None, offset, length], None, memory.content["memory"])
    return Item("view", kind=told["kind"], memory=memory, byteOffset=offset, length=length)


def window(buffer, offset, length, own, buffers):
    require(isinstance(own, bytes), "decode: window")
    if buffer is not None:
        return view_item(13, memory_item(buffer_of(whole(buffer), buffers)), whole(offset), whole(length))
    require(len(own) == length, "decode: window")
    return view_item(13, memory_item(Memory("ArrayBuffer", own, None, None)), 0, len(own))


# ---- segments-1 ---------------------------------------------------------------------------------------------------


def read_segments(raw):
    entries, at, whole_end = {}, 0, 0
    while at < len(raw):
        require(len(raw) - at >= 32, "decode: a segment that is cut")
        kind, text, size = number(raw, at, 4), number(raw, at + 4, 4), number(raw, at + 8, 8)
        memories, zero, length = number(raw, at + 16, 4), number(raw, at + 20, 4), number(raw, at + 24, 8)
        require(zero == 0 and length <= len(raw) - at, "decode: segment")
        segment = raw[at : at + length]
        start = 32 + (text + 7) // 8 * 8
        place = start + (size + 7) // 8 * 8
        buffers = []
        for _ in range(memories):
            require(place + 24 <= length, "decode: memory of a segment")
            shared, extent, most = number(segment, place, 4), number(segment, place + 8, 8), segment[place + 16 : place + 24]
            require(shared <= 1 and place + 24 + extent <= length, "decode: memory of a segment")
            content = segment[place + 24 : place + 24 + extent]
            maximum = None if most == b"\xff" * 8 else int.from_bytes(most, "little")
            buffers.append(Memory(("ArrayBuffer", "SharedArrayBuffer")[shared], content, maximum, None))
            place += 24 + (extent + 7) // 8 * 8
        require(place == length, "decode: segment")
        encoding = segment[32 : 32 + text].decode("latin-1")
        value, _ = read_encoded(encoding, segment[start : start + size], buffers, [])
        require(isinstance(value, Item) and value.what == ("array" if kind == 3 else "map"), "decode: segment")
        if kind == 3:
            for key, _ in value.properties.values():
                entries.pop(same_value(key), None)
        else:
            require(kind in (1, 2) and (kind == 2 or whole_end == at), "decode: kind of segment")
            for key, one in value.content["values"]:
                known = entries.get(same_value(key))
                entries[same_value(key)] = (key if known is None else known[0], one)
        at += length
        whole_end = at if kind == 1 else whole_end
    return Item("map", values=list(entries.values()))


# ---- objects as JSON ----------------------------------------------------------------------------------------------


class Story:
    """Objects by the order in which they are met, breadth first: section 10 of the document."""

    def __init__(self):
        self.numbers, self.queue, self.told = {}, [], []

    def cell(self, value):
        if isinstance(value, Item):
            if id(value) not in self.numbers:
                self.numbers[id(value)] = len(self.queue)
                self.queue.append(value)
            return {"ref": self.numbers[id(value)]}
        if value is UNDEFINED:
            return {"undefined": True}
        if isinstance(value, Named):
            return {value.what: str(value.value) if value.what == "bigint" else story_text(value.value)}
        if isinstance(value, str):
            return story_text(value)
        return value if value is None or isinstance(value, bool) else {"f64": f64(value)}

    def tell(self):
        while len(self.told) < len(self.queue):
            self.told.append(self.object(self.queue[len(self.told)]))

    def object(self, item):
        told = {"is": item.what, **self.content(item)}
        if item.integrity:
            told["integrity"] = item.integrity
        kept = 7 if item.integrity < 2 else 3 if item.integrity == 2 else 1
        properties = [self.property(name, value, bits & kept) for name, (value, bits) in sorted(item.properties.items(), key=place_of)]
        return {**told, "properties": properties} if properties else told

    def property(self, name, value, attributes):
        key = {"symbol": story_text(name[1])} if name[0] == "symbol" else story_text(name[1])
        return [key, self.cell(value)] + ([] if attributes == 7 else [attributes])

    def content(self, item):
        content = item.content
        if item.what == "instance":
            return {"class": content["of"][0], "version": content["of"][1], "data": self.cell(content["data"])}
        if item.what == "array":
            return {"length": content["length"]}
        if item.what in ("map", "set"):
            told = [[self.cell(value) for value in entry] for entry in content["values"]]
            return {"entries": told if item.what == "map" else [entry[0] for entry in told]}
        if item.what == "date":
            return {"time": f64(content["time"])}
        if item.what == "buffer":
            return content["memory"].describe()
        if item.what == "view":
            return {**content, "memory": self.cell(content["memory"])}
        return {key: self.cell(value) for key, value in content.items()}


def place_of(entry):
    """Array indexes first, in their order; then texts, then symbols."""
    kind, key = entry[0]
    index = kind == "text" and re.fullmatch(r"0|[1-9][0-9]{0,9}", key) and int(key) < 2**32 - 1
    return (0, int(key)) if index else (1 if kind == "text" else 2, 0)


def story_text(text):
    return {"utf16le": text.encode("utf-16-le", "surrogatepass").hex()} if any(0xD800 <= ord(unit) <= 0xDFFF for unit in text) else text


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


def each(paths):
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        try:
            print(json.dumps(read_image(data, None)))
        except Refused:
            print("null")


def main(args):
    sys.setrecursionlimit(10_000)
    if args[0] == "--each":
        each(args[1:])
        return 0
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
