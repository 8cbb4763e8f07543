"""Graphs of any nn.Module or ONNX file."""
