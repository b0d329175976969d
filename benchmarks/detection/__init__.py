"""What detectors and their decision find of planted attacks, and what they say of clean data."""
