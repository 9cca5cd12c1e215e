"""Free-response curves, judged by direct counts, closed forms and MONAI's."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

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


@pytest.mark.parametrize("n_folds", [1, 5])
def test_sampled_negatives_give_the_sensitivity_of_all_of_them(n_folds):
    # Of normal scores, the sensitivity at so many of 200 negatives per scan has a formula.
    rng = np.random.default_rng(0)
    at = np.array([0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
    expected = norm.sf(norm.isf(at / 200) - 2.5)
    n_scans, rate, values = 100, 0.05, []
    scans = {str(n): "one patient, since intervals are not needed" for n in range(n_scans)}
    lesions = {f"{n}/{k}": str(n) for n in range(n_scans) for k in range(4)}
    for _ in range(60):
        alarms = np.repeat(np.arange(n_scans), rng.binomial(200, rate, n_scans)).astype(str)
        where = np.r_[np.array([*lesions.values()]), alarms]
        made = free_response(
            rng.normal(size=len(where)) + 2.5 * (np.arange(len(where)) < len(lesions)),
            [*lesions, *[""] * len(alarms)],
            where,
            scans=scans,
            lesions=lesions,
            folds=where.astype(int) % n_folds,
            negative_rate=rate,
            n_draws=2,
        )
        values.append([one.value for one in made.sensitivities])
    # A sampled false positive stands for 20 in the scans of a fold.
    assert made.resolution == pytest.approx(0.2 * n_folds)
    known = at >= made.resolution
    assert np.isnan(values)[:, ~known].all()
    assert np.isnan(made.score.value)
    np.testing.assert_allclose(np.mean(values, axis=0)[known], expected[known], atol=0.03)


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_only_the_highest_scores_decide(rate):
    # Far below, candidates are not counted again in every draw.
    scores, names, where, known = made_candidates(3)
    far = [*names, *[""] * 2_000]
    made, long = (
        free_response(
            np.append(scores, np.linspace(-9, -8, len(each) - len(names))),
            each,
            [*where, *["s0"] * (len(each) - len(names))],
            **known,
            negative_rate=rate,
            at=[1 / (rate * 8), 1.0 / rate],
            n_draws=50,
        )
        for each in (names, far)
    )
    assert [s.high for s in made.sensitivities] == [s.high for s in long.sensitivities]
    assert made.score.low == long.score.low


def test_scans_of_one_patient_may_be_in_two_folds():
    lesions = {name: name for name in "1234"}
    given = [3.0, 1.0, 2.0, 3.0, 1.0, 2.0], ["1", "2", "", "3", "4", ""], list("121344")
    chosen = {"lesions": lesions, "folds": [0, 1, 0, 0, 1, 1], "at": [0.5, 1], "n_draws": 2}
    pairs = free_response(*given, scans={"1": "p", "2": "p", "3": "q", "4": "q"}, **chosen)
    apart = free_response(*given, scans=lesions, **chosen)
    assert pairs.score.value == apart.score.value == 1


def evaluated_as_published(scores, names, scans, lesions, at):
    """Return the sensitivities as LUNA16's evaluation computes them, from a ROC curve.

    Of the candidates of a lesion, only the highest score counts. Lesions without one are added to
    the denominator of the sensitivity.
    """
    best = {}
    for score, name in zip(scores, names, strict=True):
        if name:
            best[name] = max(score, best.get(name, -np.inf))
    alarms = [score for score, name in zip(scores, names, strict=True) if not name]
    labels = np.repeat([1, 0], [len(best), len(alarms)])
    fpr, tpr, _ = roc_curve(labels, [*best.values(), *alarms], drop_intermediate=False)
    return np.interp(at, fpr * len(alarms) / len(scans), tpr * len(best) / len(lesions))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_sensitivities_are_those_of_the_evaluation_of_luna16(seed, ties):
    scores, names, where, known = made_candidates(seed, ties=ties)
    at = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    made = free_response(scores, names, where, **known, at=at, n_draws=2)
    np.testing.assert_allclose(
        [one.value for one in made.sensitivities],
        evaluated_as_published(scores, names, **known, at=at),
        atol=1e-12,
    )


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
    known = {"scans": {"1": "p"}, "lesions": {"a": "1", "b": "1"}, "n_draws": 2, "at": [1, 2]}
    once = free_response([3, 2, 1], ["a", "", "b"], ["1"] * 3, **known)
    twice = free_response([3, 2.5, 2, 1], ["a", "a", "", "b"], ["1"] * 4, **known)
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


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_the_intervals_cover_the_sensitivities_of_the_population(rate):
    at = np.array([0.25, 0.5, 1.0, 2.0])
    large = made_candidates(99, n_scans=6_000)
    truth = [s.value for s in free_response(*large[:3], **large[3], at=at, n_draws=2).sensitivities]
    covered = []
    for seed in range(150):
        scores, names, where, known = made_candidates(seed, n_scans=100, rate=rate)
        made = free_response(scores, names, where, **known, negative_rate=rate, at=at, n_draws=400)
        each = [*made.sensitivities, made.score]
        expected = [*truth, np.mean(truth)]
        covered.append([s.low <= t <= s.high for s, t in zip(each, expected, strict=True)])
    assert (np.mean(covered, axis=0) >= 0.9).all()


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
