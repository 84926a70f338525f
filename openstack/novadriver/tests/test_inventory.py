"""What Placement is told, with others on the host too."""

import uuid

import harness
import fakes

import os_traits

from nova import context
from nova import objects
from nova.compute import provider_tree
from nova.scheduler import request_filter
from nova.virt.docker import inventory
from nova.virt.docker import DockerDriver

NODE = 'kvm1.example.com'
OURS = {'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS', 'CUSTOM_NDOCK_RUNTIME_RUNC', 'HW_ARCH_X86_64', 'COMPUTE_ARCH_X86_64'}


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
            self.assertEqual(others | OURS | want, self.traits(limited))

    def test_kinds_of_devices(self):
        self.tree.update_traits(harness.HOST, ['CUSTOM_OF_THE_OPERATOR', 'CUSTOM_NDOCK_CDI', 'CUSTOM_NDOCK_CDI_B_COM_GONE'])
        own = {'CUSTOM_OF_THE_OPERATOR'} | OURS
        kinds = [{'class': 'PGPU', 'kind': 'a-b.com/gpu_2', 'total': 1}, {'class': 'VGPU', 'kind': '', 'total': 1}]
        for there, want in [(kinds, {'CUSTOM_NDOCK_CDI', 'CUSTOM_NDOCK_CDI_A_B_COM_GPU_2'}), (kinds[1:], set()), ([], set())]:
            self.agent.resources['devices'] = there
            self.assertEqual(own | want, self.traits(False))

    def test_those_of_another_driver_go(self):
        libvirts = ['COMPUTE_GRAPHICS_MODEL_VGA', 'COMPUTE_SECURITY_UEFI_SECURE_BOOT', 'COMPUTE_ARCH_S390X', 'HW_ARCH_I686', 'HW_CPU_X86_AVX2']
        self.tree.update_traits(harness.HOST, libvirts + ['CUSTOM_OF_THE_OPERATOR', 'HW_NIC_SRIOV'])
        self.assertEqual({'CUSTOM_OF_THE_OPERATOR', 'HW_NIC_SRIOV'} | OURS, self.traits(False))

    def test_the_processor(self):
        for name in sorted(inventory.PROCESSORS) + ['ppc64', 'z80']:
            self.tree.update_traits(harness.HOST, [])
            self.agent.resources['architecture'] = name
            want = {'HW_ARCH_' + name.upper(), 'COMPUTE_ARCH_' + name.upper()} if name in inventory.PROCESSORS else set()
            self.assertEqual(want, {trait for trait in self.traits(False) if '_ARCH_' in trait})
            self.assertEqual(set(), want - set(os_traits.get_traits()))  # which is what Placement knows

    def test_an_image_with_an_architecture_finds_the_host(self):
        self.configure(group='scheduler', image_metadata_prefilter=True)
        for name in ('hw_architecture', 'hw_emulation_architecture'):
            for architecture, found in [('x86_64', True), ('aarch64', False)]:
                image = objects.ImageMeta(properties=objects.ImageMetaProps(**{name: architecture}))
                spec = objects.RequestSpec(image=image)
                self.assertTrue(request_filter.transform_image_metadata(context.get_admin_context(), spec))
                self.assertEqual(found, spec.root_required <= self.traits(False), (spec.root_required, name))

    def test_what_an_operator_says_of_the_processor_stays(self):
        self.traits(False)
        self.tree.add_traits(harness.HOST, 'HW_CPU_X86_AVX2', 'COMPUTE_STATUS_DISABLED')
        self.assertEqual({'HW_CPU_X86_AVX2'} | OURS, self.traits(False))  # Nova adds the other one again


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
