"""What the agent measures, as Nova's diagnostics: of old a dictionary of anything, since API 2.48 an object."""

from nova import objects

STATES = {'stopped': 'shutdown'}  # Nova's other words are the agent's


def as_dict(found):
    """Everything there is, the end of the last run too, in the words of `docker inspect`."""
    told = {key: value for key, value in found.items() if key != 'nics'}
    for nic in found['nics']:
        told.update({'%s_%s' % (nic['name'], key): value for key, value in nic.items() if key != 'name'})
    return told


def as_object(found, instance):
    """Nova's own object. The API wants one of five drivers' names, and has none for Docker: hypervisor tells the truth.

    As driver it says what Nova's fake driver does, because clients refuse an answer without one (as Tempest does).
    """
    told = objects.Diagnostics(
        state=STATES.get(found['state'], found['state']), driver='libvirt', hypervisor='docker', hypervisor_os='linux', uptime=found['uptime'],
        config_drive=bool(instance.config_drive))
    told.memory_details = objects.MemoryDiagnostics(
        maximum=found['memory_limit'] >> 20, used=found['memory_used'] >> 20)
    told.add_cpu(id=0, time=found['cpu_time'])
    for nic in found['nics']:
        told.add_nic(
            mac_address=nic['mac_address'],
            rx_octets=nic['rx_bytes'], rx_packets=nic['rx_packets'], rx_errors=nic['rx_errors'], rx_drop=nic['rx_dropped'],
            tx_octets=nic['tx_bytes'], tx_packets=nic['tx_packets'], tx_errors=nic['tx_errors'], tx_drop=nic['tx_dropped'])
    return told
