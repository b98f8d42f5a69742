"""A program with TotalSegmentator's command line, and its installation for tests.

Its labels are the values of the volume, as class ids, or those of the .npy file that
BIG_RAD_STAND_IN_LABELS names. BIG_RAD_STAND_IN says how it misbehaves, see `main`, and it writes
what it was given to the file that BIG_RAD_STAND_IN_LOG names.
"""

import argparse
import json
import os
import pathlib
import signal
import stat
import struct
import subprocess
import sys
import time

TYPES = {2: "u1", 4: "i2", 16: "f4"}
PACKAGE = "totalsegmentator"


def install(folder, mode="", *, version="2.18.0", tables=None, **settings):
    """Installs the stand-in like TotalSegmentator in a folder; returns settings that run it.

    Args:
        folder: an empty folder.
        mode: how it misbehaves.
        version: the version that it says it has.
        tables: {task: {label: name}}; the default is that of `harmonised`.
        settings: other settings.
    """
    from big_rad.annotate.segment import harmonised
    from big_rad.annotate.segment.installation import MODELS
    from big_rad.annotate.segment.totalsegmentator import Settings
    from big_rad.grounding import classes

    folder = pathlib.Path(folder)
    if tables is None:
        tables = {t: dict(enumerate(n, start=1)) for t, n in harmonised.TASKS.items()}
    package = folder / "site" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    ids = {c.name: c.id for c in classes.CLASSES}
    (package / "map_to_binary.py").write_text(f"class_map = {tables!r}\nids = {ids!r}\n")
    about = folder / "site" / f"{PACKAGE}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: TotalSegmentator\nVersion: {version}\n"
    )
    program = folder / "TotalSegmentator"
    program.write_text(f"#!{sys.executable}\n{pathlib.Path(__file__).read_text()}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    weights = folder / "weights"
    for number in sum(MODELS.values(), ()):
        model = weights / f"Dataset{number}_x" / "y__nnUNetPlans__3d_fullres" / "fold_0"
        model.mkdir(parents=True)
        (model / "checkpoint_final.pth").write_bytes(b"")
    env = {
        "PYTHONPATH": str(folder / "site"),
        "BIG_RAD_STAND_IN": mode,
        "BIG_RAD_STAND_IN_LOG": str(folder / "log.json"),
        **settings.pop("env", {}),
    }
    given = {"command": [str(program)], "weights": weights, "timeout_s": 60.0, "device": "cpu"}
    return Settings(env=env, **given | settings)


def main():
    """Runs the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", dest="input", type=pathlib.Path, required=True)
    parser.add_argument("-o", dest="output", type=pathlib.Path, required=True)
    parser.add_argument("-ml", "--ml", action="store_true")
    parser.add_argument("-ta", "--task", default="total")
    parser.add_argument("-d", "--device", default="gpu")
    parser.add_argument("-f", "--fast", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    args = parser.parse_args()
    mode = os.environ["BIG_RAD_STAND_IN"]
    child = subprocess.Popen(["sleep", "60"]) if mode == "hang" else None
    config = pathlib.Path(os.environ["TOTALSEG_HOME_DIR"], "config.json")
    log = pathlib.Path(os.environ["BIG_RAD_STAND_IN_LOG"])
    said = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "config": json.loads(config.read_text()),
        "processes": [os.getpid(), *([child.pid] if child else [])],
        "current": os.getcwd(),
    }
    log.with_suffix(".part").write_text(json.dumps(said))
    log.with_suffix(".part").rename(log)
    print(f"reading {args.input}", file=sys.stderr, flush=True)
    if mode == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if mode == "crash":
        raise RuntimeError(f"cannot read {args.input}")
    if mode == "licence":
        print("It requires a license.")
        sys.exit(1)
    if mode == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "loud":
        os.write(1, b"x" * (1 << 20))
    if mode == "no_gpu":
        print("No GPU detected. Running on CPU.")
    if mode == "no_file":
        return
    segment(args.input, args.output, args.task, mode)


def segment(source, target, task, mode):
    """Writes the labels, as TotalSegmentator does: in the order of the volume, with a table."""
    import numpy as np
    from totalsegmentator.map_to_binary import class_map, ids

    data = source.read_bytes()
    shape = struct.unpack_from("<8h", data, 40)[1:4]
    kind = TYPES[struct.unpack_from("<h", data, 70)[0]]
    offset = int(struct.unpack_from("<f", data, 108)[0])
    values = np.frombuffer(data, f"<{kind}", int(np.prod(shape)), offset)
    values = values.reshape(shape, order="F").astype(int)
    if given := os.environ.get("BIG_RAD_STAND_IN_LABELS"):
        values = np.load(given)
    table = dict(class_map[task])
    labels = np.zeros(values.shape, np.uint8)
    for number, name in table.items():
        labels[values == ids.get(name, 0)] = number
    header = bytearray(data[:348])
    struct.pack_into("<hh", header, 70, 2, 8)
    struct.pack_into("<2f", header, 112, 1, 0)
    if mode == "empty":
        labels[:] = 0
    if mode == "unknown":
        labels[0, 0, 0] = 200
    if mode == "shape":
        labels = labels[:-1]
        struct.pack_into("<h", header, 42, labels.shape[0])
    if mode == "affine":
        row = struct.unpack_from("<12f", header, 280)
        flipped = [-v if n % 4 == 0 else v for n, v in enumerate(row)]
        for n in range(3):
            flipped[4 * n + 3] += row[4 * n] * (shape[0] - 1)
        struct.pack_into("<12f", header, 280, *flipped)
    if mode == "names":
        table[26] = "vertebrae_L6"
    body = "".join(f'<Label Key="{k}"><![CDATA[{v}]]></Label>' for k, v in table.items())
    xml = f"<CaretExtension><LabelTable>{body}</LabelTable></CaretExtension>".encode()
    xml += b" " * (-(len(xml) + 8) % 16)
    extension = struct.pack("<4b2i", 1, 0, 0, 0, len(xml) + 8, 0) + xml
    if mode == "no_table":
        extension = bytes(4)
    struct.pack_into("<f", header, 108, 348 + len(extension))
    content = bytes(header) + extension + labels.tobytes(order="F")
    target.write_bytes(content[: -labels.size // 2] if mode == "half" else content)


if __name__ == "__main__":
    main()
