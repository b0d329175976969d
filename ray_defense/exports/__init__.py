"""What people do with a finished audit, from its folder alone; `EXPORTS` names the forms."""

from ray_defense.core.registry import Registry
from ray_defense.exports.protocol import ExportForm

EXPORTS: Registry[type[ExportForm]] = Registry(
    "ray_defense.exports",
    {
        "folder": "folder.Folder",
        "parquet": "parquet_file.ParquetFile",
        "csv": "csv_list.CsvList",
        "beton": "beton_files.BetonFiles",
        "label-studio": "label_studio.LabelStudio",
        "fiftyone": "fiftyone_dataset.FiftyOneDataset",
        "huggingface": "hugging_face.HuggingFace",
    },
)
