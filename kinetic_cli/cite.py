"""`kinetic cite CASE`: BibTeX of what a case uses."""

from apnn.options import encoders, networks
from solvers.problem.registry import schemes

from . import screen
from .bibliography import ENTRIES, bibtex
from .cases import CaseFile, Variant, load_case


def cite(case_file: CaseFile, variant: Variant = None) -> None:
    """Print BibTeX of the works that CASE, its equation, its reference schemes and its network rest on.

    Example: kinetic cite cases/sod.toml > references.bib
    """
    case = load_case(case_file, variant)
    named = [table["scheme"] for table in (case.reference, case.verify.against) if "scheme" in table]
    of_schemes = [key for name in named for key in schemes.load(name).references]
    learnt = [(registry, case.train.get(key, "")) for registry, key in ((networks, "network"), (encoders, "encoder"))]
    of_networks = [key for registry, name in learnt if name in registry for key in registry.load(name).references]
    for key in dict.fromkeys([*case.equation.references, *case.references, *of_schemes, *of_networks]):
        if key in ENTRIES:
            screen.answer(bibtex(key))
        else:
            screen.say(f"{key}: not in the bibliography of this program")
