"""What the bench prints: tables of figures, and each target with what became of it."""

import statistics
import sys

WIDTH = 92


class Report:
    """Collects the targets; prints everything as it comes."""

    def __init__(self):
        self.targets = []
        self.missing = []

    @staticmethod
    def line(text=""):
        print(text, flush=True)

    def title(self, text):
        self.line()
        self.line(text)
        self.line("-" * min(len(text), WIDTH))

    def table(self, head, rows, left=1):
        """Rows of words, the first columns to the left, the others to the right."""
        lines = [head, *rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        for line in lines:
            words = [word.ljust(width) if i < left else word.rjust(width)
                     for i, (word, width) in enumerate(zip(line, widths))]
            self.line("  " + "  ".join(words).rstrip())

    def at_most(self, what, figure, bound, unit="", form="{:,.2f}"):
        self._target(what, figure, figure <= bound, "at most", bound, unit, form)

    def at_least(self, what, figure, bound, unit="", form="{:,.2f}", note=""):
        self._target(what, figure, figure >= bound, "at least", bound, unit, form, note)

    def exactly(self, what, good, figure, target):
        """A target that holds or not, in words."""
        self.targets.append(("ok" if good else "MISSED", what, target, figure))

    def _target(self, what, figure, good, side, bound, unit, form, note=""):
        shown = f"{bound:g}" if bound < 1000 else f"{bound:,.0f}"
        self.targets.append(("ok" if good else "MISSED", what,
                             f"{side} {shown} {unit}".rstrip(),
                             f"{form.format(figure)} {note}".rstrip()))

    def not_measured(self, what, why):
        """Something could not be measured: the bench's only failure."""
        self.missing.append(what)
        text = str(why).strip() or type(why).__name__
        self.line(f"  NOT MEASURED: {what}: {text}")

    def finish(self):
        """All targets in one table; 0, or 1 where something could not be measured."""
        self.title("Targets")
        self.table(("", "", "target", "figure"), self.targets, left=4)
        for what in self.missing:
            print(f"bench: not measured: {what}", file=sys.stderr)
        return 1 if self.missing else 0


def median(values):
    return statistics.median(values)


def fields(text):
    """The last line's name=value words as whole numbers."""
    words = (word.split("=") for word in text.strip().splitlines()[-1].split())
    return {name: int(value) for name, value in words}
