"""Makes the golden files of inference, or with --check says which are not what it makes.

    generate.py [--check] [-v] [NAME ...]     files by their names without endings; else all

tests/vectors/infer/OPERATOR.golden and tests/vectors/detectors/KIND.golden need nothing but
requirements.txt; models.txt and float_heads.txt are made of what is in the folders that
NIGHTJAR_MODELS and NIGHTJAR_GOLDEN name, and left out without them. -v says who ran each case.

Ends with 0 where all is well, 1 where a file is not what this makes, 2 where the command line is
none, and 77 where something was left out and the rest is well.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import detectors
import families  # noqa: F401, its cases register themselves
import float_heads
import golden
import models
import pointwise  # noqa: F401
import spatial  # noqa: F401
import structural  # noqa: F401

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
INFER, DETECTORS = VECTORS / "infer", VECTORS / "detectors"
FOLDERS = ["NIGHTJAR_MODELS", "NIGHTJAR_GOLDEN"]


def text(lines):
    return "".join(f"{line}\n" for line in lines(*(Path(os.environ[it]) for it in FOLDERS))).encode()


def container(vectors, name, verbose):
    made = vectors(name)
    if verbose:
        print(*(f"{name} {note}" for note in made.notes), sep="\n")
    return made.container()


def makers(verbose):
    """What makes each file's bytes; None where its models are not here."""
    made = {}
    for folder, vectors, names in (
        (INFER, golden.vectors, golden.OPERATORS),
        (DETECTORS, detectors.vectors, detectors.KINDS),
    ):
        for name in sorted(names):
            made[folder / f"{name}.golden"] = partial(container, vectors, name, verbose)
    here = all(it in os.environ for it in FOLDERS)
    for name, lines in (("models", models.lines), ("float_heads", float_heads.lines)):
        made[INFER / f"{name}.txt"] = partial(text, lines) if here else None
    return made


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    files = makers(asked.verbose)
    unknown = set(asked.names) - {path.stem for path in files}
    if unknown:
        parser.error(f"no such golden file: {' '.join(sorted(unknown))}")
    wrong = left_out = 0
    for path, make in files.items():
        if asked.names and path.stem not in asked.names:
            continue
        name = path.relative_to(VECTORS)
        if make is None:
            left_out += 1
            print(f"left out: {name} ({' or '.join(FOLDERS)} names no folder)")
        elif not asked.check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(make())
        elif not path.is_file() or path.read_bytes() != make():
            wrong += 1
            print(f"{name} is not what generate.py makes")
    for path in sorted([*INFER.iterdir(), *DETECTORS.iterdir()]):
        if path not in files:
            wrong += 1
            print(f"{path.relative_to(VECTORS)} is made by nobody")
    return 1 if wrong else 77 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
