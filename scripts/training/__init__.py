"""How what the package ships was trained: the network for copies and the vocabulary of details."""
