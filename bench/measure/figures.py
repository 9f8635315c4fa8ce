"""Figures and what is said of them: medians, spreads, budgets."""
from dataclasses import dataclass, field


@dataclass
class Section:
    """One measurement's part of the results."""
    title: str
    columns: list
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    budgets: list = field(default_factory=list)

    def row(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def budget(self, what, bound, found, met):
        """`met` is None where the peer that the budget names could not be measured."""
        self.budgets.append((what, bound, found, met))


def quantile(values, share):
    ordered = sorted(values)
    return ordered[round((len(ordered) - 1) * share)] if ordered else float("nan")


def median(values):
    return quantile(values, 0.5)


def number(value):
    """Three significant digits, without an exponent."""
    if value != value:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values, unit=""):
    """The median, and in brackets the lowest and highest."""
    if not values:
        return "-"
    tail = f" {unit}" if unit else ""
    if len(values) == 1:
        return number(values[0]) + tail
    return f"{number(median(values))}{tail} ({number(min(values))}-{number(max(values))})"


def times(ours, peer):
    """`ours` in multiples of `peer`."""
    return ours / peer if peer else float("nan")
