"""What Placement is told, with others on the host too."""

import uuid

import harness
import fakes

from nova.compute import provider_tree
from nova.virt.docker import inventory
from nova.virt.docker import DockerDriver


class Inventory(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.host = fakes.Agent().resources

    def of(self, reserved_disk=0):
        return {name: (kind['total'], kind['reserved'], kind['allocation_ratio'])
                for name, kind in inventory.of(self.host, {'VCPU': 4.0, 'MEMORY_MB': 1.0, 'DISK_GB': 1.0},
                                               reserved_disk).items()}

    def test_dedicated_cpus_are_sold_once_and_apart(self):
        self.configure('compute', cpu_shared_set='0-3', cpu_dedicated_set='4,5')
        self.assertEqual(((4, 0, 4.0), (2, 0, 1.0)), (self.of()['VCPU'], self.of()['PCPU']))

    def test_dedicated_alone(self):
        self.configure('compute', cpu_dedicated_set='4,5')
        self.assertEqual({'PCPU', 'MEMORY_MB', 'DISK_GB'}, set(self.of()))

    def test_what_others_hold_is_not_sold(self):
        self.configure(reserved_host_memory_mb=512)
        self.host.update(memory_foreign_mb=1024, disk_foreign_gb=30)
        self.assertEqual((16000, 1536, 1.0), self.of()['MEMORY_MB'])
        for reserved, want in {10: 30, 40: 40}.items():
            self.assertEqual((100, want, 1.0), self.of(reserved)['DISK_GB'])

    def test_no_more_is_reserved_than_there_is(self):
        self.configure(reserved_host_memory_mb=512, reserved_host_cpus=9)
        self.host.update(memory_foreign_mb=16000, disk_foreign_gb=101)
        self.assertEqual([True] * 3, [total == reserved for total, reserved, _ in self.of().values()])


class Traits(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.driver = DockerDriver(fakes.VirtAPI(self.agent.log), self.agent)
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root(harness.HOST, str(uuid.uuid4()))

    def traits(self, limited):
        self.agent.resources['root_disks'] = {'limited': limited, 'reason': ''}
        self.driver.update_provider_tree(self.tree, harness.HOST)
        return self.tree.data(harness.HOST).traits

    def test_a_trait_that_is_not_true_any_more_goes(self):
        self.tree.update_traits(harness.HOST, ['CUSTOM_OF_THE_OPERATOR', 'COMPUTE_NODE'])
        others = {'CUSTOM_OF_THE_OPERATOR', 'COMPUTE_NODE'}
        for limited, want in [(False, set()), (True, {'CUSTOM_NDOCK_DISK_QUOTA'}), (False, set())]:
            self.assertEqual(others | {'CUSTOM_NDOCK'} | want, self.traits(limited))
