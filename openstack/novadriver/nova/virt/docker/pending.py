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

from nova.virt.docker import undone

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class PendingDeletes:
    """Does deletes, and remembers those that failed: Nova forgets the host of a server that it could not build, or that
    has left, so that it may not ask a second time.

    A pending delete is done when the agent is back, if Nova still has the server elsewhere or nowhere. It is given up
    when Nova uses the server here again. That of the backup of a resize is done in any case, once no resize waits to be
    confirmed: the agent keeps the server's own container. Deletes and what cancels them wait for each other, server by
    server. The next nova-compute goes on with what is pending.
    """

    def __init__(self, agent):
        self._agent = agent
        self._finishing = threading.Lock()
        self._pending = {}  # by server: the name of the agent's verb, and the server's ports
        self._changing = threading.Lock()

    def load(self):
        """Take up what an earlier nova-compute has left. The agent knows the ports by itself."""
        self._pending = {uuid: (verb, []) for uuid, verb in undone.read().items()}

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
                self._set(uuid)
        _alone(uuid, cancel)

    def keep_backup(self, uuid):
        """Give up whatever is pending: Nova uses the backup."""
        _alone(uuid, lambda: self._set(uuid))

    def make_room(self, uuid):
        """Give up the server's delete, and discard a backup whose delete is pending: another container is to be."""
        def make_room():
            if self._discards(uuid):
                self._do(uuid)
            self._set(uuid)
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
        wanted = _is_wanted(uuid, self._discards(uuid))
        if wanted is None:
            return
        if wanted:
            self._do(uuid)
        else:
            LOG.info('Not deleting what the agent could not delete earlier: Nova has server %s here', uuid)
            self._set(uuid)

    def _discards(self, uuid):
        return uuid in self._pending and self._pending[uuid][0] == 'discard_backup'

    def _begin(self, uuid, verb, ports):
        self._set(uuid, verb, ports)
        getattr(self._agent, verb)(uuid, ports)
        self._set(uuid)

    def _set(self, uuid, *pending):
        """Make this what is pending of the server, or nothing."""
        with self._changing:
            before = self._pending.pop(uuid, ())
            if pending:
                self._pending[uuid] = pending
            if pending or before:
                undone.write({uuid: verb for uuid, (verb, _) in self._pending.items()})

    def _do(self, uuid):
        LOG.info('Deleting what the agent could not delete earlier: server %s', uuid)
        self._begin(uuid, *self._pending[uuid])


def _alone(uuid, action):
    return utils.synchronized('ndock-delete-%s' % uuid)(action)()


def _is_wanted(uuid, discards):
    """Whether Nova wants nothing of the server here, or discards its backup; None while it is at work on the server."""
    try:
        instance = objects.Instance.get_by_uuid(nova_context.get_admin_context(read_deleted='yes'), uuid)
    except exception.InstanceNotFound:
        return True
    if instance.deleted or instance.task_state == task_states.DELETING:
        return True
    if discards and instance.vm_state != vm_states.RESIZED:  # else the backup may be that of a later move
        return True
    if instance.task_state is not None or instance.vm_state == vm_states.RESIZED:  # it may come back, to its files here
        return None
    return instance.host != CONF.host
