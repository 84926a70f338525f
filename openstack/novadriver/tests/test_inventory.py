"""What Placement is told, with others on the host too."""

import uuid

import harness
import fakes

from nova.compute import provider_tree
from nova.virt.docker import inventory
from nova.virt.docker import DockerDriver

NODE = 'kvm1.example.com'


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


    def test_devices_are_sold_once(self):
        self.host['devices'] = [{'class': 'CUSTOM_FPGA', 'kind': 'a.com/fpga', 'total': 2}, {'class': 'PGPU', 'kind': '', 'total': 0}]
        self.assertEqual((2, 0, 1.0), self.of()['CUSTOM_FPGA'])
        self.assertNotIn('PGPU', self.of())


class Traits(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root(harness.HOST, str(uuid.uuid4()))

    def traits(self, limited):
        self.agent.resources['root_disks'] = {'limited': limited, 'reason': ''}
        self.driver.update_provider_tree(self.tree, harness.HOST)
        return self.tree.data(harness.HOST).traits

    def test_a_runtime_that_works_is_a_trait(self):
        for names, want in [(['runc', 'gvisor'], {'RUNC', 'GVISOR'}), (['runc'], {'RUNC'})]:
            self.agent.resources['runtimes'] = names
            self.assertEqual({'CUSTOM_NDOCK_RUNTIME_' + name for name in want},
                             {trait for trait in self.traits(False) if 'RUNTIME' in trait})

    def test_a_trait_that_is_not_true_any_more_goes(self):
        self.tree.update_traits(harness.HOST, ['CUSTOM_OF_THE_OPERATOR', 'OWNER_NOVA'])
        others = {'CUSTOM_OF_THE_OPERATOR', 'OWNER_NOVA'}
        for limited, want in [(False, set()), (True, {'CUSTOM_NDOCK_DISK_QUOTA'}), (False, set())]:
            self.assertEqual(others | {'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS', 'CUSTOM_NDOCK_RUNTIME_RUNC'} | want, self.traits(limited))

    def test_kinds_of_devices(self):
        self.tree.update_traits(harness.HOST, ['CUSTOM_OF_THE_OPERATOR', 'CUSTOM_NDOCK_CDI', 'CUSTOM_NDOCK_CDI_B_COM_GONE'])
        own = {'CUSTOM_OF_THE_OPERATOR', 'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS', 'CUSTOM_NDOCK_RUNTIME_RUNC'}
        kinds = [{'class': 'PGPU', 'kind': 'a-b.com/gpu_2', 'total': 1}, {'class': 'VGPU', 'kind': '', 'total': 1}]
        for there, want in [(kinds, {'CUSTOM_NDOCK_CDI', 'CUSTOM_NDOCK_CDI_A_B_COM_GPU_2'}), (kinds[1:], set()), ([], set())]:
            self.agent.resources['devices'] = there
            self.assertEqual(own | want, self.traits(False))

    def test_those_of_another_driver_go(self):
        libvirts = ['COMPUTE_GRAPHICS_MODEL_VGA', 'COMPUTE_SECURITY_UEFI_SECURE_BOOT', 'HW_ARCH_X86_64', 'HW_CPU_X86_AVX2']
        self.tree.update_traits(harness.HOST, libvirts + ['CUSTOM_OF_THE_OPERATOR', 'HW_NIC_SRIOV'])
        self.assertEqual({'CUSTOM_OF_THE_OPERATOR', 'HW_NIC_SRIOV', 'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS',
                          'CUSTOM_NDOCK_RUNTIME_RUNC'}, self.traits(False))

    def test_what_an_operator_says_of_the_processor_stays(self):
        self.traits(False)
        self.tree.add_traits(harness.HOST, 'HW_CPU_X86_AVX2', 'COMPUTE_STATUS_DISABLED')
        self.assertEqual({'HW_CPU_X86_AVX2', 'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS',
                          'CUSTOM_NDOCK_RUNTIME_RUNC'}, self.traits(False))  # Nova adds the other one again


class OfLibvirt(harness.TestCase):
    """What the node's provider has when libvirt ran the host before."""

    def setUp(self):
        super().setUp()
        self.driver = DockerDriver(fakes.VirtAPI(None), fakes.Agent())
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root(NODE, str(uuid.uuid4()))

    def left(self):
        self.driver.update_provider_tree(self.tree, NODE)
        return {self.tree.data(found).name for found in self.tree.get_provider_uuids(NODE)} - {NODE}

    def test_inventory(self):
        of_libvirt = {'total': 4, 'reserved': 0, 'min_unit': 1, 'max_unit': 4, 'step_size': 1, 'allocation_ratio': 1.0}
        self.tree.update_inventory(NODE, {'VCPU': dict(of_libvirt, allocation_ratio=16.0), 'CUSTOM_PMEM_NAMESPACE_4GB': of_libvirt,
                                          'MEM_ENCRYPTION_CONTEXT': of_libvirt, 'PCPU': of_libvirt})
        self.left()
        self.assertEqual({'VCPU', 'MEMORY_MB', 'DISK_GB'}, set(self.tree.data(NODE).inventory))

    def test_providers(self):
        for name in 'pci_0000_84_00_0', 'mtty_mtty', 'amd_sev', 'amd_sev_es', 'intel_tdx':
            self.tree.new_child('%s_%s' % (NODE, name), NODE)
        self.tree.add_traits(NODE + '_amd_sev', 'OWNER_NOVA', 'HW_CPU_X86_AMD_SEV')
        self.assertEqual(set(), self.left())

    def test_a_provider_below_one_that_goes(self):
        self.tree.new_child('%s_pci_0000_84_00_0' % NODE, NODE)
        self.tree.new_child('%s_pci_0000_84_00_1' % NODE, '%s_pci_0000_84_00_0' % NODE)
        self.assertEqual(set(), self.left())

    def test_providers_of_others(self):
        others = {'%s_0000:81:00.0' % NODE, 'compute1:Open vSwitch agent', '%s_pci_0000_85_00_0' % NODE, 'another_pci_0000_84_00_0'}
        for name in others:
            self.tree.new_child(name, NODE)
        self.tree.new_child('compute1:Open vSwitch agent:br-ex', 'compute1:Open vSwitch agent')
        self.tree.add_traits('%s_pci_0000_85_00_0' % NODE, 'OWNER_CYBORG')
        self.assertEqual(others | {'compute1:Open vSwitch agent:br-ex'}, self.left())
