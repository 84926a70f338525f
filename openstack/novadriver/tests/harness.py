"""Nova with this tree's driver in it, and the objects that Nova would hand to the driver.

Every test imports this first: it decides which nova.virt.docker is found.
"""

import logging
import os
import tempfile
import unittest
from unittest import mock

import nova.conf
import nova.virt
from nova import context as nova_context
from nova.api.metadata import base as metadata
from nova import objects
from nova.network import model
from nova.network import neutron
from nova.scheduler.client import report

HERE = os.path.dirname(os.path.abspath(__file__))
SHIM = os.path.join(os.path.dirname(HERE), 'nova', 'virt', 'docker')

# In front, since the host may have the driver installed.
nova.virt.__path__.insert(0, os.path.dirname(SHIM))

CONF = nova.conf.CONF
CONF([], project='nova', default_config_files=[], default_config_dirs=[])  # the host's own is not read
objects.register_all()
logging.getLogger().addHandler(logging.NullHandler())  # tests that care about the log ask for it

HOST = 'compute1'
SERVER = '6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11'
IMAGE = 'c0ffee00-1111-4222-8333-444455556666'
NETWORK = '0b6ba3c1-5a4e-4a8c-9c68-5d0f2a7a9e77'
PORT = '3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40'
PROVIDER = 'e5a1b2c3-4d5e-4f60-8a7b-8c9d0e1f2a3b'  # Placement's id of the host
ALLOCATIONS = {PROVIDER: {'resources': {'VCPU': 2, 'MEMORY_MB': 512, 'DISK_GB': 5}, 'generation': 3}}


class TestCase(unittest.TestCase):
    def setUp(self):
        super().setUp()
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        self.configure(host=HOST, state_path=state.name)
        self.tags = []  # the interfaces that Nova's database knows, with their tags
        self.patch(objects.VirtualInterfaceList, 'get_by_instance_uuid', lambda context, uuid: self.tags)
        self.sold = {}  # what Placement has allocated on this host, by consumer
        self.patch(report, 'report_client_singleton', mock.Mock(spec_set=report.report_client_singleton))
        client = report.report_client_singleton.return_value = mock.create_autospec(report.SchedulerReportClient, instance=True)
        client.get_allocations_for_resource_provider.side_effect = lambda context, provider: report.ProviderAllocInfo(self.sold)
        self.ports = []  # as Neutron has them, of any server
        self.patch(neutron.API, 'list_ports', lambda api, context, device_id: {'ports': self.ports})

    def configure(self, group=None, **options):
        for name, value in options.items():
            CONF.set_override(name, value, group=group)
            self.addCleanup(CONF.clear_override, name, group=group)

    def patch(self, target, name, *args, **kwargs):
        patcher = mock.patch.object(target, name, *args, **kwargs)
        self.addCleanup(patcher.stop)
        return patcher.start()


def context():
    return nova_context.RequestContext('a-user', 'a-project', is_admin=False, auth_token='a-token')


def instance(uuid=SERVER, **fields):
    """A server as nova-compute has it when it is to be built."""
    values = dict(
        id=1, uuid=uuid, display_name='web', hostname='web', project_id='a-project', user_id='a-user',
        image_ref=IMAGE, user_data=None, metadata={}, system_metadata={}, trusted_certs=None,
        vm_state='building', task_state='spawning', host=HOST, config_drive='', key_data=None, power_state=None,
        flavor=objects.Flavor(name='m1.small', vcpus=2, memory_mb=512, root_gb=5, ephemeral_gb=0, swap=0,
                              extra_specs={}),
        numa_topology=None, device_metadata=None,
    )
    values.update(fields)
    return objects.Instance(context(), **values)


def migration(source):
    """The move of a server that was on this host."""
    return objects.Migration(source_compute=source, dest_compute=HOST)


def told_devices(instance):
    """What meta_data.json tells the server of its devices, as this release of Nova writes it."""
    told = object.__new__(metadata.InstanceMetadata)  # what it would ask of the database and of Neutron is about other things
    told.instance = instance
    return told._get_device_metadata(metadata.OPENSTACK_VERSIONS[-1])


def image_meta(**properties):
    return objects.ImageMeta.from_dict({
        'id': IMAGE, 'name': 'web', 'status': 'active', 'container_format': 'docker', 'disk_format': 'raw',
        'properties': properties,
    })


def subnet(cidr, address, gateway=None, dns=(), routes=()):
    """As nova.network.neutron builds it from Neutron's answers."""
    return model.Subnet(
        cidr=cidr,
        gateway=model.IP(address=gateway, type='gateway'),
        dns=[model.IP(address=server, type='dns') for server in dns],
        ips=[model.FixedIP(address=address)],
        routes=[model.Route(cidr=to, gateway=model.IP(address=via, type='gateway')) for to, via in routes],
        dhcp_server=gateway)


def vif(port=PORT, active=False, subnets=None, mtu=1450, **fields):
    """A port of ML2/linuxbridge, as nova.network.neutron builds it."""
    if subnets is None:
        subnets = [subnet('10.0.0.0/24', '10.0.0.5', '10.0.0.1', dns=['10.0.0.2'])]
    network = model.Network(
        id=NETWORK, bridge=('brq' + NETWORK)[:model.NIC_NAME_LEN], injected=False, label='private',
        tenant_id='a-project', mtu=mtu, physical_network=None, tunneled=True)
    network['subnets'] = subnets
    network['should_create_bridge'] = True
    values = dict(
        id=port, address='fa:16:3e:01:02:03', network=network, vnic_type='normal', type='bridge', profile={},
        details={'port_filter': True, 'connectivity': 'l2'}, ovs_interfaceid=None,
        devname=('tap' + port)[:model.NIC_NAME_LEN], active=active, preserve_on_delete=False, delegate_create=True)
    values.update(fields)
    return model.VIF(**values)


def network_info(*vifs):
    return model.NetworkInfo(vifs)
