"""The works that cases and equations cite, as BibTeX (titles and identifiers are facts; keys are ours)."""

ENTRIES = {
    "bhatnagar1954model": (
        "article",
        "Bhatnagar, P. L. and Gross, E. P. and Krook, M.",
        "A model for collision processes in gases. I. Small amplitude processes in charged and neutral "
        "one-component systems",
        1954,
        "10.1103/PhysRev.94.511",
    ),
    "chu1965kinetic": (
        "article",
        "Chu, C. K.",
        "Kinetic-theoretic description of the formation of a shock wave",
        1965,
        "10.1063/1.1761077",
    ),
    "sod1978survey": (
        "article",
        "Sod, Gary A.",
        "A survey of several finite difference methods for systems of nonlinear hyperbolic conservation laws",
        1978,
        "10.1016/0021-9991(78)90023-2",
    ),
    "lewis1993computational": (
        "book",
        "Lewis, E. E. and Miller, W. F.",
        "Computational Methods of Neutron Transport",
        1993,
        "ISBN 0-89448-452-4",
    ),
    "jin2000uniformly": (
        "article",
        "Jin, Shi and Pareschi, Lorenzo and Toscani, Giuseppe",
        "Uniformly accurate diffusive relaxation schemes for multiscale transport equations",
        2000,
        "10.1137/S0036142998347978",
    ),
    "jin2000discretization": (
        "article",
        "Jin, Shi and Pareschi, Lorenzo",
        "Discretization of the multiscale semiconductor Boltzmann equation by diffusive relaxation schemes",
        2000,
        "10.1006/jcph.2000.6506",
    ),
    "markowich1990semiconductor": (
        "book",
        "Markowich, Peter A. and Ringhofer, Christian A. and Schmeiser, Christian",
        "Semiconductor Equations",
        1990,
        "10.1007/978-3-7091-6961-2",
    ),
    "jin2021asymptotic": (
        "misc",
        "Jin, Shi and Ma, Zheng and Wu, Keke",
        "Asymptotic-preserving neural networks for multiscale time-dependent linear transport equations",
        2021,
        "arXiv:2111.02541",
    ),
    "jin2023asymptotic": (
        "misc",
        "Jin, Shi and Ma, Zheng and Wu, Keke",
        "Asymptotic-preserving neural networks for multiscale kinetic equations",
        2023,
        "arXiv:2306.15381",
    ),
    "li2024solving": (
        "misc",
        "Li, Zhengyi and Wang, Yanli and Liu, Hongsheng and Wang, Zidong and Dong, Bin",
        "Solving Boltzmann equation with neural sparse representation",
        2023,
        "arXiv:2302.09233",
    ),
    "holway1966new": (
        "article",
        "Holway, Lowell H.",
        "New statistical models for kinetic theory: methods of construction",
        1966,
        "10.1063/1.1761920",
    ),
    "andries2000gaussian": (
        "article",
        "Andries, Pierre and Le Tallec, Patrick and Perlat, Jean-Philippe and Perthame, Benoit",
        "The Gaussian-BGK model of Boltzmann equation with small Prandtl number",
        2000,
        "10.1016/S0997-7546(00)01103-1",
    ),
    "filbet2011asymptotic": (
        "article",
        "Filbet, Francis and Jin, Shi",
        "An asymptotic preserving scheme for the ES-BGK model of the Boltzmann equation",
        2011,
        "10.1007/s10915-010-9394-x",
    ),
    "ascher1997implicit": (
        "article",
        "Ascher, Uri M. and Ruuth, Steven J. and Spiteri, Raymond J.",
        "Implicit-explicit Runge-Kutta methods for time-dependent partial differential equations",
        1997,
        "10.1016/S0168-9274(97)00056-1",
    ),
    "borges2008improved": (
        "article",
        "Borges, Rafael and Carmona, Monique and Costa, Bruno and Don, Wai Sun",
        "An improved weighted essentially non-oscillatory scheme for hyperbolic conservation laws",
        2008,
        "10.1016/j.jcp.2007.11.038",
    ),
    "mieussens2000discrete": (
        "article",
        "Mieussens, Luc",
        "Discrete-velocity models and numerical schemes for the Boltzmann-BGK equation in plane "
        "and axisymmetric geometries",
        2000,
        "10.1006/jcph.2000.6548",
    ),
    "guo2013discrete": (
        "article",
        "Guo, Zhaoli and Xu, Kun and Wang, Ruijie",
        "Discrete unified gas kinetic scheme for all Knudsen number flows: Low-speed isothermal case",
        2013,
        "10.1103/PhysRevE.88.033305",
    ),
    "guo2015discrete": (
        "article",
        "Guo, Zhaoli and Wang, Ruijie and Xu, Kun",
        "Discrete unified gas kinetic scheme for all Knudsen number flows. II. Thermal compressible case",
        2015,
        "10.1103/PhysRevE.91.033313",
    ),
    "groppi2016high": (
        "article",
        "Groppi, Maria and Russo, Giovanni and Stracquadanio, Giuseppe",
        "High order semi-Lagrangian methods for the BGK equation",
        2016,
        "10.4310/CMS.2016.v14.n2.a4",
    ),
    "cox2002exponential": (
        "article",
        "Cox, S. M. and Matthews, P. C.",
        "Exponential time differencing for stiff systems",
        2002,
        "10.1006/jcph.2002.6995",
    ),
    "calvo1990zero": (
        "article",
        "Calvo, M. and Grande, T. and Grigorieff, R. D.",
        "On the zero stability of the variable order variable stepsize BDF-formulas",
        1990,
        "10.1007/BF01386395",
    ),
    "alexander1977diagonally": (
        "article",
        "Alexander, Roger",
        "Diagonally implicit Runge-Kutta methods for stiff O.D.E.'s",
        1977,
        "10.1137/0714068",
    ),
    "adams2001discontinuous": (
        "article",
        "Adams, Marvin L.",
        "Discontinuous finite element transport solutions in thick diffusive problems",
        2001,
        "10.13182/NSE00-41",
    ),
    "adams2002fast": (
        "article",
        "Adams, Marvin L. and Larsen, Edward W.",
        "Fast iterative methods for discrete-ordinates particle transport calculations",
        2002,
        "10.1016/S0149-1970(01)00023-3",
    ),
    "warsa2004krylov": (
        "article",
        "Warsa, James S. and Wareing, Todd A. and Morel, Jim E.",
        "Krylov iterative methods and the degraded effectiveness of diffusion synthetic acceleration for "
        "multidimensional S_N calculations in problems with material discontinuities",
        2004,
        "10.13182/NSE02-14",
    ),
    "wang2010diffusion": (
        "article",
        "Wang, Yaqi and Ragusa, Jean C.",
        "Diffusion synthetic acceleration for high-order discontinuous finite element S_N transport schemes and "
        "application to locally refined unstructured meshes",
        2010,
        "10.13182/NSE09-46",
    ),
    "egger2012mixed": (
        "article",
        "Egger, Herbert and Schlottbom, Matthias",
        "A mixed variational framework for the radiative transfer equation",
        2012,
        "10.1142/S021820251150014X",
    ),
    "hairer1996solving": (
        "book",
        "Hairer, Ernst and Wanner, Gerhard",
        "Solving Ordinary Differential Equations II: Stiff and Differential-Algebraic Problems",
        1996,
        "10.1007/978-3-642-05221-7",
    ),
    "scharfetter1969large": (
        "article",
        "Scharfetter, D. L. and Gummel, H. K.",
        "Large-signal analysis of a silicon Read diode oscillator",
        1969,
        "10.1109/T-ED.1969.16566",
    ),
    "schmeiser1998convergence": (
        "article",
        "Schmeiser, Christian and Zwirchmayr, Alexander",
        "Convergence of moment methods for linear kinetic equations",
        1998,
        "10.1137/S0036142996304516",
    ),
    "parker2015fourier": (
        "article",
        "Parker, Joseph T. and Dellar, Paul J.",
        "Fourier-Hermite spectral representation for the Vlasov-Poisson system in the weakly collisional limit",
        2015,
        "10.1017/S0022377814001287",
    ),
    "lemou2008new": (
        "article",
        "Lemou, Mohammed and Mieussens, Luc",
        "A new asymptotic preserving scheme based on micro-macro formulation for linear kinetic equations in the "
        "diffusion limit",
        2008,
        "10.1137/07069479X",
    ),
    "jang2015high": (
        "article",
        "Jang, Juhi and Li, Fengyan and Qiu, Jing-Mei and Xiong, Tao",
        "High order asymptotic preserving DG-IMEX schemes for discrete-velocity kinetic equations in a diffusive scaling",
        2015,
        "10.1016/j.jcp.2014.10.025",
    ),
}


def bibtex(key: str) -> str:
    """One BibTeX entry; raises KeyError for a key that is not here."""
    kind, author, title, year, identifier = ENTRIES[key]
    field = "eprint" if identifier.startswith("arXiv:") else "doi"
    value = identifier.removeprefix("arXiv:")
    lines = [f"  author = {{{author}}}", f"  title = {{{title}}}", f"  year = {{{year}}}", f"  {field} = {{{value}}}"]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"
