"""The serial console: where nova-serialproxy connects to, and what the agent lets it in for."""

from nova.console import type as console_type
import nova.conf
from nova import exception

from nova.virt.docker import agent as ndock

CONF = nova.conf.CONF


def console(agent, context, instance, paths):
    """Nova asks for two reasons: a user wants a URL, or, as an administrator who is no user, the proxy is coming.

    paths tells that the proxy can send one; it is good once. Otherwise it is who comes next that is let in.
    """
    coming = context.user_id is None
    if paths:
        admit = '' if coming else 'path'
    else:
        admit = 'next' if coming else ''
    address = CONF.serial_console.proxyclient_address
    try:
        found = agent.serial(instance.uuid, {
            'address': address,
            'ports': CONF.serial_console.port_range,
            'lifetime': max(1, CONF.consoleauth.token_ttl),
            'admit': admit,
        })
    except ndock.NoTerminal:
        raise exception.ConsoleTypeUnavailable(console_type='serial')
    except ndock.NotRunning:
        raise exception.InstanceNotReady(instance_id=instance.uuid)
    except ndock.NoFreePort:
        raise exception.SocketPortRangeExhaustedException(host=address)
    return console_type.ConsoleSerial(address, found['port'], found.get('path'))
