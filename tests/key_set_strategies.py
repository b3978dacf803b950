"""Key sets that hypothesis draws, with all that names, values and metadata may hold."""

from hypothesis import strategies as st
from key_names import from_parts

from kdb.formats.dump import SharedText
from kdb.model import names
from kdb.model.content import Content

__all__ = ["key_sets", "mountpoints", "parts", "texts"]

# Text as a file gives it: any bytes but NUL, those that are no UTF-8 as surrogates.
texts = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
telling = st.sampled_from(
    ["", "%", ".", "..", "#", "#10", "#_10", "/", "\\", "a/b", "\\#1", "$end\n"]
)
parts = st.one_of(telling, texts)
mountpoints = st.lists(parts, max_size=3).map(lambda found: from_parts(names.Namespace.USER, found))


@st.composite
def key_sets(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, Content]]]:
    """Draw a mountpoint and a key set below it, some of its metadata shared by several keys."""
    mountpoint = draw(mountpoints)
    shared = [SharedText(text) for text in draw(st.lists(texts, max_size=2))]
    meta_texts = st.one_of(texts, st.sampled_from(shared)) if shared else texts
    keys: dict[bytes, Content] = {}
    for path in draw(st.lists(st.lists(parts, max_size=3), max_size=6)):
        name = mountpoint
        for part in path:
            name = names.add_base_name(name, part)
        meta = {}
        for meta_path in draw(st.lists(st.lists(parts, min_size=1, max_size=2), max_size=3)):
            meta_name = from_parts(names.Namespace.META, meta_path)
            meta[meta_name] = draw(meta_texts)
        binary = draw(st.booleans())
        meta.pop(b"\x02\0binary", None)
        if binary:
            meta[b"\x02\0binary"] = ""
        keys[name] = Content(
            draw(st.binary(max_size=12)) if binary else draw(texts),
            {names.escape(one).removeprefix("meta:/"): meta[one] for one in sorted(meta)},
        )
    return mountpoint, sorted(keys.items())
