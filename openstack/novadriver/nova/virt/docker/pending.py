"""Deletes that the agent could not do when Nova asked for them, because it or Docker was away."""

import logging
import threading

from nova.compute import task_states
from nova.compute import vm_states
import nova.conf
from nova import context as nova_context
from nova import exception
from nova import objects
from nova import utils

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class PendingDeletes:
    """Does deletes, and remembers those that failed: Nova forgets the host of a server that it could not build, or that
    has left, so that it may not ask a second time.

    A pending delete is done when the agent is back, if Nova still has the server elsewhere or nowhere. It is given up
    when Nova uses the server here again. That of the backup of a resize is done in any case: the agent keeps the
    server's own container. Deletes and what cancels them wait for each other, server by server.
    """

    def __init__(self, agent):
        self._agent = agent
        self._finishing = threading.Lock()
        self._pending = {}  # by server: the name of the agent's verb, and the server's ports

    def delete(self, uuid, ports):
        """Delete all that the server has here."""
        _alone(uuid, lambda: self._begin(uuid, 'destroy', ports))

    def discard_backup(self, uuid, ports):
        """Delete the backup, and all that the server has here if that was the last of it."""
        _alone(uuid, lambda: self._begin(uuid, 'discard_backup', ports))

    def cancel(self, uuid):
        """Give up the server's delete: Nova has the server here. One that is under way is waited for."""
        def cancel():
            if not self._discards(uuid):
                self._pending.pop(uuid, None)
        _alone(uuid, cancel)

    def keep_backup(self, uuid):
        """Give up whatever is pending: Nova uses the backup."""
        _alone(uuid, lambda: self._pending.pop(uuid, None))

    def make_room(self, uuid):
        """Give up the server's delete, and discard a backup whose delete is pending: another container is to be."""
        def make_room():
            if self._discards(uuid):
                self._do(uuid)
            self._pending.pop(uuid, None)
        _alone(uuid, make_room)

    def settle(self, uuid):
        """Do what is pending, if anything, before Nova has the server made here anew."""
        def settle():
            if uuid in self._pending:
                self._do(uuid)
        _alone(uuid, settle)

    def finish_apart(self):
        """Finish in a thread of its own, one at a time: a delete may take long, and the agent's events do not wait for it."""
        def finish():
            try:
                self.finish()
            finally:
                self._finishing.release()
        if not self._finishing.acquire(blocking=False):
            return
        try:
            threading.Thread(target=finish, name='ndock-deletes', daemon=True).start()
        except BaseException:  # too many threads
            self._finishing.release()
            raise

    def finish(self):
        """Do what is pending and still wanted. What fails stays pending."""
        for uuid in list(self._pending):
            try:
                _alone(uuid, lambda: self._finish(uuid))
            except exception.NovaException as error:  # neither the other servers nor the agent's events wait for this one
                LOG.error('Server %s is still not cleaned up: %s', uuid, error.format_message())
            except Exception:  # Nova's database or broker is away
                LOG.exception('Server %s is still not cleaned up', uuid)

    def _finish(self, uuid):
        if uuid not in self._pending:
            return  # cancelled, or done, in the meantime
        wanted = self._discards(uuid) or _is_wanted(uuid)
        if wanted is None:
            return
        if wanted:
            self._do(uuid)
        else:
            LOG.info('Not deleting what the agent could not delete earlier: Nova has server %s here', uuid)
            self._pending.pop(uuid)

    def _discards(self, uuid):
        return uuid in self._pending and self._pending[uuid][0] == 'discard_backup'

    def _begin(self, uuid, verb, ports):
        self._pending[uuid] = verb, ports
        getattr(self._agent, verb)(uuid, ports)
        self._pending.pop(uuid)

    def _do(self, uuid):
        LOG.info('Deleting what the agent could not delete earlier: server %s', uuid)
        self._begin(uuid, *self._pending[uuid])


def _alone(uuid, action):
    return utils.synchronized('ndock-delete-%s' % uuid)(action)()


def _is_wanted(uuid):
    """Whether Nova wants nothing of the server here; None while it is at work on the server."""
    try:
        instance = objects.Instance.get_by_uuid(nova_context.get_admin_context(read_deleted='yes'), uuid)
    except exception.InstanceNotFound:
        return True
    if instance.deleted or instance.task_state == task_states.DELETING:
        return True
    if instance.task_state is not None or instance.vm_state == vm_states.RESIZED:  # it may come back, to its files here
        return None
    return instance.host != CONF.host
