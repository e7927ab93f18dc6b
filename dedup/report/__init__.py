"""What a collection gives to other programs and to readers: features, figures, charts."""
