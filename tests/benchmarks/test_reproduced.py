"""Tables of the paper that were run: columns that say nothing are left out, and none is made up."""

import pytest

from benchmarks.tables import reproduced

TABLE = """# Fig. 3

2 of 2 runs.

| attack | column | ACC % | AUROC | note |
| --- | --- | --- | --- | --- |
| badnets |  | – | 0.91 |  |
| sig |  | – | – | weak |

    ray-defense reproduce fig3
"""


def test_columns_without_a_word_are_left_out(tmp_path, monkeypatch):
    folder = tmp_path / "reproduced" / "fig3"
    folder.mkdir(parents=True)
    (folder / "table.md").write_text(TABLE)
    monkeypatch.setattr(reproduced, "RESULTS", tmp_path)
    table = reproduced.reproduced_table("fig3")
    assert table.head == ["attack", "AUROC", "note"]
    assert table.rows == [["badnets", "0.91", ""], ["sig", "–", "weak"]]
    with pytest.raises(SystemExit, match="reproduce fig4 makes it"):
        reproduced.reproduced_table("fig4")
