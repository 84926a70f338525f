"""The JSON that goes to the agent, byte for byte: the agent's own tests read the files that are compared here.

UPDATE=1 writes them anew.
"""

import json
import os

import harness

from nova import objects
from nova.virt.docker import wire


def subnet_v4(**kwargs):
    return harness.subnet('10.0.0.0/24', '10.0.0.5', **kwargs)


def subnet_v6(**kwargs):
    return harness.subnet('fd00:1::/64', 'fd00:1::5', **kwargs)


def ovs():
    """An OVS port, whose bridge is not one that Linux has."""
    port = harness.vif(type='ovs', ovs_interfaceid=harness.PORT, active=True,
                       details={'port_filter': True, 'bridge_name': 'br-int', 'datapath_type': 'system',
                                'bound_drivers': {'0': 'openvswitch'}})
    port['network']['bridge'] = 'br-int'
    return port


def without_bridge():
    port = harness.vif()
    port['network']['bridge'] = None
    return port


def floating():
    port = harness.vif()
    port['network']['subnets'][0]['ips'][0].add_floating_ip(harness.model.IP(address='198.51.100.7', type='floating'))
    return port


VIFS = {
    'v4': lambda: harness.vif(subnets=[subnet_v4(gateway='10.0.0.1', dns=['10.0.0.2', '10.0.0.3'])]),
    'v6': lambda: harness.vif(subnets=[subnet_v6(gateway='fd00:1::1', dns=['fd00:1::2'])]),
    'dual stack': lambda: harness.vif(subnets=[
        subnet_v4(gateway='10.0.0.1', dns=['10.0.0.2']), subnet_v6(gateway='fd00:1::1', dns=['fd00:1::2'])]),
    'no address': lambda: harness.vif(subnets=[]),
    'no gateway': lambda: harness.vif(subnets=[subnet_v4()]),
    'routes': lambda: harness.vif(subnets=[subnet_v4(gateway='10.0.0.1', routes=[
        ('169.254.169.254/32', '10.0.0.2'), ('192.168.0.0/16', '10.0.0.254')])]),
    'floating ip': floating,
    'no mtu': lambda: harness.vif(mtu=None),
    'ovs': ovs,
    'no bridge': without_bridge,
    'unbound': lambda: harness.vif(type='binding_failed'),
}


class Wire(harness.TestCase):
    maxDiff = None

    def compare(self, name, value):
        path = os.path.join(harness.HERE, 'testdata', name)
        text = json.dumps(value, indent=1, sort_keys=True) + '\n'
        if os.environ.get('UPDATE'):
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), text)

    def test_ports(self):
        ports = {name: wire.ports(harness.network_info(make()))[0] for name, make in VIFS.items()}
        self.compare('vifs.json', ports)

    def test_no_ports(self):
        self.assertEqual([], wire.ports(None))
        self.assertEqual([], wire.ports(harness.network_info()))

    def test_order_of_the_ports(self):
        second = '4f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40'
        ports = wire.ports(harness.network_info(harness.vif(port=second), harness.vif()))
        self.assertEqual([second, harness.PORT], [port['id'] for port in ports])

    def test_spec(self):
        self.configure('compute', cpu_shared_set='0,1', cpu_dedicated_set='2-5')
        topology = objects.InstanceNUMATopology(cells=[objects.InstanceNUMACell(
            id=1, cpuset=set(), pcpuset={0, 1}, memory=512, cpu_policy='dedicated', cpu_pinning={0: 3, 1: 2})])
        instance = harness.instance(metadata={'COLOUR': 'blue'}, user_data='I25kb2NrCnsiY29tbWFuZCI6WyJ0cnVlIl19',
                                    numa_topology=topology)
        instance.flavor.extra_specs = {'hw:cpu_policy': 'dedicated', 'quota:cpu_shares': '512'}
        self.compare('spec.json', wire.spec(instance, harness.image_meta(os_command_line='sleep 60'), harness.IMAGE))

    def test_spec_of_little(self):
        self.compare('spec-of-little.json', wire.spec(harness.instance(), harness.image_meta(), harness.IMAGE))
