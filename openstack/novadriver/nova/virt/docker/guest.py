"""What a server brings along into its container: a key, a password, files, a config drive."""

import base64
import logging

from nova.api.metadata import base as instance_metadata
from nova.network import neutron
from nova import objects
from nova.virt import configdrive

LOG = logging.getLogger(__name__)


def contents(instance, injected_files, admin_password, network_info):
    """The part of the agent's spec that a container gets when it is new."""
    return {
        'public_key': instance.key_data if instance.obj_attr_is_set('key_data') else None,
        'password': admin_password,
        'files': [{'path': _text(path), 'content': _encoded(content)} for path, content in injected_files or ()],
        'config_drive': config_drive(instance, injected_files, admin_password, network_info),
    }


def config_drive(instance, injected_files, admin_password, network_info):
    """The files of the drive, by path; None for a server that has none."""
    if not configdrive.required_by(instance):
        return None
    metadata = instance_metadata.InstanceMetadata(
        instance, content=injected_files or [], network_info=network_info,
        extra_md={'admin_pass': admin_password} if admin_password else {})
    return {path: _encoded(value) for path, value in metadata.metadata_for_config_drive()}


def dns_domain(context, instance):
    """The domain in which Neutron knows the server's name; '' where it knows none, or cannot be asked."""
    try:
        ports = neutron.API().list_ports(context, device_id=instance.uuid)['ports']
    except Exception as error:  # a server without a search domain is better than none
        LOG.warning('The DNS domain of server %s is not known: %s', instance.uuid, error)
        return ''
    for port in ports:
        for name in port.get('dns_assignment') or ():
            host, _, domain = name['fqdn'].rstrip('.').partition('.')
            if host == name['hostname'] == instance.hostname:
                return domain
    return ''


def devices(context, instance, names=()):
    """What the server's metadata says of its devices; None where that is nothing.

    These are the interfaces that have tags, and devices of the host, by their names in CDI specifications.
    """
    tagged = [
        objects.NetworkInterfaceMetadata(mac=vif.address, tags=[vif.tag])
        for vif in objects.VirtualInterfaceList.get_by_instance_uuid(context, instance.uuid)
        if 'tag' in vif and vif.tag
    ]
    found = tagged + [_device(name) for name in names]
    return objects.InstanceDeviceMetadata(devices=found) if found else None


def _device(name):
    # Nova's metadata has interfaces and disks (later releases shares, too), and leaves out all that is of another type.
    kind, _, serial = name.partition('=')
    return objects.DiskMetadata(serial=serial, tags=[kind])


def known_devices(instance):
    """The names of the host's devices that the server's metadata has."""
    known = instance.device_metadata.devices if instance.device_metadata else ()
    return ['%s=%s' % (found.tags[0], found.serial) for found in known if isinstance(found, objects.DiskMetadata)]


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _encoded(value):
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
