"""Sources of images, FFCV shards, and the batches that training reads from them."""
