"""The picture that comes with Blend-Picture: `picture.png`, as the script `draw` draws it."""
