"""Phantom images: names, determinism, and the physics of their speckle."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import signal, stats
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.data.phantom.bmode import PIXEL, Probe, compress_envelope, simulate_envelope
from bottleneck.data.phantom.generator import PhantomSource, phantom_dataset
from bottleneck.errors import DataError, UsageError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
WEIGHTS = SHARED / "weights" / "resnet18-imagenet.pth"
RAYLEIGH_RATIO = np.sqrt(np.pi / (4 - np.pi))  # mean over standard deviation, 1.91
PROBE = Probe(carrier=1.54 / 0.25, cycles=3, f_number=4, focus=4)  # wavelength 0.25 mm


# The data set


def test_dataset_names_patients_frames_and_labels():
    dataset = phantom_dataset()
    assert dataset.name == "phantom"
    assert dataset.n_groups == 80
    assert dataset.classes == ("benign", "malignant")
    assert dataset.samples[0].id == "P001/1"
    assert dataset.samples[0].source == "P001/1.pgm"

    frames = {}
    for sample in dataset.samples:
        assert sample.id.startswith(f"{sample.group}/")
        frames.setdefault(sample.group, []).append(sample.label)
    assert {len(labels) for labels in frames.values()} == {2, 3, 4, 5}
    assert all(len(set(labels)) == 1 for labels in frames.values())
    malignant = [labels[0] == "malignant" for labels in frames.values()]
    assert np.mean(malignant) == pytest.approx(0.45, abs=0.02)


@pytest.mark.parametrize("n_patients", [2, 3, 5, 12])
def test_a_few_patients_hold_both_classes(n_patients):
    dataset = phantom_dataset().limited(n_patients)
    assert dataset.classes == ("benign", "malignant")
    assert dataset.samples == phantom_dataset(n_patients=n_patients).samples


def test_images_are_grey_and_pillow_reads_them():
    dataset = phantom_dataset(n_patients=2)
    image = Image.open(io.BytesIO(dataset.read(dataset.samples[0])))
    assert image.format == "PPM"
    assert image.mode == "L"
    assert image.size == (320, 256)
    assert np.ptp(np.asarray(image)) > 150


def test_images_depend_on_nothing_but_seed_patient_and_frame():
    few, many = phantom_dataset(n_patients=4), phantom_dataset(n_patients=30)
    forward = [few.read(s) for s in few.samples]
    assert len(set(forward)) == len(forward)
    assert [many.read(s) for s in reversed(many.samples[: len(few)])] == forward[::-1]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(few.read, few.samples * 2)) == forward * 2


def test_another_seed_is_another_data_set():
    dataset, other = phantom_dataset(n_patients=2), phantom_dataset(n_patients=2, seed=1)
    assert dataset.read(dataset.samples[0]) != other.read(other.samples[0])
    assert dataset.name != other.name


@pytest.mark.parametrize("options", [{"n_patients": 1}, {"n_patients": 0}, {"seed": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        phantom_dataset(**options)


@pytest.mark.parametrize("source", ["P001/9.pgm", "P001/0.pgm", "P000/1.pgm", "P001/1.png", ""])
def test_images_that_do_not_exist_are_refused(source):
    with pytest.raises(DataError, match="no image"):
        PhantomSource(0).read(source)


# The physics


def autocovariance(intensity, lag, axis):
    """Normalised, of neighbours that are lag samples apart along an axis."""
    deviation = np.moveaxis(intensity - intensity.mean(), axis, 0)
    return np.mean(deviation[lag:] * deviation[:-lag]) / np.mean(deviation**2)


@pytest.mark.parametrize("carrier", [5, 8, 12])
def test_speckle_of_homogeneous_tissue_is_rayleigh_distributed(carrier):
    probe = Probe(carrier=carrier, cycles=2.5, f_number=3, focus=16)
    tissue = np.zeros((1024, 1024), dtype=np.float32)
    envelope = simulate_envelope(tissue, probe, np.random.default_rng(carrier))
    assert envelope.mean() / envelope.std() == pytest.approx(RAYLEIGH_RATIO, abs=0.03)
    apart = envelope[8:-8:24, ::48].ravel()  # so far that they are independent
    assert stats.kstest(apart, stats.rayleigh(scale=np.sqrt(0.5)).cdf).pvalue > 0.01


def test_speckle_is_as_large_as_the_point_spread_function():
    # Wagner et al. 1983: a Gaussian of this sigma makes the covariance exp(-lag² / (2 sigma²)).
    envelope = simulate_envelope(
        np.zeros((64, 8192), dtype=np.float32), PROBE, np.random.default_rng(0)
    )
    lateral_sigma = 0.25 * 4 / np.sqrt(8 * np.log(2))
    axial_sigma = 3 * 0.25 / 2 / np.sqrt(8 * np.log(2))
    for axis, sigma in ((0, axial_sigma), (1, lateral_sigma)):
        for lag in (1, 2, 3):
            expected = np.exp(-((lag * PIXEL) ** 2) / (2 * sigma**2))
            assert autocovariance(envelope**2, lag, axis) == pytest.approx(expected, abs=0.04)


def test_baseband_agrees_with_the_radio_frequency_simulation():
    rng = np.random.default_rng(0)
    step, lines, samples = PIXEL / 16, 400, 4096
    n = lines * samples  # 20 scatterers in a pulse's sigma
    scatterers = np.zeros((lines, samples))
    np.add.at(
        scatterers, (rng.integers(lines, size=n), rng.integers(samples, size=n)), rng.normal(size=n)
    )
    z = step * np.arange(-128, 129)
    pulse = np.exp(-(z**2) / (2 * PROBE.axial_sigma**2)) * np.cos(4 * np.pi * z / PROBE.wavelength)
    echoes = signal.fftconvolve(scatterers, pulse[None], mode="valid", axes=1)
    reference = np.abs(signal.hilbert(echoes, axis=1))[:, 128:-128]
    assert reference.mean() / reference.std() == pytest.approx(RAYLEIGH_RATIO, abs=0.03)

    tissue = np.zeros((1024, 256), dtype=np.float32)
    envelope = simulate_envelope(tissue, PROBE, rng)
    for lag in (1, 2, 3):
        expected = autocovariance(reference**2, 16 * lag, 1)
        assert autocovariance(envelope**2, lag, 0) == pytest.approx(expected, abs=0.04)


def test_speckle_widens_away_from_the_focus():
    envelope = simulate_envelope(
        np.zeros((512, 2048), dtype=np.float32), PROBE, np.random.default_rng(0)
    )
    near, far = envelope[16:48] ** 2, envelope[-32:] ** 2
    assert autocovariance(far, 4, 1) > autocovariance(near, 4, 1) + 0.2


def test_contrast_in_decibels_is_a_ratio_of_powers():
    tissue = np.zeros((512, 512), dtype=np.float32)
    tissue[256:] = -6
    envelope = simulate_envelope(tissue, PROBE, np.random.default_rng(0))
    above, below = (envelope[rows] ** 2 for rows in (slice(0, 248), slice(264, None)))
    assert above.mean() == pytest.approx(1, abs=0.03)
    assert 10 * np.log10(below.mean() / above.mean()) == pytest.approx(-6, abs=0.3)


def test_compression_maps_the_dynamic_range_to_black_and_white():
    envelope = np.float32([10, 1, 0.1, 0.01, 0])  # 20, 0, -20, -40 dB and silence
    grey = compress_envelope(envelope, gain=-10, dynamic_range=40)
    assert grey.tolist() == [255, 191, 63, 0, 0]


# The task


def test_findings_tell_the_label_and_everything_else_does_not():
    patients = [PhantomSource(0).patient(number) for number in range(1, 601)]
    labels = [
        s.label == "malignant" for s in phantom_dataset(n_patients=600).samples if s.id[-2:] == "/1"
    ]
    for finding in (
        lambda n: -n.contrast,
        lambda n: n.half_axes[1] / n.half_axes[0],
        lambda n: n.outline.std(),
        lambda n: n.blur,
        lambda n: len(n.foci),
        lambda n: n.halo,
        lambda n: n.attenuation,
    ):
        assert 0.6 < roc_auc_score(labels, [finding(p.nodule) for p in patients]) < 0.95
    for trait in (
        lambda p: p.n_frames,
        lambda p: p.probe.carrier,
        lambda p: p.gain,
        lambda p: p.dynamic_range,
        lambda p: p.interfaces[3],
        lambda p: p.heterogeneity,
        lambda p: p.nodule.centre[1],
    ):
        assert 0.43 < roc_auc_score(labels, [trait(p) for p in patients]) < 0.57


@pytest.fixture(scope="module")
def phantom():
    dataset = phantom_dataset()
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(dataset.read(s)))) for s in dataset.samples]
    )
    labels = np.array([s.label == "malignant" for s in dataset.samples])
    return images, labels, np.array([s.group for s in dataset.samples])


def tile_statistics(images):
    """Mean and standard deviation of the grey levels in each of 8 × 10 tiles."""
    tiles = images.reshape(len(images), 8, 32, 10, 32).astype(np.float32)
    return np.hstack([f(tiles, axis=(2, 4)).reshape(len(images), -1) for f in (np.mean, np.std)])


def auroc(features, labels, groups, splitter):
    """Mean over the folds of an SVM on standardised features."""
    svm = make_pipeline(StandardScaler(), SVC(C=10, class_weight="balanced"))
    return np.mean(
        [
            roc_auc_score(
                labels[test],
                svm.fit(features[train], labels[train]).decision_function(features[test]),
            )
            for train, test in splitter.split(features, labels, groups)
        ]
    )


def auroc_by_image_and_by_patient(features, labels, groups):
    by_image = [
        auroc(features, labels, None, StratifiedKFold(5, shuffle=True, random_state=seed))
        for seed in range(3)
    ]
    by_patient = [
        auroc(features, labels, groups, StratifiedGroupKFold(5, shuffle=True, random_state=seed))
        for seed in range(3)
    ]
    return np.mean(by_image), np.mean(by_patient)


def test_brightness_alone_does_not_tell_the_label(phantom):
    images, labels, _ = phantom
    area = roc_auc_score(labels, [np.mean(image) for image in images])
    assert max(area, 1 - area) < 0.7


def test_frames_of_a_patient_look_alike(phantom):
    images, _, groups = phantom
    layout = tile_statistics(images)
    distance = cdist(layout, layout)
    np.fill_diagonal(distance, np.inf)
    assert np.mean(groups[distance.argmin(axis=1)] == groups) > 0.9
    assert distance.min() > 10  # alike, but no copies


def test_splitting_by_image_leaks(phantom):
    images, labels, groups = phantom
    by_image, by_patient = auroc_by_image_and_by_patient(tile_statistics(images), labels, groups)
    assert by_image - by_patient >= 0.08
    assert by_patient > 0.65


def pooled_features(images, forward_features):
    import torch

    grey = np.stack(
        [
            np.asarray(Image.fromarray(i).resize((224, 224), Image.Resampling.BILINEAR))
            for i in images
        ]
    )
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    batch = torch.from_numpy((grey[..., None] / np.float32(255) - mean) / std).movedim(-1, 1)
    with torch.inference_mode():
        return torch.cat([forward_features(b).mean((2, 3)) for b in batch.split(16)]).numpy()


@pytest.mark.slow
def test_splitting_by_image_leaks_for_a_random_network(phantom):
    import timm
    import torch

    images, labels, groups = phantom
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("resnet18", pretrained=False).eval()
    features = pooled_features(images, network.forward_features)
    by_image, by_patient = auroc_by_image_and_by_patient(features, labels, groups)
    assert by_image - by_patient >= 0.08
    assert by_patient > 0.53


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not WEIGHTS.exists(), reason="the shared folder with ResNet-18 is absent")
def test_imagenet_features_learn_the_task_by_patient(phantom):
    import torch
    from torchvision.models import resnet18

    network = resnet18().eval()
    state = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    forward = torch.nn.Sequential(*list(network.children())[:-2])
    by_image, by_patient = auroc_by_image_and_by_patient(
        pooled_features(phantom[0], forward), *phantom[1:]
    )
    assert by_patient > 0.68
    assert by_image - by_patient >= 0.05
