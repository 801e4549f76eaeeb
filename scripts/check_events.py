#!/usr/bin/env python3
"""Reads the event files of a run, as `train --tensorboard` writes them, and compares them with the run's log.

    scripts/check_events.py runs/mine

The frames and their checksums are read by the code below, the messages by Google's protobuf (on Debian: python3-protobuf), from the
declarations of TensorFlow's event.proto and summary.proto. If the package tensorboard is installed, its own reader is asked too.
"""

import glob
import json
import os
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto


def event_class():
    """The message Event, with the fields that hbar writes."""
    kinds = {"double": FIELD.TYPE_DOUBLE, "float": FIELD.TYPE_FLOAT, "int64": FIELD.TYPE_INT64, "int32": FIELD.TYPE_INT32,
             "string": FIELD.TYPE_STRING, "bytes": FIELD.TYPE_BYTES}
    messages = {
        "Event": [("wall_time", 1, "double"), ("step", 2, "int64"), ("file_version", 3, "string"), ("summary", 5, "Summary"),
                  ("session_log", 7, "SessionLog")],
        "SessionLog": [("status", 1, "int32")],
        "Summary": [("value", 1, "Value")],
        "Value": [("tag", 1, "string"), ("simple_value", 2, "float"), ("image", 4, "Image")],
        "Image": [("height", 1, "int32"), ("width", 2, "int32"), ("colorspace", 3, "int32"), ("encoded_image_string", 4, "bytes")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="tensorboard", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            f = message.field.add(name=field, number=number, label=FIELD.LABEL_REPEATED if name == "Summary" else FIELD.LABEL_OPTIONAL)
            if kind in kinds:
                f.type = kinds[kind]
            else:
                f.type, f.type_name = FIELD.TYPE_MESSAGE, ".tensorboard." + kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    event = pool.FindMessageTypeByName("tensorboard.Event")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(event)
    return message_factory.MessageFactory(pool).GetPrototype(event)


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


TABLE = crc_table()


def masked(data):
    """CRC-32C, masked as TFRecord stores it."""
    c = 0xFFFFFFFF
    for byte in data:
        c = c >> 8 ^ TABLE[(c ^ byte) & 0xFF]
    c ^= 0xFFFFFFFF
    return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if struct.unpack_from("<I", data, at + 8) != (masked(data[at:at + 8]),):
            sys.exit(f"{path}: wrong checksum of the length at byte {at}")
        body = data[at + 12:at + 12 + length]
        if struct.unpack_from("<I", data, at + 12 + length) != (masked(body),):
            sys.exit(f"{path}: wrong checksum of the data at byte {at}")
        yield body
        at += 16 + length


def png_size(data):
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        sys.exit("a picture is no PNG")
    return struct.unpack(">II", data[16:24])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_events.py RUN_DIRECTORY")
    run = sys.argv[1]
    files = sorted(glob.glob(os.path.join(run, "events.out.tfevents.*")))
    if not files:
        sys.exit(f"{run}: no event files; train with --tensorboard")
    event = event_class()
    scalars, pictures = {}, {}
    for path in files:
        for i, data in enumerate(records(path)):
            e = event.FromString(data)
            if (i == 0) != (e.file_version == "brain.Event:2"):
                sys.exit(f"{path}: event {i} has version {e.file_version!r}; the first must say brain.Event:2")
            for v in e.summary.value:
                if v.HasField("image"):
                    if png_size(v.image.encoded_image_string) != (v.image.width, v.image.height):
                        sys.exit(f"{path}: picture {v.tag} has another size than it says")
                    pictures.setdefault(v.tag, []).append(e.step)
                else:
                    scalars.setdefault(v.tag, []).append((e.step, v.simple_value))
    for tag, steps in [(t, [s for s, _ in p]) for t, p in scalars.items()] + list(pictures.items()):
        if any(a >= b for a, b in zip(steps, steps[1:])):
            sys.exit(f"{tag}: steps do not rise: {steps}")

    with open(os.path.join(run, "train.jsonl")) as f:
        log = [json.loads(line) for line in f]
    keys = {"train/loss": "loss", "train/learning_rate": "lr", "train/gradient_norm": "grad_norm"}
    for tag in scalars:
        key = keys.get(tag, tag.removeprefix("train/"))
        want = {line["step"]: struct.unpack("<f", struct.pack("<f", float(line[key])))[0] for line in log if key in line}
        for step, value in scalars[tag]:
            if step not in want or not (want[step] == value or want[step] != want[step] and value != value):
                sys.exit(f"{tag} at step {step} is {value}, in the log {want.get(step)}")
    for tag in keys:
        if tag not in scalars:
            sys.exit(f"{tag} is missing")

    by = "protobuf"
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        pass
    else:
        acc = EventAccumulator(run, size_guidance={"scalars": 0, "images": 0}).Reload()
        for tag, points in scalars.items():
            if [(s.step, s.value) for s in acc.Scalars(tag)] != points:
                sys.exit(f"{tag}: TensorBoard reads other numbers")
        for tag, steps in pictures.items():
            if [s.step for s in acc.Images(tag)] != steps:
                sys.exit(f"{tag}: TensorBoard reads pictures of other steps")
        by += " and tensorboard"
    print(f"read by {by}: {len(files)} files, " + ", ".join(f"{t} {len(p)}" for t, p in sorted(scalars.items()))
          + "".join(f", pictures {t} of steps {s}" for t, s in sorted(pictures.items())))


if __name__ == "__main__":
    main()
