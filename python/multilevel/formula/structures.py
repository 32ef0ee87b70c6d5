"""Covariance structures as formulas spell them, ``cs(1 + x | g)``: which there are, and what each asks of its term."""

from __future__ import annotations

from collections.abc import Sequence

from .tokens import Token, complain, display, split_arguments

# The spelling is glmmTMB's. `cs` and `hetar1` have a standard deviation per column, `homcs` and `ar1` a single one.
STRUCTURES = {
    "us": "unstructured",
    "diag": "diagonal",
    "homdiag": "homogeneous diagonal",
    "cs": "compound symmetry",
    "homcs": "homogeneous compound symmetry",
    "ar1": "ar1",
    "hetar1": "heterogeneous ar1",
    "rr": "reduced rank",
    "cfa": "confirmatory",
}
# Structures of other packages whose names we know, so that the answer is "not available", not "unknown function".
OTHER_STRUCTURES = frozenset(("hcs", "car1", "arma", "toep", "homtoep", "ou", "exp", "gau", "mat", "propto", "equalto"))
ORDERED = frozenset(("ar1", "heterogeneous ar1"))  # need the order of the columns: the times
UNCORRELATED = frozenset(("diagonal", "homogeneous diagonal"))
DEFAULT_RANK = 2
CONFIRMATORY = "confirmatory"


def rank_of(structure: str) -> int | None:
    """The rank in the name "reduced rank 2", the number of factors of a confirmatory one; None for other structures."""
    if structure.startswith(CONFIRMATORY):
        return len(structure.split()) - 1
    return int(structure.split()[-1]) if structure.startswith("reduced rank") else None


def factor_names(structure: str) -> tuple[str, ...]:
    """The factors in the name "confirmatory math=1100 verbal=0011"; none of other structures."""
    words = structure.split() if structure.startswith(CONFIRMATORY) else []
    return tuple(word.rpartition("=")[0] for word in words[1:])


def structure_name(text: str, call: Token, arguments: Sequence[Token], bars: str) -> str:
    """The structure that ``name(terms | group, arguments)`` asks for, as the core names it."""
    name = STRUCTURES[call.value]
    pieces = split_arguments(arguments) if arguments else []
    if bars == "||" and name not in UNCORRELATED:
        complain(
            text,
            call.start,
            f"'||' means that there are no correlations, which {call.value}(...) has: write '|', or diag(...)",
        )
    if call.value == "cfa":
        return name
    if call.value != "rr":
        if pieces:
            complain(text, call.start, f"{call.value}(...) takes a random term and nothing else")
        return name
    rank = DEFAULT_RANK
    if pieces:
        words = [token.text for token in pieces[0]]
        words = words[2:] if words[:2] == ["d", "="] else words
        if len(pieces) > 1 or len(words) != 1 or not words[0].isdigit() or int(words[0]) < 1:
            complain(
                text,
                call.start,
                f"the second argument of rr(...) is the number of dimensions, such as d=2; got '{display(arguments)}'",
            )
        rank = int(words[0])
    return f"{name} {rank}"


def no_times(spelling: str, intercept: bool, products: Sequence[Sequence[str]], group: str) -> str | None:
    """What is wrong with the left side of ``ar1(0 + time | g)``; None if it is one column and no intercept."""
    labels = [":".join(product) for product in products]
    if not intercept and len(products) == 1 and len(products[0]) == 1:
        return None
    found = ["an intercept"] if intercept else []
    found += [f"'{label}'" for label in labels]
    time = labels[0] if len(products) == 1 and len(products[0]) == 1 else "time"
    return (
        f"{spelling}(...) needs its times, one column and no intercept: write {spelling}(0 + {time} | {group})"
        + ("" if time != "time" else ", with 'time' a column of whole numbers, or of categories in their order")
        + f"; found {' and '.join(found)}"
    )
