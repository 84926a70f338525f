#!/usr/bin/python3
"""Count the results of a run by test, and fail unless every test of the list has passed or been skipped.

A line of the list is a regular expression: some tests have other names in other releases of Tempest.

Usage: stestr last --subunit | summary.py NAME LIST
"""
import re
import sys

import subunit
import testtools


def results(stream):
    """The status of each test, by name; of a class that could not be set up, by the name of the class and a dot."""
    status = {}

    def note(test):
        # One record stands for all tests of a class whose setUpClass was skipped or failed.
        whole = re.match(r"setUpClass \((.*)\)", test["id"])
        status[whole[1] + "." if whole else test["id"].split("[")[0]] = test["status"]

    result = testtools.StreamToDict(note)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(stream, "stdout").run(result)
    result.stopTestRun()
    return status


def outcome(line, status):
    """How the tests of a line went; None if there were none."""
    group, method = line.rsplit(".", 1)
    for pattern in (group + r"\." + method, group + r"\."):
        for name, how in status.items():
            if re.fullmatch(pattern, name):
                return how
    return None


def main(name, path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split()
    status = results(sys.stdin.buffer)
    outcomes = {line: outcome(line, status) for line in lines}
    broken = {one for one, how in status.items() if how not in ("success", "skip")}
    failed = sorted(broken | {line for line, how in outcomes.items() if how is None})
    skipped = sorted(line for line, how in outcomes.items() if how == "skip")
    passed = sum(how == "success" for how in outcomes.values())
    print(f"{name}: {passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    for kind, names in (("failed", failed), ("skipped", skipped)):
        for one in names:
            print(f"  {kind}: {one}")
    return bool(failed) or not passed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
