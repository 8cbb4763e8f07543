"""One HTML file that loads nothing: document, formats, drawings."""
