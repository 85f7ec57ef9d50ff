# /// script
# requires-python = ">=3.11"
# dependencies = ["pip==26.1"]
# ///
"""Lays MovieLens-100K out as the two channels of the recommender: ratings and movies, as CSV with a header.

    uv run pipeline/definitions/recommender/make_sample.py --out FOLDER
    uv run pipeline/definitions/recommender/make_sample.py --out FOLDER --check   exit 1 when the files differ

The data is GroupLens', not ours to hand on, so it is not in the repository: it is read out of the recbole
wheel of the Python package index, which is verified by its SHA-256. FOLDER/README.md says under which terms
it may be used.

    ratings/ratings.csv    userId,movieId,rating,timestamp        100,000 rows, seconds since 1970 (UTC)
    movies/movies.csv      movieId,title,releaseYear,genres       1,682 rows, genres joined by |

In recbole's file two of the movies' rows are malformed, and mended here (MENDED); all else is as it is.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
INSIDE = "recbole/dataset_example/ml-100k/ml-100k"
RATINGS, USERS, MOVIES = 100_000, 943, 1_682

# movie -> title, year, genres. 267 is called `unkonwn` (so is its year); of 1412 the title was cut at a
# bracket, which left its year in the title and a `V` for the year.
MENDED = {
    "267": ("unknown", "", ("unknown",)),
    "1412": (
        "Land Before Time III: The Time of the Great Giving (V)",
        "1995",
        ("Animation", "Children's"),
    ),
}

TERMS = f"""\
# MovieLens 100K

Collected by the GroupLens research project at the University of Minnesota, September 1997 to April 1998;
taken from the package {PACKAGE} (SHA-256 of its wheel: {WHEEL_SHA256}) by make_sample.py.

The terms are GroupLens' own: <https://files.grouplens.org/datasets/movielens/ml-100k-README.txt>. In short:
for research; no use for revenue, and no handing on, without their permission; no claim of their endorsement;
publications cite F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
Transactions on Interactive Intelligent Systems 5, 4 (2015), <https://doi.org/10.1145/2827872>.

Hence: do not commit these files, do not put them where others can read them.
"""


def fetch(folder: Path) -> Path:
    """Download the wheel into the folder. Raises ValueError when it is not the one that is known."""
    if importlib.util.find_spec("pip") is None:
        # What it needs stands at its top, and plain `python` does not read that.
        how = f"uv run --script {__file__} --out FOLDER"
        sys.exit(f"error: No module named 'pip'; run it with what it needs:  {how}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True)
    (wheel,) = folder.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise ValueError(f"{wheel.name} has SHA-256 {digest}, not {WHEEL_SHA256}")
    return wheel


def table(archive: zipfile.ZipFile, kind: str) -> list[list[str]]:
    """Rows of one of recbole's tab-separated files, without its header."""
    text = archive.read(f"{INSIDE}.{kind}").decode("utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]


def ratings_csv(rows: list[list[str]]) -> str:
    """The ratings as they are. Raises ValueError when they are not the known ones."""
    if len(rows) != RATINGS or len({row[0] for row in rows}) != USERS:
        raise ValueError(f"{len(rows)} ratings of {len({row[0] for row in rows})} users; not MovieLens-100K")
    return text_of(["userId", "movieId", "rating", "timestamp"], rows)


def movies_csv(rows: list[list[str]]) -> str:
    """The movies, the malformed rows mended. Raises ValueError when others are malformed."""
    if len(rows) != MOVIES:
        raise ValueError(f"{len(rows)} movies; not MovieLens-100K")
    made = []
    for movie, title, year, genres in rows:
        if movie in MENDED:
            title, year, kinds = MENDED[movie]
        else:
            kinds = tuple(genres.split(" "))
            if not (len(year) == 4 and year.isdigit()):
                raise ValueError(f"movie {movie}: {year!r} is no year")
        made.append([movie, title, year, "|".join(kinds)])
    return text_of(["movieId", "title", "releaseYear", "genres"], made)


def text_of(header: list[str], rows: list[list[str]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def main() -> int:
    """Write the files, or compare them with `--check`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(fetch(Path(scratch))) as archive:
        files = {
            "README.md": TERMS,
            "ratings/ratings.csv": ratings_csv(table(archive, "inter")),
            "movies/movies.csv": movies_csv(table(archive, "item")),
        }
    differing = 0
    for name, text in files.items():
        path = args.out / name
        if args.check:
            same = path.is_file() and path.read_text(encoding="utf-8") == text
            differing += not same
            print(f"{path}: {'as made' if same else 'differs'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {text.count(chr(10))} lines")
    if not args.check:
        print(
            "MovieLens 100K is GroupLens' and for research, not for revenue or for handing on: see README.md"
        )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
