"""The file that keeps, over a restart of nova-compute, which deletes the agent has not done."""

import contextlib
import json
import logging
import os

import nova.conf

from nova.virt.docker import layers

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

VERBS = ('destroy', 'discard_backup')  # of the agent's
MOST = 1000  # servers; the latest are kept
LONGEST = 100 * MOST  # characters


def path():
    return os.path.join(CONF.state_path, 'ndock-deletes.json')


def read():
    """The agent's verb for each server. A file that was not written like this counts for nothing."""
    try:
        with open(path(), encoding='utf-8') as file:
            return _checked(json.loads(file.read(LONGEST)))  # a longer one lacks its end, and is no JSON
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        LOG.error('Deletes that the agent has not done are forgotten: %s cannot be read: %s', path(), error)
        return {}


def _checked(found):
    if not isinstance(found, dict) or not all(layers.UUID.fullmatch(uuid) and verb in VERBS for uuid, verb in found.items()):
        raise ValueError('it does not say of servers, by id, what is to be deleted')
    return found


def write(verbs):
    """Put down these instead; there is no file of none. The deletes themselves do not fail for it."""
    try:
        if not verbs:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path())
            return
        with open(path() + '.new', 'w', encoding='utf-8') as file:
            json.dump(dict(list(verbs.items())[-MOST:]), file)
        os.replace(path() + '.new', path())
    except OSError as error:
        LOG.error('Deletes that the agent has not done are forgotten when nova-compute ends: %s', error)
