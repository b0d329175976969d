"""Writes the first images of CIFAR-10 to Parquet files small enough to travel to a GPU.

    python -m benchmarks.gpu.pack --data DIR --out DIR --images 15000

DIR holds cifar10-train.parquet and cifar10-test.parquet. Images stay the bytes they were. A fifth
as many test images come along. The command says how many there are and how large the files are.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.support import module_parser

MODULE = "benchmarks.gpu.pack"
_TEST_IMAGES = 5  # one test image for so many training images


def pack_split(source: Path, target: Path, num_images: int) -> int:
    """Writes the first rows of a Parquet file to another one and returns how many there are."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        num_rows = min(num_images, file.metadata.num_rows)
        with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
            num_written = 0
            for batch in file.iter_batches(batch_size=1000):
                batch = batch.slice(0, num_rows - num_written)
                writer.write_batch(batch)
                num_written += batch.num_rows
                if num_written == num_rows:
                    break
    return num_rows


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = module_parser(MODULE, __doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the Parquet files")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the smaller ones")
    parser.add_argument("--images", type=int, default=15_000, help="for training (default: 15,000)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes both files."""
    options = command_parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for split, num_images in (("train", options.images), ("test", options.images // _TEST_IMAGES)):
        name = f"cifar10-{split}.parquet"
        num_rows = pack_split(options.data / name, options.out / name, num_images)
        size = (options.out / name).stat().st_size
        print(f"{options.out / name}: {num_rows:,} images, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
