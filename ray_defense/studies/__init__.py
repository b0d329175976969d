"""Studies beside the path: attacks at work, attacks as pictures, throughput, score traces."""
