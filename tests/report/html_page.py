"""What stands on a page of a report."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags, words and the charts' data of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.inside, self.data = [], [], [], ""
        self.feed(html)
        self.figures = json.loads(self.data)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append(dict(attrs).get("id", tag))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            self.data += data if self.inside[-1] == "figures" else ""
        elif data.strip():
            self.words.append(" ".join(data.split()))
