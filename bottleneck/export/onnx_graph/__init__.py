"""ONNX graphs of exported models."""
