"""The name of this host as a hypervisor, which Placement's provider has, too.

It need not be CONF.host: libvirt's is the machine's full name. A node that another driver ran keeps its name, for Nova from
27 on refuses to start under another, and Nova before makes a new node and a new provider, without the aggregates of the old.
"""

import socket

import nova.conf
from nova import context as nova_context
from nova import exception
from nova import objects

from nova.virt.docker import compat

CONF = nova.conf.CONF


def name():
    known = _known(nova_context.get_admin_context())
    if not known:
        return _of_machine()
    # Of more than one, which only Nova before 27 can have, and not for long, the last is the one in use.
    return max(known, key=lambda node: node.id).hypervisor_hostname


def _known(context):
    """The nodes that Nova has of this host: the one with its identity, else all."""
    identity = compat.node_identity()
    if identity:
        found = objects.ComputeNodeList.get_all_by_uuids(context, [identity])
        if found:
            return found
    try:
        return objects.ComputeNodeList.get_all_by_host(context, CONF.host)
    except exception.NotFound:
        return []


def _of_machine():
    """As libvirt makes it, and Neutron for its agents' bandwidth, so that the one driver can follow the other."""
    name = socket.gethostname()
    if '.' in name or name.startswith('localhost'):
        return name
    try:
        full = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)[0][3]
    except OSError:
        return name
    return name if not full or full.startswith('localhost') else full
