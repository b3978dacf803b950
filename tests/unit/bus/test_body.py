import pytest

from kdbd.bus.body import MAX_BODY_BYTES, Malformed, Unsendable, decode_body, encode_body
from kdbd.bus.library import Variant


@pytest.mark.parametrize(
    ("signature", "body", "text"),
    [
        ("s", ["a\0"], "a string holds a NUL"),
        ("a{sv}", [{"a": Variant("s", "\0")}], "a string holds a NUL"),
        ("(s)", [("a\0",)], "a string holds a NUL"),
        ("s", ["\udc80"], "a string holds what is no UTF-8"),
        ("s", [b"a"], "the values do not fit the signature 's'"),
        ("u", [-1], "the values do not fit the signature 'u'"),
        ("o", ["a"], "the values do not fit the signature 'o'"),
        ("(o)", [["a"]], "the values do not fit the signature '(o)'"),
        ("a(", [[]], "the values do not fit the signature 'a('"),
        ("ss", ["a"], "the body has another length than its signature"),
        ("v", [Variant("g", "s")], "a signature is sent as a value"),
        (
            "ay",
            [bytes(MAX_BODY_BYTES)],
            f"a body of {MAX_BODY_BYTES + 4} bytes, above {MAX_BODY_BYTES}",
        ),
    ],
)
def test_what_the_bus_would_refuse_is_unsendable(
    signature: str, body: list[object], text: str
) -> None:
    with pytest.raises(Unsendable) as caught:
        encode_body(signature, body)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("s", b""),
        ("s", b"\5\0\0\0ab\0"),
        ("s", b"\1\0\0\0\xff\0"),
        ("s", b"\1\0\0\0a\0more"),
        ("t", b"\1\0\0\0"),
        ("as", b"\xff\0\0\0\1\0\0\0a\0"),
        ("(ss", b"\1\0\0\0a\0"),
        ("v", b"\1s"),
    ],
)
def test_a_body_that_does_not_fit_is_malformed(signature: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_body(signature, body)
