"""A picture as a value: its forms, its file, what a notebook is given."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.graph import Picture, draw, render_graph
from pipeline.graph.png import LONGEST
from tests.unit.graph.test_graph import ASL


def size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, out of the PNG's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def pixels(png: bytes) -> bytes:
    """What the picture's data unpack to."""
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return zlib.decompress(data)


def test_every_form_is_of_the_same_machine(tmp_path: Path) -> None:
    picture = render_graph(ASL, {"Check": "running"}, "demo")
    assert picture.svg == picture._repr_svg_() == draw(ASL, "svg", {"Check": "running"}, "demo")
    assert picture.mermaid == draw(ASL, "mermaid", {"Check": "running"}, "demo")
    for name, start in (("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.mmd", b"---"), ("a.txt", b"demo")):
        assert picture.save(tmp_path / "new" / name).read_bytes().startswith(start)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.mmd", "a.png", "a.svg", "a.txt"]
    with pytest.raises(ValueError, match=r"'.gif' is no form.*\.svg, \.png, \.mmd"):
        picture.save(tmp_path / "a.gif")


def test_a_png_is_the_svg_drawn_in_its_size_with_letters_and_colours() -> None:
    plain, running = Picture(ASL, {}, "demo"), Picture(ASL, {"Check": "running"}, "demo")
    wide, tall = size(plain.png(zoom=1))
    assert f'width="{wide}" height="{tall}"' in plain.svg
    assert size(plain._repr_png_()) == (2 * wide, 2 * tall)
    assert plain.png() == Picture(ASL, {}, "demo").png(), "the same picture, the same bytes"
    assert pixels(plain.png()) != pixels(running.png())
    # Letters are drawn, with whatever fonts this machine has or lacks.
    assert pixels(Picture(ASL, {}, "demi").png(zoom=1)) != pixels(plain.png(zoom=1))


def test_a_large_machines_png_stays_of_a_size_that_viewers_show() -> None:
    states = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(30)}
    picture = Picture({"StartAt": "S0", "States": {**states, "S30": {"Type": "Succeed"}}})
    assert max(size(picture.png(zoom=1))) > LONGEST / 2, "too small to tell"
    assert LONGEST - 5 <= max(size(picture.png())) <= LONGEST + 1
    assert size(picture.as_bytes("png", 0.5))[0] < size(picture.png())[0]


def test_a_files_ending_is_a_form_or_refused_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.pdf"
    assert main(["graph", "iris", "--out", str(out)]) == 2
    assert not out.exists()
    said = capsys.readouterr().err
    assert "'.pdf' is no form of a picture: .svg, .png, .mmd, .mermaid, .txt" in said
    assert main(["graph", "iris", "--live", "--out", str(out)]) == 2
    assert ".pdf" in capsys.readouterr().err
    assert main(["graph", "iris", "--out", str(tmp_path / "none")]) == 2
    assert main(["graph", "iris", "--scale", "3"]) == 2
    assert "--scale is for one PNG" in capsys.readouterr().err


def test_json_is_taken_as_well_and_nonsense_is_refused() -> None:
    assert render_graph('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}').svg.startswith("<svg")
    with pytest.raises(ValueError):
        render_graph("{")
    with pytest.raises(KeyError):
        render_graph({"States": {}})


def test_a_short_picture_has_the_way_to_success_and_what_a_run_came_by() -> None:
    short = Picture(ASL, {"Failed": "failed"}, "demo", short=True).svg
    assert ">Check<" in short
    assert ">Right<" in short
    assert ">Failed<" in short
    assert ">Right2<" not in short
    assert ">Wait<" not in short
    assert ">Wait<" in Picture(ASL, {}, "demo").svg
    # The way past what is left out is there: Ready's waiting leads back to Watch.
    assert "Ready -->" not in short
    assert short.count("marker-end") < Picture(ASL, {}, "demo").svg.count("marker-end")
