"""The picture that comes with Blend-Picture: `picture.png`, as `draw` draws it."""
