"""The first file a worker's interpreter runs: `python _boot.py CONTROLLER [PAYLOAD]`.

It makes `phalanx` importable without exposing what lies beside it: the interpreter may be another one, with
packages of its own.
"""

import sys

# The folder of this file, where `gym.py` and others would hide packages of that name.
folder = __file__.rpartition("/")[0]
sys.path[:] = ["", *(entry for entry in sys.path if entry != folder)]

import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location(
    "phalanx", folder + "/__init__.py", submodule_search_locations=[folder]
)
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
sys.modules["phalanx"] = module
spec.loader.exec_module(module)

from phalanx.worker import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
