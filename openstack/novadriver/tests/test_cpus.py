"""Pinning, the way that Nova itself goes: what the driver reports is what Nova's own code fits servers onto."""

import inspect

import harness
import fakes

from nova import exception
from nova import objects
from nova.virt import hardware
from nova.virt.docker import cpus
from nova.virt.docker import wire


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.host = fakes.Agent().resources

    def sets(self, shared=None, dedicated=None):
        self.configure('compute', cpu_shared_set=shared, cpu_dedicated_set=dedicated)


class Sets(TestCase):
    def both(self):
        return sorted(cpus.shared(self.host)), sorted(cpus.dedicated(self.host))

    def test_none(self):
        self.assertEqual(([0, 1, 2, 3, 4, 5, 6, 7], []), self.both())

    def test_both(self):
        self.sets('0-1,^0,4', '2,6')
        self.assertEqual(([1, 4], [2, 6]), self.both())

    def test_dedicated_alone_leaves_none_to_share(self):
        self.sets(dedicated='2,6')
        self.assertEqual(([], [2, 6]), self.both())

    def test_shared_alone(self):
        self.sets('0,1')
        self.assertEqual(([0, 1], []), self.both())

    def test_what_is_not_online(self):
        for sets in ({'shared': '0,9'}, {'dedicated': '9'}):
            with self.subTest(sets):
                self.sets(**sets)
                with self.assertRaisesRegex(exception.InvalidConfiguration, r'\[9\]'):
                    self.both()

    def test_one_cpu_cannot_be_both(self):
        self.sets('0-3', '3-4')
        with self.assertRaisesRegex(exception.InvalidConfiguration, r'\[3\]'):
            self.both()


class Topology(TestCase):
    def claim(self, **extra_specs):
        """Nova's claim for a flavor of two vCPUs, from what the driver reports, as it is kept in the database."""
        stored = cpus.topology(self.host)._to_json()
        reported = objects.NUMATopology.obj_from_db_obj(stored)
        flavor = objects.Flavor(vcpus=2, memory_mb=512, root_gb=5, extra_specs={
            'hw:' + name: value for name, value in extra_specs.items()})
        wanted = hardware.numa_get_constraints(flavor, harness.image_meta())
        # Newer releases want to know the providers of PCI devices too; there are none.
        parameters = inspect.signature(hardware.numa_fit_instance_to_host).parameters
        more = {'provider_mapping': None} if 'provider_mapping' in parameters else {}
        fitted = hardware.numa_fit_instance_to_host(reported, wanted, **more)
        if fitted is not None:
            hardware.numa_usage_from_instance_numa(reported, fitted)  # what the audit adds up
        return fitted

    def where(self, topology):
        return cpus.of(harness.instance(numa_topology=topology))

    def test_a_pinned_server_gets_a_core_of_its_own(self):
        self.sets('0,1', '2,3,6,7')
        where = self.where(self.claim(cpu_policy='dedicated'))
        self.assertIn(where['pinned_cpus'], ([2, 6], [3, 7]))
        self.assertEqual([1], where['numa_nodes'])
        self.assertEqual([0, 1], where['shared_cpus'])

    def test_pinned_over_two_nodes(self):
        self.sets('0', '1,2')
        where = self.where(self.claim(cpu_policy='dedicated', numa_nodes='2'))
        self.assertEqual(([1, 2], [0, 1]), (where['pinned_cpus'], where['numa_nodes']))

    def test_mixed(self):
        self.sets('0', '1,4')
        where = self.where(self.claim(cpu_policy='mixed', cpu_dedicated_mask='1'))
        self.assertEqual(1, len(where['pinned_cpus']))
        self.assertEqual([0], where['numa_nodes'])

    def test_without_dedicated_cpus_there_is_no_pinned_server(self):
        # Where a host reported no topology at all, Nova would start it unpinned.
        self.assertIsNone(self.claim(cpu_policy='dedicated'))
        self.sets(dedicated='1')
        self.assertIsNone(self.claim(cpu_policy='dedicated'))

    def test_numa_nodes_without_pinning(self):
        where = self.where(self.claim(numa_nodes='1'))
        self.assertEqual([], where['pinned_cpus'])
        self.assertEqual(1, len(where['numa_nodes']))

    def test_no_huge_pages(self):
        self.assertIsNotNone(self.claim(mem_page_size='small'))
        for size in ('large', '2048'):
            self.assertIsNone(self.claim(mem_page_size=size))

    def test_a_server_that_wants_nothing_special(self):
        self.assertEqual({'pinned_cpus': [], 'shared_cpus': [], 'numa_nodes': []}, self.where(None))


class Wire(TestCase):
    def test_where_it_may_run_is_in_the_spec(self):
        self.sets('0,1', '2,3,6,7')
        topology = objects.InstanceNUMATopology(cells=[objects.InstanceNUMACell(
            id=1, cpuset=set(), pcpuset={0, 1}, memory=512, cpu_policy='dedicated', cpu_pinning={0: 6, 1: 2})])
        spec = wire.spec(harness.instance(numa_topology=topology), harness.image_meta(), harness.IMAGE)
        self.assertEqual(([2, 6], [0, 1], [1]), (spec['pinned_cpus'], spec['shared_cpus'], spec['numa_nodes']))

    def test_image_properties_do_not_reach_the_agent(self):
        # A tenant writes them. hw_cpu_policy is Nova's own to read; only os_command_line is ndock's.
        harmless = wire.spec(harness.instance(), harness.image_meta(), harness.IMAGE)
        hostile = wire.spec(harness.instance(), harness.image_meta(
            hw_cpu_policy='dedicated', hw_mem_page_size='large', hw_numa_nodes='2', hw_vif_model='virtio',
            hw_pmu=True, hw_watchdog_action='reset', os_require_quiesce=True, hw_rng_model='virtio'), harness.IMAGE)
        self.assertEqual(harmless, hostile)
