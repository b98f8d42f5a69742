"""A page as a tree of elements, so that tests ask for what a reader meets, not for substrings."""

import dataclasses
import html.parser

_VOID = ("meta", "img", "br", "input", "link", "hr")
_HIDDEN = ("style", "script", "title")
_ADDRESSES = ("src", "href", "srcset", "data", "action")


@dataclasses.dataclass
class Element:
    """An element of a page.

    Attributes:
        tag: its name; "" for the page itself.
        attrs: its attributes.
        children: elements and texts, in order.
    """

    tag: str
    attrs: dict
    children: list = dataclasses.field(default_factory=list)

    def walk(self):
        """Yields this element and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag="", css="", **attrs):
        """Returns the elements below this one with a tag, a CSS class and attributes.

        Args:
            tag: their name; "" is any.
            css: one of their classes; "" is any.
            attrs: attributes and their values; `data_lang` is `data-lang`.
        """
        wanted = {name.replace("_", "-"): value for name, value in attrs.items()}
        return [
            e
            for e in list(self.walk())[1:]
            if (not tag or e.tag == tag)
            and (not css or css in e.classes)
            and all(e.attrs.get(name) == value for name, value in wanted.items())
        ]

    def one(self, tag="", css="", **attrs):
        """Returns the only such element; any other number of them fails."""
        found = self.all(tag, css, **attrs)
        assert len(found) == 1, f"{len(found)} elements {tag} {css} {attrs}"
        return found[0]

    def get(self, name):
        """Returns an attribute, or None."""
        return self.attrs.get(name)

    @property
    def classes(self):
        """Its CSS classes."""
        return (self.attrs.get("class") or "").split()

    @property
    def words(self):
        """The text that is read here, folded parts too, with single spaces."""
        return " ".join(" ".join(self._texts()).split())

    @property
    def tags(self):
        """Names of all elements below."""
        return [e.tag for e in list(self.walk())[1:]]

    @property
    def addresses(self):
        """Everything that elements below fetch or lead to."""
        return [v for e in self.walk() for k, v in e.attrs.items() if k in _ADDRESSES]

    def cells(self):
        """The rows of the tables below as lists of the words in their cells."""
        return [[c.words for c in row.children if isinstance(c, Element)] for row in self.all("tr")]

    def _texts(self):
        if self.tag in _HIDDEN:
            return
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child._texts()


def parse(text):
    """Returns the tree of a page or of a part of one; an element that is not closed fails."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert len(builder.open) == 1, f"not closed: {[e.tag for e in builder.open[1:]]}"
    return builder.open[0]


def read(path):
    """Returns the tree of the page in a file."""
    return parse(path.read_text(encoding="utf-8"))


class _Builder(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)
