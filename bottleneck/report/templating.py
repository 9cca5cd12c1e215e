"""The environment of the templates: what they can call, and how they format values."""

from __future__ import annotations

import functools
import math

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from bottleneck.checks.check_registry import CHECKS
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.errors import one_line
from bottleneck.evaluation.metrics.metric_values import Metric, as_metric
from bottleneck.report import checklist, redaction, summary
from bottleneck.report.figures import flow_diagram, forest_plots
from bottleneck.report.figures.output.page_figures import PAGE_FIGURES
from bottleneck.report.figures.plots.confusion_plot import row_shares
from bottleneck.report.sections import Section
from bottleneck.report.wording import glossary, labels, line_breaks, number_format, verdicts
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.text.html_templates import html_environment
from bottleneck.text.plain_text import visible

__all__ = ["environment"]


@functools.cache
def environment() -> Environment:
    """Return the environment of all templates: what they show is escaped, and hides nothing."""
    made = html_environment("bottleneck.report")
    made.filters |= {
        "amount": number_format.amount,
        "breakable": line_breaks.breakable,
        "bounds": number_format.bounds,
        "count": lambda n: f"{n:,}",
        "label": labels.metric_label,
        "metric": _metric,
        "p": number_format.p_value,
        "prose": number_format.prose,
        "signed": number_format.signed,
        "tenth": number_format.tenth,
        "three": number_format.three,
        "time": number_format.duration,
    }
    made.globals |= PAGE_FIGURES | {
        "accuracy_note": labels.accuracy_note,
        "targets": summary.targets,
        "column_height": line_breaks.column_height,
        "longest_word": line_breaks.longest_word,
        "caveats": labels.caveats,
        "curve_points": summary.curve_points,
        "confusions": summary.frequent_confusions,
        "MOST_CLASSES": summary.MOST_CLASSES,
        "frequent_choices": summary.frequent_choices,
        "CHECKS": CHECKS,
        "count_verdicts": verdicts.count_verdicts,
        "describe_ignored": describe_ignored,
        "doubt_reference": verdicts.doubt_reference,
        "differences": forest_plots.difference_tables,
        "draw": _draw_section,
        "drops": forest_plots.drop_tables,
        "explain_methods": glossary.explain_methods,
        "explain_metrics": glossary.explain_metrics,
        "explain_terms": glossary.explain_terms,
        "explain_verdicts": verdicts.explain_verdicts,
        "flatten": redaction.flatten,
        "flow": flow_diagram.flow,
        "guidelines": checklist.GUIDELINES,
        "intervals": summary.interval_methods,
        "margins": forest_plots.margin_plot,
        "metric_names": labels.metric_names,
        "metric_tables": labels.metric_tables,
        "n_samples": labels.n_samples,
        "of_images": labels.of_images,
        "quotes": checklist.quotes,
        "recipes": redaction.feature_recipes,
        "shares": row_shares,
    }
    return made


def _metric(interval: Interval) -> Metric:
    """Return an interval in the form of the tables; without bounds where there are none."""
    return as_metric(interval.value, None if math.isnan(interval.low) else interval)


@pass_context
def _draw_section(context: Context, section: Section) -> Markup:
    """Return the content of a section, or that it could not be drawn."""
    incomplete: list[str] | None = context["incomplete"]
    if (announce := context["announce"]) is not None:
        sections = context["sections"]
        announce(sections.index(section), len(sections), f"drawing {section.title}")
    try:
        template = environment().get_template(f"{section.template}.html.jinja")
        return Markup(template.render({**context.get_all(), "section": section}))
    # Provenance and records of trainings come from files, and can make anything fail.
    except Exception as error:
        if incomplete is None:
            raise
        reason = f"{type(error).__name__}: {one_line(error)}"
        incomplete.append(
            f"the section '{section.title}' of report.html could not be drawn ({reason})"
        )
        text = visible(f"This section could not be drawn ({reason}).")
        return Markup('<p class="note">{}</p>').format(text)
