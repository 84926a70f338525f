"""What the driver makes of Nova's calls; spawn has a file of its own."""

import json
import os
import tempfile
from unittest import mock
import uuid

import harness
import fakes

from nova import exception
from nova import objects
from nova.compute import power_state
from nova.compute import provider_tree
from nova.compute import resource_tracker
from nova.virt.docker import agent as ndock
from nova.virt.docker import availability
from nova.virt.docker import driver
from nova.virt.docker import DockerDriver


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.watching = self.patch(availability.Watch, 'start')
        self.let_go = self.patch(availability, 'let_go')
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.instance = harness.instance()
        self.network_info = harness.network_info(harness.vif())

    def container(self, state, server=harness.SERVER, **fields):
        self.agent.container(server, state, **fields)


class Host(TestCase):
    def test_ip_is_the_configured_one(self):
        self.configure(my_ip='192.0.2.7')
        self.assertEqual('192.0.2.7', self.driver.get_host_ip_addr())

    def test_uptime_is_the_agents(self):
        self.assertIn('up 3 days', self.driver.get_host_uptime())

    def test_init_host_waits_for_the_agent(self):
        unavailable = ndock.AgentUnavailable(path='p', reason='r')
        there = {'agent': '1', 'engine': '20.10.24'}
        self.patch(self.agent, 'version', side_effect=[unavailable, unavailable, there])
        sleep = self.patch(driver.time, 'sleep')
        self.driver.init_host(harness.HOST)
        self.assertEqual([mock.call(5)] * 2, sleep.call_args_list)
        self.let_go.assert_called_once_with()

    def test_events_are_followed_from_the_first_audit_on(self):
        self.driver.init_host(harness.HOST)
        self.watching.assert_not_called()
        self.driver.get_available_resource(harness.HOST)
        self.watching.assert_called_once_with()


class Resources(TestCase):
    # What nova.compute.resource_tracker reads without asking whether it is there.
    NEEDED = ('vcpus', 'memory_mb', 'local_gb', 'vcpus_used', 'memory_mb_used', 'local_gb_used', 'numa_topology',
              'cpu_info', 'hypervisor_type', 'hypervisor_version', 'hypervisor_hostname')

    def test_all_that_the_resource_tracker_needs(self):
        resources = self.driver.get_available_resource(harness.HOST)
        self.assertEqual(set(), set(self.NEEDED) - set(resources))
        self.assertEqual(harness.HOST, resources['hypervisor_hostname'])
        self.assertEqual('docker', resources['hypervisor_type'])
        self.assertEqual(60, resources['disk_available_least'])
        self.assertEqual([], json.loads(resources['pci_passthrough_devices']))  # libvirt's are gone

    def test_cpu_info_is_json(self):
        self.assertEqual({'arch': 'x86_64', 'model': 'A Processor @ 2 GHz'},
                         json.loads(self.driver.get_available_resource(harness.HOST)['cpu_info']))

    def test_nova_makes_a_compute_node_of_it(self):
        node = objects.ComputeNode()
        node.update_from_virt_driver(self.driver.get_available_resource(harness.HOST))
        self.assertEqual((8, 16000, 100), (node.vcpus, node.memory_mb, node.local_gb))
        self.assertEqual(20010024, node.hypervisor_version)
        spec, = node.supported_hv_specs
        self.assertEqual(('x86_64', 'docker', 'exe'), (spec.arch, spec.hv_type, spec.vm_mode))


PROVIDER_YAML = """
meta: {schema_version: '1.0'}
providers:
- identification: {uuid: $COMPUTE_NODE}
  inventories: {additional: [{CUSTOM_LICENCE: {total: 5, reserved: 0, min_unit: 1, max_unit: 5, step_size: 1, allocation_ratio: 1.0}}]}
"""


