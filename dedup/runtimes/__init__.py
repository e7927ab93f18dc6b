"""What runs a network on batches of images: torch, ONNX Runtime or OpenVINO, chosen by a rule."""
