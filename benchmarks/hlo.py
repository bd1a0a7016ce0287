"""What the text of a compiled program says: the cycles that its compiler expects, and its kernels."""

import re

# Operations that launch nothing.
NO_KERNELS = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "copy-done", "after-all"}
NO_KERNELS |= {"while", "conditional", "call"}


def _computations(text: str) -> dict[str, str]:
    """The bodies of all computations by their names."""
    return dict(re.findall(r"^(?:ENTRY )?%([\w.-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S))


def estimated_cycles(text: str) -> int:
    """The sum of the compiler's estimates in a program. What is inside of a loop counts as often as the loop runs.

    The condition of a loop that counts is a comparison of the counter, which begins at 0, with a constant. Any other
    loop counts once.
    """
    computations = _computations(text)
    callers: dict[str, tuple[str, int]] = {}
    for name, body in computations.items():
        for line in body.splitlines():
            called = re.findall(r"(?:calls|to_apply|condition|body)=%([\w.-]+)", line)
            times = _turns(computations, line) if " while(" in line else 1
            callers |= dict.fromkeys(called, (name, times))

    def runs(name: str) -> int:
        if name not in callers:
            return 1
        caller, times = callers[name]
        return times * runs(caller)

    return sum(
        runs(name) * sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', body)))
        for name, body in computations.items()
    )


def _turns(computations: dict[str, str], loop: str) -> int:
    """How often a loop runs, or 1 if that is not known."""
    condition = computations[re.findall(r"condition=%([\w.-]+)", loop)[0]]
    compared = re.search(r"compare\(%[\w.-]+, %([\w.-]+)\), direction=LT", condition)
    limit = compared and re.search(rf"%{re.escape(compared[1])} = s32\[\]\S* constant\((\d+)\)", condition)
    return int(limit[1]) if limit else 1


def kernels(text: str) -> int:
    """How many kernels and library calls a program for a GPU has. Those of a loop count once."""
    computations = _computations(text)
    waiting = [computations[re.findall(r"^ENTRY %([\w.-]+)", text, re.M)[0]]]
    count = 0
    while waiting:
        body = waiting.pop()
        for line in body.splitlines():
            operation = re.match(r"\s+(?:ROOT )?%[\w.-]+ = .*? ([a-z][\w-]*)\(", line)
            if operation is None:
                continue
            count += operation[1] not in NO_KERNELS
            if operation[1] in ("while", "call", "conditional"):
                waiting += [computations[name] for name in re.findall(r"%([\w.-]+)", line) if name in computations]
    return count
