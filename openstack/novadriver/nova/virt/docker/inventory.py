"""What Placement may sell of this host."""

import nova.conf

from nova.virt.docker import cpus

CONF = nova.conf.CONF

HOST = 'CUSTOM_NDOCK'
DISK_QUOTA = 'CUSTOM_NDOCK_DISK_QUOTA'
OWN = {HOST, DISK_QUOTA}


def of(host, ratios, reserved_disk):
    """The inventory of a host; reserved_disk is the operator's own figure."""
    totals = {
        'VCPU': (len(cpus.shared(host)), CONF.reserved_host_cpus),
        # The operator's figure is for the host's own processes, which the agent does not count...
        'MEMORY_MB': (host['memory_mb'], CONF.reserved_host_memory_mb + host['memory_foreign_mb']),
        # ...but their files it does.
        'DISK_GB': (host['disk_gb'], max(reserved_disk, host['disk_foreign_gb'])),
        'PCPU': (len(cpus.dedicated(host)), 0),
    }
    return {name: {
        'total': total, 'reserved': min(reserved, total), 'allocation_ratio': ratios.get(name, 1.0),  # none for PCPU
        'min_unit': 1, 'max_unit': total, 'step_size': 1,
    } for name, (total, reserved) in totals.items() if total > 0}


def traits(host, others):
    """The host's traits: those that others have set stay."""
    own = {HOST, DISK_QUOTA} if host['root_disks']['limited'] else {HOST}
    return (set(others) - OWN) | own
