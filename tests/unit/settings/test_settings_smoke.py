"""The smoke request's body as it is sent."""

from __future__ import annotations

from pipeline.settings.model import Smoke


def test_a_body_is_sent_as_the_bytes_that_its_encoding_means() -> None:
    assert Smoke(body="1,2\n").content == b"1,2\n"
    assert (
        Smoke(body="iVBORw0KGgo=", encoding="base64", content_type="image/png").content
        == b"\x89PNG\r\n\x1a\n"
    )
