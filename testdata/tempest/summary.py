#!/usr/bin/python3
"""Count the results of a run by test, and fail unless every test of the list has passed or been skipped.

Usage: stestr last --subunit | summary.py NAME LIST
"""
import re
import sys

import subunit
import testtools


def results(stream, selected):
    """The status of each test, by name."""
    status = {}

    def note(test):
        # One record stands for all tests of a class whose setUpClass was skipped or failed.
        whole = re.match(r"setUpClass \((.*)\)", test["id"])
        name = test["id"].split("[")[0]
        names = [one for one in selected if one.startswith(whole[1] + ".")] if whole else [name]
        status.update(dict.fromkeys(names, test["status"]))

    result = testtools.StreamToDict(note)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(stream, "stdout").run(result)
    result.stopTestRun()
    return status


def main(name, path):
    with open(path, encoding="utf-8") as file:
        selected = file.read().split()
    status = results(sys.stdin.buffer, selected)
    failed = sorted(one for one in {*selected, *status} if status.get(one) not in ("success", "skip"))
    skipped = sorted(one for one, how in status.items() if how == "skip")
    passed = sum(how == "success" for how in status.values())
    print(f"{name}: {passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    for kind, names in (("failed", failed), ("skipped", skipped)):
        for one in names:
            print(f"  {kind}: {one}")
    return bool(failed) or not passed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
