"""Which of the host's CPUs are whose, as [compute] cpu_shared_set and cpu_dedicated_set say; as in Nova's libvirt driver."""

import nova.conf
from nova import exception
from nova import objects
from nova.virt import hardware

CONF = nova.conf.CONF


def dedicated(host):
    """CPUs that are pinned to one server each: PCPU in Placement."""
    return _there(host, 'cpu_dedicated_set', hardware.get_cpu_dedicated_set() or set())


def shared(host):
    """CPUs that are there for all other servers: VCPU in Placement."""
    configured = hardware.get_cpu_shared_set()
    if configured is None:
        # Where some are dedicated, the operator has to say which of the others servers may have.
        return set() if CONF.compute.cpu_dedicated_set else _online(host)
    both = configured & (hardware.get_cpu_dedicated_set() or set())
    if both:
        raise exception.InvalidConfiguration(
            '[compute] cpu_shared_set and cpu_dedicated_set both have the CPUs %s' % sorted(both))
    return _there(host, 'cpu_shared_set', configured)


def _online(host):
    return {cpu for node in host['numa_nodes'] for cpu in node['cpus']}


def _there(host, option, cpus):
    missing = cpus - _online(host)
    if missing:
        raise exception.InvalidConfiguration(
            '[compute] %s has the CPUs %s, which are not online' % (option, sorted(missing)))
    return cpus


def topology(host):
    """What Nova fits servers with a CPU policy or NUMA nodes onto. Without it, it would let them go unpinned."""
    for_all, for_one = shared(host), dedicated(host)
    return objects.NUMATopology(cells=[_cell(host, node, for_all, for_one) for node in host['numa_nodes']])


def _cell(host, node, for_all, for_one):
    cpus = set(node['cpus'])
    siblings = [set(threads) & (for_all | for_one) for threads in node['siblings']]
    page, memory = host['page_kb'], node['memory_mb']
    return objects.NUMACell(
        id=node['id'], socket=None, memory=memory, cpuset=cpus & for_all, pcpuset=cpus & for_one,
        siblings=[threads for threads in siblings if threads], pinned_cpus=set(), cpu_usage=0, memory_usage=0,
        # Small pages only: no container is given huge ones.
        mempages=[objects.NUMAPagesTopology(size_kb=page, total=memory * 1024 // page, used=0, reserved=0)])


def of(instance):
    """Where a server may run. What Nova has claimed for it is in its NUMA topology."""
    cells = instance.numa_topology.cells if instance.numa_topology else []
    return {
        'pinned_cpus': sorted({cpu for cell in cells for cpu in (cell.cpu_pinning or {}).values()}),
        'shared_cpus': sorted(hardware.get_cpu_shared_set() or ()),
        'numa_nodes': sorted({cell.id for cell in cells}),
    }
