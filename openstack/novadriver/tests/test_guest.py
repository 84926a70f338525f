"""What a server brings along into its container."""

import base64
import json
from unittest import mock

import harness

from nova import objects
from nova.virt.docker import guest


class Contents(harness.TestCase):
    def test_key_password_and_files(self):
        instance = harness.instance(key_data='ssh-ed25519 AAAA me')
        inside = guest.contents(instance, [(b'/etc/motd', b'caf\xc3\xa9')], 'secret', None)
        self.assertEqual({
            'public_key': 'ssh-ed25519 AAAA me', 'password': 'secret', 'config_drive': None,
            'files': [{'path': '/etc/motd', 'content': base64.b64encode(b'caf\xc3\xa9').decode()}],
        }, inside)

    def test_nothing(self):
        inside = guest.contents(harness.instance(), None, None, None)
        self.assertEqual({'public_key': None, 'password': None, 'files': [], 'config_drive': None}, inside)


class ConfigDrive(harness.TestCase):
    def drive(self, **fields):
        made = self.patch(guest.instance_metadata, 'InstanceMetadata')
        made.return_value.metadata_for_config_drive.return_value = [
            ('openstack/latest/meta_data.json', b'{}'), ('openstack/latest/user_data', 'text')]
        drive = guest.config_drive(harness.instance(**fields), [('/a', b'b')], 'secret', ['a port'])
        return made, drive

    def test_files_by_path(self):
        made, drive = self.drive(config_drive='True')
        self.assertEqual({
            'openstack/latest/meta_data.json': base64.b64encode(b'{}').decode(),
            'openstack/latest/user_data': base64.b64encode(b'text').decode(),
        }, drive)
        self.assertEqual(mock.call(mock.ANY, content=[('/a', b'b')], network_info=['a port'],
                                   extra_md={'admin_pass': 'secret'}), made.call_args)
        json.dumps(drive)

    def test_none_unless_it_is_wanted(self):
        made, drive = self.drive()
        self.assertIsNone(drive)
        made.assert_not_called()


class Domain(harness.TestCase):
    def domain(self, *assignments):
        self.ports = [{'id': harness.PORT}, {'id': harness.PORT, 'dns_assignment': list(assignments)}]
        return guest.dns_domain(harness.context(), harness.instance())

    def test_the_server_s_own(self):
        self.assertEqual('openstacklocal', self.domain(
            {'hostname': 'host-10-0-0-5', 'fqdn': 'host-10-0-0-5.other.', 'ip_address': '10.0.0.5'},
            {'hostname': 'web', 'fqdn': 'web.openstacklocal.', 'ip_address': '10.0.0.5'}))

    def test_none(self):
        self.assertEqual('', self.domain())
        self.assertEqual('', self.domain({'hostname': 'web', 'fqdn': 'web', 'ip_address': '10.0.0.5'}))

    def test_neutron_is_away(self):
        self.patch(guest.neutron.API, 'list_ports', side_effect=Exception('no answer'))
        with self.assertLogs('nova.virt.docker.guest', 'WARNING'):
            self.assertEqual('', self.domain())


class Devices(harness.TestCase):
    def test_tags(self):
        self.tags = [
            objects.VirtualInterface(address='fa:16:3e:01:02:03', tag='blue'),
            objects.VirtualInterface(address='fa:16:3e:01:02:04', tag=None),
        ]
        (device,) = guest.devices(harness.context(), harness.instance()).devices
        self.assertEqual(('fa:16:3e:01:02:03', ['blue']), (device.mac, device.tags))

    def test_none(self):
        self.assertIsNone(guest.devices(harness.context(), harness.instance()))
        self.assertEqual([], guest.known_devices(harness.instance()))

    def test_of_the_host(self):
        self.tags = [objects.VirtualInterface(address='fa:16:3e:01:02:03', tag='blue')]
        names = ['a.com/card=GPU-1', 'b.org/fpga=0']
        instance = harness.instance(device_metadata=guest.devices(harness.context(), harness.instance(), names))
        nic, *cards = harness.told_devices(instance)
        self.assertEqual(('nic', ['blue']), (nic['type'], nic['tags']))
        self.assertEqual([
            {'type': 'disk', 'bus': 'none', 'address': 'none', 'serial': 'GPU-1', 'tags': ['a.com/card']},
            {'type': 'disk', 'bus': 'none', 'address': 'none', 'serial': '0', 'tags': ['b.org/fpga']},
        ], cards)
        self.assertEqual(names, guest.known_devices(instance))
