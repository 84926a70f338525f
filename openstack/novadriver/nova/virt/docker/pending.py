"""Deletes that the agent could not do when Nova asked for them, because it or Docker was away."""

import logging

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
    when Nova uses the server here again. Deletes and what cancels them wait for each other, server by server.
    """

    def __init__(self, agent):
        self._agent = agent
        self._ports = {}  # by server

    def delete(self, uuid, ports, how=None):
        """Delete what the server has here. how is another verb of the agent's than destroy."""
        def delete():
            self._ports[uuid] = ports
            (how or self._agent.destroy)(uuid, ports)
            self._ports.pop(uuid, None)
        _alone(uuid, delete)

    def cancel(self, uuid):
        """Give up the server's delete: Nova has the server here. One that is under way is waited for."""
        _alone(uuid, lambda: self._ports.pop(uuid, None))

    def settle(self, uuid):
        """Do the server's delete, if there is one, before Nova has the server made here anew."""
        def settle():
            if uuid in self._ports:
                self._delete(uuid)
        _alone(uuid, settle)

    def finish(self):
        """Do what is pending and still wanted. What fails stays pending."""
        for uuid in list(self._ports):
            try:
                _alone(uuid, lambda: self._finish(uuid))
            except exception.NovaException as error:  # neither the other servers nor the agent's events wait for this one
                LOG.error('Server %s is still not cleaned up: %s', uuid, error.format_message())
            except Exception:  # Nova's database or broker is away
                LOG.exception('Server %s is still not cleaned up', uuid)

    def _finish(self, uuid):
        if uuid not in self._ports:
            return  # cancelled, or done, in the meantime
        wanted = _is_wanted(uuid)
        if wanted is None:
            return
        if wanted:
            self._delete(uuid)
        else:
            LOG.info('Not deleting what the agent could not delete earlier: Nova has server %s here', uuid)
            self._ports.pop(uuid)

    def _delete(self, uuid):
        LOG.info('Deleting what the agent could not delete earlier: server %s', uuid)
        self._agent.destroy(uuid, self._ports[uuid])
        self._ports.pop(uuid)


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
