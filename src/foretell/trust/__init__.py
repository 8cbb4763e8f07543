"""Which code may run: what this user's own runs recorded and signed; no torch, no numpy."""

from foretell.trust.code import CodeFiles, changed, code_files
from foretell.trust.signing import key_path, made_here, signature

__all__ = ["CodeFiles", "changed", "code_files", "key_path", "made_here", "signature"]
