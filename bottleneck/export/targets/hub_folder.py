"""The folder of a model on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import DecodeError, MissingExtraError
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.folder.export_page import README
from bottleneck.export.hub.folded_model import FoldedModel, fold_model
from bottleneck.export.hub.log_odds import NoPlainCheckpointError
from bottleneck.export.hub.transformers_reading import find_other_reading
from bottleneck.export.standalone.program_files import write_program
from bottleneck.export.targets.export_target import PictureReader
from bottleneck.export.targets.torch_folder import TorchFolder

__all__ = ["HubFolder"]

CONFIG, TENSORS = "config.json", "model.safetensors"

_USE = """\
## Use

This is a plain checkpoint of timm ({architecture}), which transformers loads too:

```python
from transformers import pipeline

classify = pipeline("image-classification", model="FOLDER")
print(classify("picture.png"))
```

`AutoModelForImageClassification` and `AutoImageProcessor` load it as well, and so does
`timm.create_model("local-dir:FOLDER", pretrained=True)`: a softmax of its two numbers gives the
probabilities. FOLDER is the path of this folder. `hf upload NAME FOLDER` uploads it to the hub, and
NAME (in timm, `hf-hub:NAME`) then takes the place of the path.

- Give it 8-bit pictures without transparency. From others, such as 16-bit PNG files, transformers
  reads other values than the model was trained on, without a message.
- The label that the pipeline names first has the larger probability. This need not be the decision
  of the model. `python predict.py picture.png` prints the probabilities and the decision, and reads
  pictures as the model was trained on; it needs torch, timm, transformers, pillow and numpy.
  `decision` in `config.json` states how the model decides.
"""
_WHY = (
    "this model is not a plain checkpoint of timm, which transformers.pipeline would load: {why}. "
    "So its folder for the hub has a program of its own"
)


class HubFolder:
    """A plain timm checkpoint of a binary head; of another model, a folder with its own loader."""

    name = "hub"

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> tuple[str, ...]:
        """Write the files, as ``ExportTarget.write`` says."""
        try:
            folded = fold_model(classifier, model)
        except NoPlainCheckpointError as error:
            notes = TorchFolder().write(classifier, model, folder)
            return (*notes, _add_reason(folder / README, error))
        _write_checkpoint(folded, folder)
        write_program(folder)
        return ()

    def read(self, folder: Path) -> PictureReader:
        """Return the function of a user of the folder: the pipeline of transformers, or the loader.

        Raises
        ------
        MissingExtraError
            If the folder needs transformers, and it is not installed.
        """
        if not (folder / CONFIG).exists():
            return TorchFolder().read(folder)
        try:
            from transformers import pipeline
        except ImportError as error:
            raise MissingExtraError(
                f"reading an export for the hub as its users do needs transformers, which is not "
                f"installed ({error}). Install it with",
                "  pip install 'bottleneck-features[hub]'",
            ) from None
        with _without_messages():
            classify = pipeline("image-classification", model=str(folder), device="cpu")
        names: Any = classify.model.config.id2label
        classes = [names[place] for place in range(len(names))]

        def predict(picture: Path) -> NDArray[np.float64]:
            if (why := find_other_reading(picture)) is not None:
                raise DecodeError(
                    f"{picture}: {why}. Save such pictures as 8-bit RGB, or export to torch or onnx"
                )
            each = classify(str(picture), top_k=len(classes))
            share = {one["label"]: one["score"] for one in each}
            return np.array([share[name] for name in classes])

        return predict


def _write_checkpoint(folded: FoldedModel, folder: Path) -> None:
    from safetensors.torch import save

    tensors = {name: one.detach().contiguous() for name, one in folded.network.state_dict().items()}
    # What the library writes to a file itself, only its owner may read.
    (folder / TENSORS).write_bytes(save(tensors, metadata={"format": "pt"}))
    (folder / CONFIG).write_text(json.dumps(folded.config, indent=2) + "\n", encoding="utf-8")
    use = _USE.format(architecture=folded.config["architecture"])
    (folder / README).write_text(use, encoding="utf-8")


def _add_reason(page: Path, error: NoPlainCheckpointError) -> str:
    """Add to the page of a folder why it is not a plain checkpoint, and return the reason."""
    why = _WHY.format(why=error)
    use = page.read_text(encoding="utf-8")
    page.write_text(f"{why[0].upper()}{why[1:]}.\n\n{use}", encoding="utf-8")
    return why


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Turn the messages and progress bars of transformers off."""
    from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()
