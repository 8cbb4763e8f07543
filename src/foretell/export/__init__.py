"""The winner as files that stand on their own, and back again."""

from foretell.export.check import check_best, check_folder, expected_outputs
from foretell.export.describe import BestInfo, read_info
from foretell.export.onnx_file import export_onnx
from foretell.export.read import ImageNetwork, load_best
from foretell.export.write import export_best

__all__ = [
    "BestInfo",
    "ImageNetwork",
    "check_best",
    "check_folder",
    "expected_outputs",
    "export_best",
    "export_onnx",
    "load_best",
    "read_info",
]
