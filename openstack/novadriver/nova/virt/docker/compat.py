"""Where Nova's releases differ. Told by looking for the thing itself, never by a version number."""

import contextlib
import inspect

from nova import exception
import nova.conf

CONF = nova.conf.CONF


def _event_timeout():
    """What wait_for_instance_event raises: up to 32.x eventlet's own, which is no Exception."""
    own = getattr(exception, 'InstanceEventTimeout', None)
    if own is not None:
        return own
    import eventlet  # only here: newer releases refuse to run where it is imported
    return eventlet.timeout.Timeout


@contextlib.contextmanager
def wait_for_vifs(virtapi, instance, ports):
    """Leave the block only when Neutron has wired the ports, as [DEFAULT]vif_plugging_* says."""
    waiting = [('network-vif-plugged', port['id']) for port in ports if port.get('active', True) is False]
    limit = CONF.vif_plugging_timeout
    if not waiting or not limit:
        yield
        return
    parameters = inspect.signature(virtapi.wait_for_instance_event).parameters
    keyword = 'timeout' if 'timeout' in parameters else 'deadline'
    try:
        with virtapi.wait_for_instance_event(
                instance, waiting, error_callback=_failed, **{keyword: limit}):
            yield
    except _event_timeout():
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()


def _failed(event_name, instance):
    if CONF.vif_plugging_is_fatal:
        raise exception.VirtualInterfaceCreateException()


def power_off_arguments(instance, timeout, retry_interval):
    """From 27 on the clean-up of deleted instances calls power_off(context, instance)."""
    if hasattr(timeout, 'uuid'):
        return timeout, retry_interval
    return instance, timeout
