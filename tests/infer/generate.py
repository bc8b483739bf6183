"""Makes tests/vectors/infer/OPERATOR.golden, or with --check says which are not what it makes.

Needs requirements.txt; the plain tests need only the files. Names of operators limit it to
these; -v says who ran each case.
"""

import argparse
import sys
from pathlib import Path

import families  # noqa: F401, its cases register themselves
import golden
import pointwise  # noqa: F401
import spatial  # noqa: F401
import structural  # noqa: F401

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "infer"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operators", nargs="*", default=sorted(golden.OPERATORS))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    wanted = parser.parse_args()
    wrong = 0
    for name in wanted.operators:
        made = golden.vectors(name)
        if wanted.verbose:
            print(*(f"{name} {note}" for note in made.notes), sep="\n")
        path = FOLDER / f"{name}.golden"
        container = made.container()
        if not wanted.check:
            path.write_bytes(container)
        elif not path.is_file() or path.read_bytes() != container:
            wrong += 1
            print(f"{path.name} is not what generate.py makes")
    for path in sorted(FOLDER.glob("*.golden")):
        if path.stem not in golden.OPERATORS:
            wrong += 1
            print(f"{path.name} has no cases in generate.py")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
