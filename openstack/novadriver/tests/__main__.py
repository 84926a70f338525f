"""Runs the tests in the way that nova-compute runs the driver: python3 tests [what unittest takes].

Importing nova.cmd.compute decides between eventlet and native threads: as the release does by itself, or as Nova's own
OS_NOVA_DISABLE_EVENTLET_PATCHING says. All else is imported after it, or eventlet would come too late to that.
"""

import nova.cmd.compute
import nova.monkey_patch
import nova.version

import os
import sys
import unittest

NO_SUCH_MODE = 77  # the exit status that tells shim_test.go to skip it


def mode():
    """How this nova-compute would run its greenlets or threads; None for a way that the release does not have."""
    eventlet = sys.modules.get('eventlet')  # importing it is an error under native threads
    if eventlet and eventlet.patcher.is_monkey_patched('thread'):
        return 'eventlet'
    return 'native threads' if hasattr(nova.monkey_patch, 'poison_eventlet') else None


def main():
    release = 'Nova %s on Python %s' % (nova.version.version_string(), sys.version.split()[0])
    if mode() is None:
        print('%s has no native threads' % release)
        sys.exit(NO_SUCH_MODE)
    print('%s, with %s' % (release, mode()), flush=True)
    unittest.main(module=None, argv=['tests', 'discover', '-s', os.path.dirname(__file__)] + sys.argv[1:])


main()
