"""The text of a labeling config → a checked XML tree and Label Studio's own reading of it.

The tree is parsed here first, by the same parser that label-studio-sdk's `LabelInterface` uses, because
`LabelInterface` merges tags of the same name, labels of the same alias and spellings of an attribute
without a word: what it would merge is looked for in the tree. It also fails with a bare ValueError
on an XML encoding declaration, which says nothing in a text that is already decoded and is dropped.
"""

import re
from collections.abc import Mapping
from typing import Any

from timelinelabels.errors import ConfigError
from timelinelabels.labelstudio.config_values import shown

MAX_CONFIG_BYTES = 1_000_000

# A tag's name and all its attributes; ">" may stand inside quotes.
_TAGS = re.compile(r"""<([A-Za-z][\w.-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)""")
_DECLARATION = re.compile(r"<\?xml\s[^>]*\?>")
# Label Studio's editor reads attribute names in any case, `LabelInterface` in this one only.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "timelinelabels": ("name", "toName", "value"),
    "video": ("name", "value", "frameRate"),
    "label": ("value", "alias", "predicted_values"),
}

# lxml has no type information; an element is etree._Element.
Element = Any


def read_tree(text: str) -> Element:
    """The root element of a labeling config, without comments and processing instructions.

    Raises:
        ConfigError: empty, too large, not XML, or with a DTD (entity bombs, external entities).
    """
    from lxml import etree

    if not text.strip():
        raise ConfigError(
            "The labeling config is empty; a <TimelineLabels> attached to a <Video> is needed"
        )
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"The labeling config has {size} bytes; at most {MAX_CONFIG_BYTES} are accepted"
        )
    text = text.lstrip("\ufeff \t\r\n")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(_DECLARATION.sub("", text, count=1), parser)
    except etree.XMLSyntaxError as error:
        raise ConfigError(_not_xml(text, str(error.msg))) from None
    except ValueError as error:
        raise ConfigError(f"The labeling config is not XML: {error}") from None
    if root.getroottree().docinfo.doctype:
        raise ConfigError("The labeling config has a DOCTYPE; remove it: entities are not accepted")
    return root


def _not_xml(text: str, said: str) -> str:
    """What is wrong with a config that the parser refuses."""
    twice = re.match(r"Attribute (\S+) redefined", said)
    if twice is None:
        return f"The labeling config is not XML: {said}"
    written = re.compile(rf"(?:^|\s){re.escape(twice[1])}\s*=")
    for tag, attributes in _TAGS.findall(text):
        if len(written.findall(attributes)) > 1:
            named = re.search(r"""\bname\s*=\s*(["'])(.*?)\1""", attributes)
            where = f"{tag} {shown(named[2])}" if named else f"<{tag}> without a name"
            return f"{where}: {twice[1]} is given twice; keep one"
    return f"The labeling config is not XML: {said}"


def tag_of(element: Element) -> str:
    """The tag's name in lower case: Label Studio's editor reads tags in any case."""
    return str(element.tag).lower()


def unify_spellings(root: Element, problems: list[str]) -> None:
    """Give the attributes that are read here the spelling that `LabelInterface` knows.

    Args:
        root: changed in place.
        problems: gets one sentence for each attribute that is there in two spellings.
    """
    for element in root.iter():
        spellings = {name.lower(): name for name in _SPELLINGS.get(tag_of(element), ())}
        for written in list(element.attrib):
            name = spellings.get(written.lower(), written)
            if name == written:
                continue
            if name in element.attrib:
                problems.append(
                    f"{describe(element)}: {name} is given twice, as {name} and as {written}; "
                    "keep one"
                )
            else:
                element.set(name, element.attrib.pop(written))


def describe(element: Element) -> str:
    """How messages name a tag, such as `Video "video"`."""
    name = element.get("name")
    return f"{element.tag} {shown(name)}" if name else f"<{element.tag}> without a name"


def label_interface(root: Element) -> Any:
    """Label Studio's own reading (`label_studio_sdk.label_interface.LabelInterface`) of a tree."""
    from label_studio_sdk.label_interface import LabelInterface  # half a second
    from lxml import etree

    return LabelInterface(etree.tostring(root, encoding="unicode"))
