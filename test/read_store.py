"""Lists the samples in the directory of a stopped storage peer, one JSON object a line:

    python3 test/read_store.py .skein/storage-1

Written from docs/storage-format.md (S) and docs/wire-format.md (W), to show that they are enough.
Numbers that JSON has no word for are spelled as in W §6: {"number": "NaN"}. A frame whose body
takes a library to decode (MessagePack, Protobuf, zstd) is one line, with its first time and, in
place of fields, "raw": how many bytes its body has. A field whose schema is not there goes by its
number: "#1". What is damaged or raw is counted on stderr.
"""

import json
import re
import sys
from hashlib import sha256
from io import BytesIO
from itertools import accumulate, islice
from operator import xor
from pathlib import Path
from struct import pack, unpack, unpack_from
from zlib import crc32

SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-0.0": "-0"}
counts = {"damaged": 0, "raw": 0}


class Columnar(BytesIO):
    """A columnar body, read from its begin to its end (W §1, §4)."""

    def varint(self):
        [byte] = self.read(1)
        return byte if byte < 128 else byte - 128 + 128 * self.varint()

    def signed(self):
        [byte] = self.read(1)
        magnitude = byte % 64 + (64 * self.varint() if byte & 128 else 0)
        return -magnitude if byte & 64 else magnitude

    def text(self):
        return self.read(self.varint()).decode()

    def packed(self, count, width):
        data = self.read((count * width + 7) // 8)
        places = (divmod(i * width, 8) for i in range(count))
        words = (int.from_bytes(data[at : at + 8], "little") >> bit for at, bit in places)
        return [word & (1 << width) - 1 for word in words]

    def offsets(self, count):
        least, [width] = self.signed(), self.read(1)
        return [least + offset for offset in self.packed(count, width)]

    def xors(self, count):
        first, shift, width = unpack("<QBB", self.read(10))
        low = self.packed(count - 1, min(width, 32))
        high = self.packed(count - 1, max(width - 32, 0))
        changes = ((high << 32 | low) << shift for low, high in zip(low, high))
        return unpack(f"<{count}d", pack(f"<{count}Q", *accumulate(changes, xor, initial=first)))

    def numbers(self, count):
        [head] = self.read(1)
        coding, scale = head & 7, 10 ** (head >> 4)
        if coding == 0:
            values = unpack(f"<{count}d", self.read(8 * count))
        elif coding == 1:
            first = self.signed()
            values = accumulate(self.offsets(count - 1) if count > 1 else [], initial=first)
        elif coding == 2:
            values = self.offsets(count)
        elif coding == 3:
            values = accumulate(self.signed() for _ in range(count))
        else:
            values = self.xors(count)
        values, at = [n / scale if scale > 1 else n for n in values], 0
        for _ in range(self.varint() if head & 8 else 0):
            at += self.varint()
            [values[at]] = unpack("<d", self.read(8))
        return values

    def strings(self, count):
        if self.read(1) == b"\0":
            return [self.text() for _ in range(count)]
        entries = [self.text() for _ in range(self.varint())]
        return [entries[i] for i in self.packed(count, (len(entries) - 1).bit_length())]

    def values(self, kind, count):
        if kind == 1:
            return self.numbers(count)
        if kind == 2:
            return [bit == 1 for bit in self.packed(count, 1)]
        if kind == 4:
            return self.strings(count)
        kinds = [1 << n for n in self.packed(count, 2)]
        of_kind = {each: iter(self.values(each, kinds.count(each))) for each in sorted(set(kinds))}
        return [next(of_kind[each]) for each in kinds]

    def rows(self, count, names):
        """A time and fields for each row; `names` by field number."""
        self.read(1)
        rows = [(time, {}) for time in self.numbers(count)] if count else []
        for _ in range(self.varint() if count else 0):
            number = self.varint()
            name = names.get(number, f"#{number}") if number else self.text()
            [kind] = self.read(1)
            has = self.packed(count, 1) if kind & 128 else [1] * count
            having = [fields for (_, fields), bit in zip(rows, has) if bit]
            for fields, value in zip(having, self.values(kind & 7, len(having))):
                fields[name] = value
        return rows


def check(words):
    """Murmur3 without the mixing-in of the length (S, Segments)."""
    low, mixed = 0xFFFFFFFF, 0x9747B28C
    for word in words:
        word = word * 0xCC9E2D51 & low
        mixed ^= (word << 15 | word >> 17) * 0x1B873593 & low
        mixed = (mixed << 13 | mixed >> 19) * 5 + 0xE6546B64 & low
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & low
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & low
    return mixed ^ mixed >> 16


def records(path, file, end, head_bytes, magic):
    """The frames of a segment or blocks of a block file; `end` is that of the last whole one."""
    for begin in (match.start() for match in re.finditer(magic, file)):
        at = begin - head_bytes
        if at >= end:
            *head, expected = unpack_from(f"<{head_bytes // 4}I", file, at)
            content = file[begin : begin + head[0]]
            crc = int.from_bytes(content[4:8], "little")
            if check([at, *head, crc]) == expected and crc32(content[8:]) == crc:
                count_damaged(path, end, at)
                yield content
                end = begin + len(content)
    count_damaged(path, end, len(file))


def count_damaged(path, begin, end):
    if begin < end:
        counts["damaged"] += 1
        print(f"{path}: no whole record in bytes {begin} to {end}", file=sys.stderr)


def frame_samples(frame, schemas):
    """Lane, sequence, and for each sample a time and fields, or a raw body (W §2, §3)."""
    count, sequence, first, schema, codec, kind = unpack_from("<IQQ8x8sBB", frame, 12)
    begin = 60 + frame[50] + frame[51]
    lane, body = frame[50:begin], frame[begin:]
    if kind == 0 and codec == 1 and body[0] == 0:
        yield lane, sequence, Columnar(body).rows(count, schemas.get(schema, {}))
    elif kind == 0 and codec == 3:
        samples = json.loads(body, parse_int=float)
        yield lane, sequence, [(int(each["timeUs"]), each["fields"]) for each in samples]
    elif kind == 0:
        yield lane, sequence, [(first, body)]


def block_samples(block, schemas):
    """The same for each frame of a block (S, Blocks)."""
    frames, count, schema, *sizes = unpack_from("<II8s5I", block, 12)
    at = 62 + block[52] + block[53]
    lane, sections = block[52:at], []
    for size in sizes:
        sections.append(Columnar(block[at : at + size]))
        at += size
    table = sections[0].rows(frames, {1: "bytes", 2: "count", 3: "delay"})
    times = sections[2].rows(count, {})
    columns = sections[3].rows(count, schemas.get(schema, {}))
    samples = ((time, fields) for (time, _), (_, fields) in zip(times, columns))
    for sequence, frame in table:
        if "count" in frame:
            yield lane, sequence, list(islice(samples, frame["count"]))
        else:
            yield from frame_samples(block[at : at + frame["bytes"]], schemas)
            at += frame["bytes"]


def bucket_samples(bucket, schemas):
    """The same for each frame of a bucket (S, Segments and Block files)."""
    replaced = set()
    for path in sorted(bucket.glob("*.blk")):
        file = path.read_bytes()
        [segments] = unpack_from("<16xI", file)
        head, crc = file[: 20 + 4 * segments], file[20 + 4 * segments :][:4]
        is_whole = crc == crc32(head).to_bytes(4, "little")
        if is_whole:
            replaced.update(unpack_from(f"<{segments}I", file, 20))
        for block in records(path, file, len(head) + 4 if is_whole else 0, 8, rb"SKB\x01"):
            yield from block_samples(block, schemas)
    for path in sorted(bucket.glob("*.seg")):
        if int(path.stem) not in replaced:
            for frame in records(path, path.read_bytes(), 16, 16, rb"SKF\x01"):
                yield from frame_samples(frame, schemas)


def spelled(value):
    return {"number": SPELLED[repr(value)]} if repr(value) in SPELLED else value


def print_samples(lane, sequence, samples):
    source, stream = lane[10 : 10 + lane[0]].decode(), lane[10 + lane[0] :].decode()
    frame = {"stream": stream, "source": source, "epoch": lane[2:10].hex(), "sequence": sequence}
    for index, (time, content) in enumerate(samples):
        line = {**frame, "index": index, "time": time}
        if isinstance(content, bytes):
            counts["raw"] += 1
            print(json.dumps({**line, "raw": len(content)}))
        else:
            fields = {name: spelled(value) for name, value in content.items()}
            print(json.dumps({**line, "fields": fields}))


def read_schemas(directory):
    """For each schema id the names of its fields by number (W §4, §7)."""
    schemas = {}
    for path in directory.glob("*.json"):
        schema = path.read_bytes()
        if sha256(schema).hexdigest()[:16] == path.stem:
            names = json.loads(schema)["properties"]
            in_order = sorted(names, key=lambda name: name.encode("utf-16-be"))
            schemas[bytes.fromhex(path.stem)] = dict(enumerate(in_order, 1))
    return schemas


def main(directory):
    schemas, listed = read_schemas(directory / "schemas"), set()
    for bucket in sorted(directory.glob("buckets/*/[0-9]*[0-9]")):
        for lane, sequence, samples in bucket_samples(bucket, schemas):
            if (lane, sequence) not in listed:
                listed.add((lane, sequence))
                print_samples(lane, sequence, samples)
    print(f"{counts['damaged']} damaged, {counts['raw']} raw", file=sys.stderr)


main(Path(sys.argv[1]))
