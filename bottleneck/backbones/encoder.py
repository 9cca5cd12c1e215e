"""An encoder: the architecture of a frozen network, and the weights published for it."""

from __future__ import annotations

import dataclasses

__all__ = ["Encoder", "PublishedWeights"]

_RADIMAGENET_HUB = "Lab-Rasool/RadImageNet"
_RADIMAGENET_HOME = "https://github.com/BMEII-AI/RadImageNet"
_RADIMAGENET_LICENCE = "mit (BMEII-AI/RadImageNet)"
# The revision and the sha256 of files on the hub. Publishers do not state them: each is here
# because at least two projects that do not depend on each other pin the same value. Other files
# have the revision and the sha256 that the hub states when they are downloaded.
_PINS: dict[str, tuple[str | None, str]] = {
    "Lab-Rasool/RadImageNet/ResNet50.pt": (
        None,
        "08629f7e7bd3e29b8ee9522ca3f65ce4d010a7ddf74f0ea3c7e3f3d0bbab0734",
    ),
    "timm/densenet121.tv_in1k/model.safetensors": (
        None,
        "c894c6d9caa317a8ca1942986dee7a16a86c77734a4d691d2abe05389cfef358",
    ),
    "timm/resnet18.tv_in1k/model.safetensors": (
        "bbd144b3e5565108aad885f145491d11bc6ce807",
        "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81",
    ),
    "timm/resnet50.tv_in1k/model.safetensors": (
        "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa",
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
    ),
    "timm/swin_tiny_patch4_window7_224.ms_in1k/model.safetensors": (
        "4cc3a7275b50b53a7bec45f32c236ebe64227cff",
        "fb01861f793143135fa0d6cd97b1631e4b33eaa3ee162bbea9e62de1c76ebac1",
    ),
    "timm/swinv2_tiny_window8_256.ms_in1k/model.safetensors": (
        "650d02aabf05e8adbd060a739ab39e39f53da639",
        "c47f52b4556ff4436aa9502f5efbc93aac77fdab42d9d70dd845931757ff5d65",
    ),
    "timm/vgg16.tv_in1k/model.safetensors": (
        "b8d8aa2dd860af9233c8c67385a8097fd6c35d3f",
        "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
    ),
}


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """One set of weights that was published for an encoder.

    Attributes
    ----------
    weights : str
        The name for ``--weights``: "imagenet", "radimagenet", "radimagenet-keras", "ssl".
    file : str
        Name of the weight file.
    repository : str or None
        The hub repository that has it; None if it must be downloaded by hand from ``home``.
    home : str
        Web page of the publisher.
    preprocessing : str
        Name of the preprocessing that the weights expect.
    licence : str or None
        The licence that the publisher states.
    revision : str or None
        The commit of the repository that is downloaded; None for the newest, which the record and
        the provenance then name.
    sha256 : str or None
        The sha256 of the file, if it is known: another file is not used.
    package : str or None
        The package of the package index that contains the file, in place of a repository.
    trained_on : tuple of str
        Data sets of medical images that the weights were trained on, as far as the publisher states
        them.
    """

    weights: str
    file: str
    repository: str | None
    home: str
    preprocessing: str
    licence: str | None = None
    revision: str | None = None
    sha256: str | None = None
    package: str | None = None
    trained_on: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The hub repository, the package or the web page that has the file."""
        return self.repository or self.package or self.home


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A network architecture with a short name.

    Attributes
    ----------
    name : str
        The name for ``--backbone``.
    timm : str
        Model and tag in timm. The tag selects the weights that ``--weights imagenet`` means.
    torchvision : str or None
        Name of the same architecture in torchvision; its weight files can be loaded.
    keras : str or None
        Name in ``keras.applications``; its .h5 files can be loaded.
    transformers : str or None
        A hub repository of the same architecture for transformers; its files can be loaded.
    radimagenet : str or None
        Name in the file names of RadImageNet.
    radimagenet_torch : bool
        Whether RadImageNet published a .pt file in addition to the .h5 file.
    efficientnet_pytorch : str or None
        Name in the packages ``efficientnet_pytorch`` and ``efficientnet_lite_pytorch``; their files
        can be loaded.
    packaged : PublishedWeights or None
        The weights "imagenet", if a package contains them.
    """

    name: str
    timm: str
    torchvision: str | None = None
    keras: str | None = None
    transformers: str | None = None
    radimagenet: str | None = None
    radimagenet_torch: bool = True
    efficientnet_pytorch: str | None = None
    packaged: PublishedWeights | None = None

    @property
    def architecture(self) -> str:
        """Name of the timm model without its tag."""
        return self.timm.partition(".")[0]

    @property
    def n_channels(self) -> int:
        """Channels of the input."""
        return 3

    @property
    def variant(self) -> str:
        """What distinguishes its network from others with the same tensors; "" for nothing."""
        return ""

    @property
    def layouts(self) -> tuple[str, ...]:
        """The names of the layouts in which its weights exist."""
        sources = {
            "timm": True,
            "torchvision": self.torchvision,
            "radimagenet": self.radimagenet and self.radimagenet_torch,
            "keras": self.keras,
            "transformers": self.transformers,
            "efficientnet_pytorch": self.efficientnet_pytorch,
        }
        return tuple(name for name, exists in sources.items() if exists)

    @property
    def published(self) -> tuple[PublishedWeights, ...]:
        """The weights that were published for it."""
        return (*self._imagenet(), *self._radimagenet())

    def find_published(self, weights: str) -> PublishedWeights | None:
        """Return the published weights with a name; None if there are none.

        "radimagenet" means the .pt file, or the .h5 file if there is no other.
        """
        named = {published.weights: published for published in self.published}
        fallback = named.get("radimagenet-keras") if weights == "radimagenet" else None
        return named.get(weights, fallback)

    def _imagenet(self) -> tuple[PublishedWeights, ...]:
        if self.packaged:
            return (self.packaged,)
        if "." not in self.timm:
            return ()
        repository = f"timm/{self.timm}"
        home = f"https://huggingface.co/{repository}"
        file = "model.safetensors"
        revision, sha256 = _PINS.get(f"{repository}/{file}", (None, None))
        return (
            PublishedWeights(
                "imagenet", file, repository, home, "timm", revision=revision, sha256=sha256
            ),
        )

    def _radimagenet(self) -> tuple[PublishedWeights, ...]:
        if self.radimagenet is None:
            return ()
        keras = PublishedWeights(
            "radimagenet-keras",
            f"RadImageNet-{self.radimagenet}_notop.h5",
            None,
            _RADIMAGENET_HOME,
            "radimagenet-keras",
            _RADIMAGENET_LICENCE,
        )
        if not self.radimagenet_torch:
            return (keras,)
        file = f"{self.radimagenet}.pt"
        torch = PublishedWeights(
            "radimagenet",
            file,
            _RADIMAGENET_HUB,
            _RADIMAGENET_HOME,
            "radimagenet",
            _RADIMAGENET_LICENCE,
            *_PINS.get(f"{_RADIMAGENET_HUB}/{file}", (None, None)),
        )
        return torch, keras
