"""A model as an ONNX graph, with a short program that predicts pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bottleneck import __version__
from bottleneck.backbones.licences import recorded_licence
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.folder.export_page import README
from bottleneck.export.folder.export_record import hash_model
from bottleneck.export.onnx_graph.graph_writing import OPSET, import_onnx, write_graph
from bottleneck.export.standalone.program_files import (
    classifier_facts,
    input_words,
    read_with_program,
    write_program,
)
from bottleneck.export.targets.export_target import PictureReader

__all__ = ["OnnxFile"]

_USE = f"""\
## Use

With `onnxruntime`, `pillow` and `numpy` in Python, this prints the probability of each class and
the decision:

```
python predict.py {{file}}
```

`model.onnx` is one graph, from the {{name}} on (operators of version {OPSET}, onnxruntime 1.17 or
newer):

| | name | type and shape | |
| --- | --- | --- | --- |
| input | `{{name}}` | {{words}} | |
| output | `probabilities` | float32, (n, n_classes) | calibrated |
| output | `scores` | float64, (n, n_classes) | what the decision follows |

{{reading}}
The metadata of the file state classes, positive class, threshold, how the model decides, weights
and their licence.
"""


class OnnxFile:
    """A folder with ``model.onnx``, one graph from pixels to probabilities, and ``predict.py``.

    Parameters
    ----------
    path : Path or None
        File or folder of the model, whose sha256 the file states.

    Examples
    --------
    >>> OnnxFile().name
    'onnx'
    """

    name = "onnx"

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> tuple[str, ...]:
        """Write graph and program, as ``ExportTarget`` says; errors also as ``write_graph``."""
        origin = {} if self.path is None else {"model_sha256": hash_model(self.path)}
        given = classifier.input
        write_graph(classifier, folder / "model.onnx", _metadata(classifier, model) | origin, given)
        write_program(folder)
        use = _USE.format(name=given.name, words=given.words, **input_words(classifier))
        (folder / README).write_text(use, encoding="utf-8")
        return ()

    def read(self, folder: Path) -> PictureReader:
        """Return the function of ``predict.py`` in the folder."""
        import_onnx()
        return read_with_program(folder)


def _metadata(classifier: ExportedClassifier, model: Model | TrainedModel) -> dict[str, Any]:
    """Return what the file states of the model."""
    metadata: dict[str, Any] = {
        **classifier_facts(classifier, model),
        "scores": classifier.kind,
        "weights": dict(model.weights) | {"licence": recorded_licence(model.weights)},
        "recipe": dict(model.recipe),
        "made_by": f"bottleneck {__version__}",
        "notice": "For research use only. This is not a medical device.",
    }
    if isinstance(model, Model):
        metadata |= {
            "head": model.head,
            "unit": model.unit,
            "aggregate": model.aggregate,
            "recipe_hash": model.recipe_hash,
        }
    return metadata
