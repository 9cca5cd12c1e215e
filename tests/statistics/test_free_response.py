"""Free-response curves, judged by direct counts, closed forms and MONAI's."""

import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.statistics import free_response


def made_candidates(seed, n_scans=40, rate=1.0, ties=False):
    """Return scored candidates of scans with up to three lesions, some without a candidate."""
    rng = np.random.default_rng(seed)
    scans = {f"s{n}": f"p{n // 2}" for n in range(n_scans)}
    lesions = {f"{s}/{k}": s for s in scans for k in range(rng.integers(0, 4))}
    scores, names, where = [], [], []
    for one, scan in lesions.items():
        for _ in range(rng.integers(0, 3)):
            scores.append(rng.normal(1.5))
            names.append(one)
            where.append(scan)
    for scan in scans:
        for _ in range(rng.integers(0, 20)):
            if rng.random() < rate:
                scores.append(rng.normal())
                names.append("")
                where.append(scan)
    scores = np.round(scores, 1) if ties else np.array(scores)
    return scores, names, where, {"scans": scans, "lesions": lesions}


def counted(scores, names, threshold, scans, lesions):
    """Return false positives per scan and sensitivity at a threshold, counted directly."""
    above = [n for s, n in zip(scores, names, strict=True) if s >= threshold]
    return above.count("") / len(scans), len(set(above) - {""}) / len(lesions)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_sensitivity_is_that_of_a_direct_count(seed, ties):
    scores, names, where, known = made_candidates(seed, ties=ties)
    points = {}
    for threshold in np.unique(scores):
        alarms, found = counted(scores, names, threshold, **known)
        points[alarms] = max(found, points.get(alarms, 0))
    at = [alarms for alarms in points if alarms > 0]
    made = free_response(scores, names, where, **known, at=at, n_draws=2)
    expected = [points[alarms] for alarms in sorted(at)]
    np.testing.assert_allclose([s.value for s in made.sensitivities], expected, atol=1e-12)


@pytest.mark.slow  # The import of MONAI takes seconds.
@pytest.mark.parametrize("seed", range(4))
def test_the_score_is_that_of_monai(seed):
    from monai.metrics import compute_froc_curve_data, compute_froc_score

    scores, names, where, known = made_candidates(seed)
    best = {
        n: max(s for s, m in zip(scores, names, strict=True) if m == n) for n in {*names} - {""}
    }
    alarms = np.array([s for s, n in zip(scores, names, strict=True) if not n])
    hits = np.array(list(best.values()))
    curve = compute_froc_curve_data(alarms, hits, len(known["lesions"]), len(known["scans"]))
    at = (0.25, 0.5, 1.0, 2.0, 4.0)
    made = free_response(scores, names, where, **known, at=at, n_draws=2)
    assert made.score.value == pytest.approx(compute_froc_score(*curve, at), abs=1e-12)


def test_sampled_negatives_stand_for_all_of_them():
    scores, names, where, known = made_candidates(1, n_scans=400)
    rng = np.random.default_rng(0)
    kept = [n for n, name in enumerate(names) if name or rng.random() < 0.25]
    # At smaller numbers of false positives, chance decides.
    known["at"] = (0.5, 1.0, 2.0, 4.0)
    whole = free_response(scores, names, where, **known, n_draws=2)
    part = free_response(
        scores[kept],
        [names[n] for n in kept],
        [where[n] for n in kept],
        **known,
        negative_rate=0.25,
        n_draws=2,
    )
    np.testing.assert_allclose(
        [s.value for s in part.sensitivities], [s.value for s in whole.sensitivities], atol=0.04
    )
    unscaled = free_response(
        scores[kept], [names[n] for n in kept], [where[n] for n in kept], **known, n_draws=2
    )
    assert unscaled.score.value > whole.score.value + 0.04


def test_lesions_and_scans_without_candidates_count():
    scans = {"1": "p", "2": "q", "3": "r"}
    made = free_response(
        [0.9, 0.8], ["a", ""], ["1", "1"], scans=scans, lesions={"a": "1", "b": "2"}, at=[1 / 3]
    )
    assert made.sensitivities[0].value == 0.5
    assert made.n_without_candidate == 1
    # One false positive in three scans.
    assert made.curve[:, 0].max() == pytest.approx(1 / 3)


def test_a_second_candidate_of_a_lesion_counts_neither_for_nor_against():
    known = {"scans": {"1": "p"}, "lesions": {"a": "1", "b": "1"}}
    once = free_response([3, 2, 1], ["a", "", "b"], ["1"] * 3, **known, at=[0.5, 1])
    twice = free_response([3, 2.5, 2, 1], ["a", "a", "", "b"], ["1"] * 4, **known, at=[0.5, 1])
    assert [s.value for s in once.sensitivities] == [s.value for s in twice.sensitivities]


def test_the_curves_of_folds_are_averaged():
    scores, names, where, known = made_candidates(2)
    fold = np.array([int(scan[1:]) // 2 % 2 for scan in where])
    # In one fold, scores are on another scale.
    moved = np.where(fold == 1, scores * 10 - 100, scores)
    made = free_response(moved, names, where, **known, folds=fold, n_draws=2)
    same = free_response(scores, names, where, **known, folds=fold, n_draws=2)
    assert made.score.value == same.score.value
    pooled = free_response(moved, names, where, **known, n_draws=2)
    assert pooled.score.value < made.score.value


def test_the_interval_covers_the_score_of_the_population():
    truth = free_response(
        *made_candidates(99, n_scans=4000)[:3], **made_candidates(99, n_scans=4000)[3], n_draws=2
    ).score.value
    covered = []
    for seed in range(20):
        scores, names, where, known = made_candidates(seed, n_scans=60)
        made = free_response(scores, names, where, **known, n_draws=300)
        covered.append(made.score.low <= truth <= made.score.high)
    assert sum(covered) >= 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lesion": ["x", ""]}, "belongs to the lesion 'x'"),
        ({"scan": ["1", "9"]}, "the scan '9' is not in scans"),
        ({"negative_rate": 0}, "above 0 and at most 1"),
        ({"lesions": {}}, "at least one annotated lesion"),
        ({"score": [1.0, np.inf]}, "finite numbers"),
        ({"at": [0.0]}, "above 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    given = {
        "score": [0.9, 0.8],
        "lesion": ["a", ""],
        "scan": ["1", "1"],
        "scans": {"1": "p"},
        "lesions": {"a": "1"},
    }
    with pytest.raises(UsageError, match=message):
        free_response(**{**given, **change})
