"""The public contract, kept by the package's own encodings."""

import pytest

from foretell.encodings import encodings
from foretell.testing.encodings import EncodingContract

OWN = [n for n in encodings.names() if n not in ("scores", "onehot")]
"""Scores need networks; one-hot genes are what others are joined with."""


class TestRegistered(EncodingContract):
    @pytest.fixture(params=OWN)
    def encoding(self, request):
        return request.param
