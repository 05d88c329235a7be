"""The other end of a callable: runs under its interpreter, which need not have this package installed.

Started as a script with `module:function` and folders for the module search path. Reads a JSON object
of states a line, writes one of probabilities a line. Whatever the module prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def main() -> None:
    target, *folders = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        sys.path[:1] = folders
        module, _, name = target.partition(":")
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        for line in sys.stdin:
            found = function(json.loads(line))
            answers.write(json.dumps({"probabilities": plain(found)}) + "\n")
            answers.flush()


def plain(found: Any) -> Any:
    """Arrays and tensors as nested lists."""
    if hasattr(found, "tolist"):
        return found.tolist()
    return [plain(part) for part in found] if isinstance(found, (list, tuple)) else found


if __name__ == "__main__":
    main()
