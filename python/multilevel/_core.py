"""The compiled core, in the fastest build that this processor can run.

The same sources are compiled for every processor (``base``) and, on x86-64, for those with AVX2 and FMA (``v3``).
Wheels hold both; an installation built from source holds the one for the machine that built it. The environment
variable ``MULTILEVEL_SIMD`` forces one of them; ``SIMD`` tells which one is in use.
"""

from __future__ import annotations

import importlib
import importlib.util
import os

from multilevel import _cpu


def _choose(wanted: str | None, supported: tuple[str, ...], built: tuple[str, ...]) -> str:
    """Name of the build to load, given the one wanted, those the processor can run (best first) and those built."""
    usable = [name for name in supported if name in built]
    if not usable:
        raise ImportError(
            f"this installation of multilevel has only the core for processors with AVX2 and FMA ({', '.join(built)}),"
            " as of the machine that built it; this processor lacks them. Install it again on this machine"
            " (pip install --force-reinstall --no-cache-dir), or build it for any processor"
            " (pip install -Ccmake.define.MULTILEVEL_CORE=both)"
        )
    if wanted is None:
        return usable[0]
    if wanted not in ("base", "v3"):
        raise ImportError(f"MULTILEVEL_SIMD is {wanted!r}: it can be 'base' or 'v3', or be left unset")
    if wanted not in built:
        raise ImportError(f"MULTILEVEL_SIMD={wanted}, but this installation has only: {', '.join(built)}")
    if wanted not in supported:
        raise ImportError(f"MULTILEVEL_SIMD={wanted}, but this processor lacks it; it can run: {', '.join(usable)}")
    return wanted


_built = tuple(name for name in ("v3", "base") if importlib.util.find_spec(f"multilevel._core_{name}") is not None)
if not _built:
    raise ImportError("multilevel was installed without its compiled core; install it again with pip")

SIMD = _choose(os.environ.get("MULTILEVEL_SIMD") or None, _cpu.supported(), _built)

_module = importlib.import_module(f"multilevel._core_{SIMD}")
for _name, _value in list(vars(_module).items()):
    if not _name.startswith("__"):
        if isinstance(_value, type):
            _value.__module__ = __name__  # so that a pickle made by one build is read by the other
        globals()[_name] = _value
