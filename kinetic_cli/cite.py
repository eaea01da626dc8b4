"""`kinetic cite CASE`: BibTeX of what a case uses."""

from . import screen
from .bibliography import ENTRIES, bibtex
from .cases import CaseFile, Variant, load_case


def cite(case_file: CaseFile, variant: Variant = None) -> None:
    """Print BibTeX of the works that CASE and its equation rest on.

    Example: kinetic cite cases/sod.toml > references.bib
    """
    case = load_case(case_file, variant)
    for key in dict.fromkeys([*case.equation.references, *case.references]):
        if key in ENTRIES:
            screen.answer(bibtex(key))
        else:
            screen.say(f"{key}: not in the bibliography of this program")
