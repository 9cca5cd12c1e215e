"""A model as a program of torch, with a short program that predicts pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from torch.export import Dim

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, one_line
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.folder.export_page import README
from bottleneck.export.standalone.program_files import (
    classifier_facts,
    input_words,
    read_with_program,
    write_program,
)
from bottleneck.export.targets.export_target import PictureReader

__all__ = ["TorchFolder"]

_USE = """\
## Use

With `torch` ({version} or newer), `pillow` and `numpy` in Python, this prints the probability of
each class and the decision:

```
python predict.py {file}
```

In a program of your own, in this folder:

```python
from pathlib import Path

from predict import load_classifier, read_input

facts, classify = load_classifier(Path("."))
probabilities, scores = classify(read_input("{file}", facts)[None])
print(facts["classes"], probabilities[0])
```

`model.pt2` is a program of `torch.export`, from the {name} on: {words}.
It returns calibrated probabilities (float32) and the scores that the decision follows (float64), of
shape (n, n_classes).

{reading}
"""


class TorchFolder:
    """A folder with ``model.pt2``, a program of ``torch.export``, and ``predict.py``.

    Examples
    --------
    >>> TorchFolder().name
    'torch'
    """

    name = "torch"

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> tuple[str, ...]:
        """Write the files, as ``ExportTarget.write`` says.

        Raises
        ------
        ModelError
            If torch cannot export the network.
        """
        given = classifier.input
        try:
            axes = {axis: Dim(name) for axis, name in given.axes.items()}
            program = torch.export.export(classifier, (given.example,), dynamic_shapes=(axes,))
        # A network of one's own may raise anything, and torch has no one error for what it cannot
        # export.
        except Exception as error:
            raise ModelError(
                f"torch.export cannot export this network ({one_line(error)[:300]}). If it is "
                "your own network, avoid operations that depend on the values of tensors"
            ) from error
        facts = json.dumps(classifier_facts(classifier, model))
        # torch's own writer ends the process where the disk is full.
        content = io.BytesIO()
        torch.export.save(program, content, extra_files={"classifier.json": facts})
        (folder / "model.pt2").write_bytes(content.getbuffer())
        write_program(folder)
        version = torch.__version__.partition("+")[0]
        words = {"name": given.name, "words": given.words, **input_words(classifier)}
        use = _USE.format(version=version, **words)
        (folder / README).write_text(use, encoding="utf-8")
        return ()

    def read(self, folder: Path) -> PictureReader:
        """Return the function of ``predict.py`` in the folder."""
        return read_with_program(folder)
