"""What Placement may sell of this host."""

import re

import nova.conf
from nova import context
from nova.scheduler.client import report

from nova.virt.docker import cpus

CONF = nova.conf.CONF

HOST = 'CUSTOM_NDOCK'
LAYERS = 'CUSTOM_NDOCK_LAYERS'  # it boots images whose layers are images of their own
DISK_QUOTA = 'CUSTOM_NDOCK_DISK_QUOTA'
RUNTIME = 'CUSTOM_NDOCK_RUNTIME_'  # and a runtime's name, which a flavor can choose
CDI = 'CUSTOM_NDOCK_CDI'  # it gives servers devices
KIND = 'CUSTOM_NDOCK_CDI_'  # and what kind they are
PROCESSORS = {'x86_64', 'aarch64', 'ppc64le', 's390x'}  # of those that Docker knows, what Placement has traits of, in all releases
OWN = {HOST, LAYERS, CDI, DISK_QUOTA}
HOSTS = {'VCPU', 'PCPU', 'MEMORY_MB', 'DISK_GB'}  # classes of the host itself: others that the driver offers are devices
LIBVIRTS = r'_(pci|mtty|amd|intel)_\w+'  # behind the name of the node, as in _pci_0000_84_00_0 and _amd_sev_es


def of(host, ratios, reserved_disk):
    """The inventory of a host; reserved_disk is the operator's own figure."""
    totals = {
        'VCPU': (len(cpus.shared(host)), CONF.reserved_host_cpus),
        # The operator's figure is for the host's own processes, which the agent does not count...
        'MEMORY_MB': (host['memory_mb'], CONF.reserved_host_memory_mb + host['memory_foreign_mb']),
        # ...but their files it does.
        'DISK_GB': (host['disk_gb'], max(reserved_disk, host['disk_foreign_gb'])),
        'PCPU': (len(cpus.dedicated(host)), 0),
        **{found['class']: (found['total'], 0) for found in host.get('devices', ())},
    }
    return {name: {
        'total': total, 'reserved': min(reserved, total), 'allocation_ratio': ratios.get(name, 1.0),  # none for PCPU
        'min_unit': 1, 'max_unit': total, 'step_size': 1,
    } for name, (total, reserved) in totals.items() if total > 0}


def devices(host):
    """The classes of its devices."""
    return {found['class'] for found in host.get('devices', ())}


def merged(configs, provider, node):
    """The classes that Nova itself adds to this host's inventory, which the operator's files for it (provider.yaml) name."""
    config = configs.get(provider) or configs.get(node) or configs.get('$COMPUTE_NODE') or {}
    return {name for added in config.get('inventories', {}).get('additional', ()) for name in added}


def still_sold(provider, offered, others):
    """What this host offers no more and servers have yet, not for sale; others are classes that are not the driver's.

    Placement refuses an inventory without a class that is allocated, and Nova then cannot even delete the server.
    """
    gone = set(provider.inventory) - set(offered) - others
    if not gone:
        return {}
    placement = report.report_client_singleton()
    found = placement.get_allocations_for_resource_provider(context.get_admin_context(), provider.uuid).allocations
    sold = {name for one in found.values() for name in one['resources']}
    return {name: dict(provider.inventory[name], reserved=provider.inventory[name]['total']) for name in gone & sold}


def traits(host, others):
    """The host's traits: those of an operator stay, those of another driver go.

    What begins with COMPUTE_ is a driver's; Nova adds our own capabilities to it. What is said of the processor may be an
    operator's, once the node is ours.
    """
    of_drivers = ('COMPUTE_',) if HOST in others else ('COMPUTE_', 'HW_ARCH_', 'HW_CPU_')
    own = {HOST, LAYERS} | ({DISK_QUOTA} if host['root_disks']['limited'] else set())
    devices = {trait for found in host.get('devices', ()) if found['kind'] for trait in (CDI, of_kind(found['kind']))}
    runtimes = {RUNTIME + name.upper() for name in host['runtimes']}
    stay = {name for name in others if name not in OWN and not name.startswith((KIND, RUNTIME, *of_drivers))}
    return stay | own | devices | runtimes | architectures(host)


def architectures(host):
    """What is said of the host's processor, and of those that its servers can have.

    With image_metadata_prefilter Nova's scheduler asks for the first where an image has an architecture, as ndock's have,
    and for the second where it has an emulated one.
    """
    known = {host['architecture']} & PROCESSORS  # Placement refuses the names of others
    return {prefix + name.upper() for name in known for prefix in ('HW_ARCH_', 'COMPUTE_ARCH_')}


def of_kind(kind):
    """The trait of a kind of devices, as CUSTOM_NDOCK_CDI_NVIDIA_COM_GPU."""
    return KIND + re.sub('[^A-Z0-9]', '_', kind.upper())


def drop_children(tree, root):
    """Remove the providers that libvirt has made for virtual GPUs and encrypted memory.

    Those of PCI devices, which have addresses in their names, Nova removes itself. Others', as Cyborg's, say whose they are.
    """
    for uuid in tree.get_provider_uuids(root)[1:]:
        if not tree.exists(uuid):  # it went with its parent
            continue
        child = tree.data(uuid)
        owned = {name for name in child.traits if name.startswith('OWNER_')} - {'OWNER_NOVA'}
        if re.fullmatch(re.escape(root) + LIBVIRTS, child.name) and not owned:
            tree.remove(uuid)
