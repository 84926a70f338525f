"""Where Nova's releases differ. Told by looking for the thing itself, never by a version number."""

import contextlib
import importlib.util
import inspect
import types

from nova import context as nova_context
from nova import exception
from nova import service_auth
import nova.conf

CONF = nova.conf.CONF


def _event_timeouts(keyword):
    """What wait_for_instance_event may raise. With a deadline that is eventlet's own, which is no Exception.

    A release can have its own exception already, and wait with a deadline yet.
    """
    own = getattr(exception, 'InstanceEventTimeout', None)
    known = [own] if own else []
    if keyword == 'deadline':
        import eventlet  # only here: newer releases refuse to run where it is imported
        known.append(eventlet.timeout.Timeout)
    return tuple(known)


@contextlib.contextmanager
def wait_for_vifs(virtapi, instance, ports, limit=None):
    """Leave the block only when Neutron has wired the ports, as [DEFAULT]vif_plugging_* says.

    limit is in seconds, and by default all the time that Nova is configured to wait.
    """
    waiting = [('network-vif-plugged', port['id']) for port in ports if port.get('active', True) is False]
    limit = CONF.vif_plugging_timeout if limit is None else limit
    if not waiting or not limit:
        yield
        return
    parameters = inspect.signature(virtapi.wait_for_instance_event).parameters
    keyword = 'timeout' if 'timeout' in parameters else 'deadline'
    try:
        with virtapi.wait_for_instance_event(
                instance, waiting, error_callback=_failed, **{keyword: limit}):
            yield
    except _event_timeouts(keyword):
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()


def attach_timeout():
    """How many seconds Neutron has to wire a port that is attached: Nova's API waits for the whole call."""
    whole = getattr(CONF, 'rpc_response_timeout', 60)  # an option of oslo.messaging, registered by its first client
    return min(CONF.vif_plugging_timeout, whole * 2 // 3)


def _failed(event_name, instance):
    if CONF.vif_plugging_is_fatal:
        raise exception.VirtualInterfaceCreateException()


def power_off_arguments(instance, timeout, retry_interval):
    """From 27 on the clean-up of deleted instances calls power_off(context, instance)."""
    if hasattr(timeout, 'uuid'):
        return timeout, retry_interval
    return instance, timeout


def service_context():
    """The context of Nova itself, by [service_user]: it reads what the user of a server may not."""
    if hasattr(nova_context, 'get_nova_service_user_context'):
        found = nova_context.get_nova_service_user_context()
    else:
        auth = service_auth.ks_loading.load_auth_from_conf_options(CONF, group='service_user')
        if auth is None:
            raise exception.NovaException("[service_user] has no auth_type in Nova's configuration; layers of an image that is "
                                          "another project's are read with it")
        found = nova_context.RequestContext(user_auth_plugin=auth, overwrite=False)
    found.is_admin = True  # for Nova, which else looks for properties that a list has not; Glance decides by the roles
    return found


def node_identity():
    """The id that Nova from 27 on keeps in the file compute_id. None where there is none yet."""
    if importlib.util.find_spec('nova.virt.node') is None:
        return None
    from nova.virt import node  # only here: older releases do not have it
    return node.read_local_node_uuid()


def proxy_sends_paths():
    """Whether nova-serialproxy can connect by a path: up to 33 it looks for a text in bytes then, and fails.

    The proxies are on other machines, but of this release, or a newer one in the midst of an upgrade.
    """
    found = importlib.util.find_spec('nova.console.websocketproxy')
    return found is not None and b'\r\n\r\n' in _constants(found.loader.get_code(found.name))


def _constants(code):
    for constant in code.co_consts:
        yield constant
        if isinstance(constant, types.CodeType):
            yield from _constants(constant)
