"""Floor 2: sources of images, FFCV shards, and the batches that training reads from them."""
