// Which builds of the core can this processor run? Asked once, at import, before either is loaded: so this file is
// compiled for the oldest processor supported, and uses Python's own interface to stay tiny.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cpu/processor.hpp"

namespace {

PyObject* supported(PyObject*, PyObject*) {
  return multilevel::cpu::supports_v3() ? Py_BuildValue("(ss)", "v3", "base") : Py_BuildValue("(s)", "base");
}

PyMethodDef methods[] = {
    {"supported", supported, METH_NOARGS, "supported() -> tuple of instruction-set names, the best first"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", "Instruction sets of this processor.", 0, methods, slots, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() { return PyModuleDef_Init(&definition); }