class ProviderTree(TestCase):
    def setUp(self):
        super().setUp()
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root(harness.HOST, str(uuid.uuid4()))

    def inventory(self):
        self.driver.update_provider_tree(self.tree, harness.HOST)
        return self.tree.data(harness.HOST).inventory

    def test_inventory(self):
        self.configure(reserved_host_cpus=1, reserved_host_memory_mb=512, reserved_host_disk_mb=1500)
        inventory = self.inventory()
        self.assertEqual({'VCPU': (8, 1), 'MEMORY_MB': (16000, 512), 'DISK_GB': (100, 2)},
                         {name: (kind['total'], kind['reserved']) for name, kind in inventory.items()})
        for name, kind in inventory.items():
            self.assertEqual((1, kind['total'], 1), (kind['min_unit'], kind['max_unit'], kind['step_size']), name)

    def test_allocation_ratios_of_the_configuration(self):
        self.configure(cpu_allocation_ratio=3.0, ram_allocation_ratio=1.5, disk_allocation_ratio=1.0)
        self.assertEqual({'VCPU': 3.0, 'MEMORY_MB': 1.5, 'DISK_GB': 1.0},
                         {name: kind['allocation_ratio'] for name, kind in self.inventory().items()})

    def test_a_ratio_set_in_placement_stays(self):
        inventory = self.inventory()
        inventory['VCPU']['allocation_ratio'] = 7.0
        self.tree.update_inventory(harness.HOST, inventory)
        self.assertEqual(7.0, self.inventory()['VCPU']['allocation_ratio'])

    def test_what_is_not_there_is_not_offered(self):
        self.agent.resources['disk_gb'] = 0  # Placement refuses a total of 0
        self.assertEqual({'VCPU', 'MEMORY_MB'}, set(self.inventory()))

    def test_what_is_gone_and_sold_is_not_for_sale(self):
        self.agent.resources['devices'] = [{'class': 'PGPU', 'kind': 'a.com/gpu', 'total': 2}]
        self.inventory()
        self.agent.resources['devices'] = []
        self.sold = {'a server': {'resources': {'VCPU': 1, 'PGPU': 1}}}
        pgpu = self.inventory()['PGPU']
        self.assertEqual((2, 2), (pgpu['total'], pgpu['reserved']))
        self.sold = {'another': {'resources': {'VCPU': 1}}}
        self.assertNotIn('PGPU', self.inventory())

    def test_what_provider_yaml_adds_is_novas(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.configure(group='compute', provider_config_location=directory.name)
        with open(os.path.join(directory.name, 'provider.yaml'), 'w') as file:
            file.write(PROVIDER_YAML)
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        tracker = resource_tracker.ResourceTracker(harness.HOST, self.driver, mock.Mock())
        self.sold = {'a server': {'resources': {'VCPU': 1, 'CUSTOM_LICENCE': 1}}}
        for _ in range(2):  # the second audit finds what the first has added
            self.inventory()
            self.tree.add_traits(harness.HOST, 'COMPUTE_NODE')  # as Nova does
            tracker._merge_provider_configs(tracker.provider_configs, self.tree)
            self.assertEqual((5, 0), tuple(self.tree.data(harness.HOST).inventory['CUSTOM_LICENCE'][name] for name in ('total', 'reserved')))
        self.assertEqual({'CUSTOM_LICENCE'}, self.driver._others)

    def test_what_others_set_stays(self):
        self.tree.update_traits(harness.HOST, ['CUSTOM_OF_THE_OPERATOR'])
        self.inventory()
        self.assertEqual({'CUSTOM_OF_THE_OPERATOR', 'CUSTOM_NDOCK', 'CUSTOM_NDOCK_LAYERS', 'CUSTOM_NDOCK_RUNTIME_RUNC',
                          'HW_ARCH_X86_64', 'COMPUTE_ARCH_X86_64'}, self.tree.data(harness.HOST).traits)


class WhatIsThere(TestCase):
    def test_states(self):
        for state, want in {'running': power_state.RUNNING, 'paused': power_state.PAUSED,
                            'stopped': power_state.SHUTDOWN, 'crashed': power_state.CRASHED}.items():
            with self.subTest(state):
                self.container(state)
                info = self.driver.get_info(self.instance)
                self.assertEqual((want, 'c' * 64), (info.state, info.internal_id))

    def test_no_container(self):
        with self.assertRaises(exception.InstanceNotFound):
            self.driver.get_info(self.instance, use_cache=False)

    def test_the_engine_goes_right_after_a_spawn(self):
        self.agent.failing['instance'] = ndock.AgentError(reason='Cannot connect to the Docker daemon')
        for task in ('spawning', 'rebuild_spawning', 'resize_finish'):
            self.assertEqual(power_state.NOSTATE, self.driver.get_info(harness.instance(task_state=task)).state, task)
        with self.assertRaises(ndock.AgentError):
            self.driver.get_info(harness.instance(task_state=None))

    def test_lists(self):
        self.assertEqual(([], []), (self.driver.list_instances(), self.driver.list_instance_uuids()))
        self.container('running')
        self.container('stopped', server='another')
        self.assertEqual(['web', 'web'], self.driver.list_instances())
        self.assertEqual([harness.SERVER, 'another'], self.driver.list_instance_uuids())

    def test_a_server_with_only_a_backup(self):
        """Nova deletes what is left of deleted servers by this list; what runs here it counts by the other."""
        self.container('stopped')
        self.agent.back_up(harness.SERVER)
        self.assertEqual([harness.SERVER], self.driver.list_instance_uuids())
        self.assertEqual([], self.driver.list_instances())
        self.assertFalse(self.driver.instance_exists(self.instance))
        self.container('running')
        self.assertTrue(self.driver.instance_exists(self.instance))

    def test_console_is_bytes(self):
        self.agent.output = b'\xffnot text'
        self.assertEqual(b'\xffnot text', self.driver.get_console_output(harness.context(), self.instance))


class Life(TestCase):
    def test_destroy_and_cleanup_are_idempotent(self):
        for remove in (self.driver.destroy, self.driver.cleanup):
            self.container('running')
            self.agent.ports.add(harness.PORT)
            for _ in range(2):
                remove(harness.context(), self.instance, self.network_info)
                self.assertEqual([], self.agent.there())

    def test_destroy_without_network(self):
        self.container('running')
        self.driver.destroy(harness.context(), self.instance, None)
        self.assertEqual([], self.agent.there())

    def test_destroyed_only_to_be_replaced(self):
        port, backup = 'port %s' % harness.PORT, '%s backup' % harness.SERVER
        for task, host, kept in [
            ('rebuilding', harness.HOST, [port]), ('resize_reverting', harness.HOST, [backup, port]),
            ('deleting', harness.HOST, []), ('rebuilding', 'another', []),  # evacuated from here
        ]:
            with self.subTest(task, host=host):
                self.container('stopped')
                self.agent.ports.add(harness.PORT)
                self.agent.backups.clear()
                self.agent.back_up(harness.SERVER)
                self.container('running')
                instance = harness.instance(task_state=task, host=host)
                self.driver.destroy(harness.context(), instance, self.network_info)
                self.assertEqual(kept, self.agent.there())

    def test_plug_and_unplug(self):
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assertEqual({harness.PORT}, self.agent.ports)
        self.driver.unplug_vifs(self.instance, self.network_info)
        self.assertEqual(set(), self.agent.ports)

    def test_what_cannot_be_plugged_is_one_servers_fault(self):
        """Any other exception ends nova-compute, which plugs the ports of all servers when it starts."""
        for raised, wanted in [
            (ndock.AgentError(reason='tap1 is not of this server'), exception.VirtualInterfacePlugException),
            (exception.InstanceNotFound(instance_id=harness.SERVER), exception.VirtualInterfacePlugException),
            (ndock.AgentUnavailable(path='agent.sock', reason='refused'), ndock.AgentUnavailable),
        ]:
            self.agent.failing['plug'] = raised
            with self.assertRaises(wanted) as caught:
                self.driver.plug_vifs(self.instance, self.network_info)
            self.assertEqual(raised.format_message(), caught.exception.format_message())

    def test_power_on(self):
        for more in ((), (None, None, [])):  # as Nova calls it from 31
            self.container('stopped')
            self.agent.ports.clear()
            self.driver.power_on(harness.context(), self.instance, self.network_info, *more)
            self.runs_with_its_port()

    def runs_with_its_port(self):
        found = self.agent.containers[harness.SERVER]
        self.assertEqual(('running', {harness.PORT}), (found['state'], found['ports']))

    def test_power_off(self):
        for arguments, grace in [
            ((self.instance,), 0),
            ((self.instance, 60, 10), 60),
            ((harness.context(), self.instance), 0),  # how releases from 27 clean up what is deleted
        ]:
            with self.subTest(arguments):
                self.container('running')
                self.agent.log.clear()
                self.driver.power_off(*arguments)
                self.assertEqual('stopped', self.agent.containers[harness.SERVER]['state'])
                self.assertEqual([(harness.SERVER, grace)], self.agent.asked('stop'))
        self.agent.log.clear()
        self.driver.power_off(self.instance, timeout=7, retry_interval=1)
        self.assertEqual([(harness.SERVER, 7)], self.agent.asked('stop'))

    def test_power_off_before_a_shelve(self):
        self.container('running')
        self.driver.power_off(harness.instance(task_state='shelving'), timeout=7, retry_interval=1)
        self.assertEqual([(harness.SERVER, 7, 'commit')], self.agent.asked('stop'))

    def test_reboot(self):
        self.configure(shutdown_timeout=42)
        for kind, grace in {'SOFT': 42, 'HARD': 0}.items():
            with self.subTest(kind):
                self.container('stopped')
                self.agent.ports.clear()
                self.agent.log.clear()
                self.driver.reboot(harness.context(), self.instance, self.network_info, kind)
                self.runs_with_its_port()
                self.assertEqual([(harness.SERVER, grace)], self.agent.asked('restart'))

    def test_the_images_own_time_to_shut_down(self):
        self.configure(shutdown_timeout=42)
        self.instance.system_metadata = {'image_os_shutdown_timeout': '7'}
        self.container('running')
        self.driver.reboot(harness.context(), self.instance, self.network_info, 'SOFT')
        self.assertEqual([(harness.SERVER, 7)], self.agent.asked('restart'))

    def test_pause_and_unpause(self):
        self.container('running')
        self.driver.pause(self.instance)
        self.assertEqual(power_state.PAUSED, self.driver.get_info(self.instance).state)
        self.driver.unpause(self.instance)
        self.assertEqual(power_state.RUNNING, self.driver.get_info(self.instance).state)

    def test_resume_on_host_boot(self):
        for more in ((None,), ([], None)):  # block devices; from 31 shares before them
            for state, starts in {'stopped': 1, 'running': 0}.items():
                with self.subTest(more=more, state=state):
                    self.container(state, ports={harness.PORT})
                    self.agent.ports.clear()
                    self.agent.log.clear()
                    self.driver.resume_state_on_host_boot(
                        harness.context(), self.instance, self.network_info, *more)
                    self.runs_with_its_port()
                    self.assertEqual({harness.PORT}, self.agent.ports)
                    self.assertEqual(starts, len(self.agent.asked('start')))  # one that runs is not started again
