"""spawn: the order of things, the wait for Neutron, and what is left when it fails."""

import threading
import time
from unittest import mock

import harness
import fakes

from nova import exception
from nova import objects
from nova.compute import manager
from nova.image import glance
from nova.network import model
from nova.virt.docker import agent as ndock
from nova.virt.docker import DockerDriver
from nova.virt.docker import guest

STEPS = ('plug', 'has_image', 'load_image', 'create', 'start')


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.use(fakes.VirtAPI(self.agent))
        self.instance = harness.instance()

    def use(self, virtapi):
        self.virtapi = virtapi
        self.driver = DockerDriver(virtapi, self.agent)
        self.driver._provider = harness.PROVIDER  # as an audit does
        self.images = self.driver._images = mock.create_autospec(glance.API, instance=True)
        self.images.download.side_effect = self.download
        self.downloads = []

    def download(self, context, image_id, data=None, dest_path=None, trusted_certs=None):
        self.downloads.append((image_id, trusted_certs))
        data.write(b'an archive')

    def spawn(self, *vifs, instance=None, **kwargs):
        self.driver.spawn(harness.context(), instance or self.instance, harness.image_meta(), [], 'secret', harness.ALLOCATIONS,
                          network_info=harness.network_info(*vifs), **kwargs)

    def runs(self):
        found = self.agent.containers[harness.SERVER]
        self.assertEqual(('running', self.agent.ports), (found['state'], found['ports']))


class Order(TestCase):
    def test_plug_first_wait_late(self):
        self.spawn(harness.vif())
        self.assertEqual([], self.virtapi.before)
        self.assertEqual(['%s stopped' % harness.SERVER, 'port %s' % harness.PORT], self.virtapi.waiting)
        self.assertEqual([(harness.IMAGE, None)], self.downloads)
        self.runs()

    def test_the_image_has_to_fit_the_flavor(self):
        self.spawn(harness.vif())
        self.assertEqual([(harness.IMAGE, self.instance.flavor.root_gb)], self.agent.asked('load_image'))
        self.assertLess(0, self.instance.flavor.root_gb)

    def test_an_image_that_is_there_is_not_fetched(self):
        self.agent.images.add(harness.IMAGE)
        self.spawn(harness.vif())
        self.assertEqual([], self.downloads)
        self.runs()

    def test_what_the_agent_is_given(self):
        self.instance.metadata = {'COLOUR': 'blue'}
        self.instance.user_data = 'I25kb2Nr'
        self.driver.spawn(harness.context(), self.instance, harness.image_meta(os_command_line='sleep 60'), [], None,
                          harness.ALLOCATIONS, network_info=harness.network_info(harness.vif()))
        self.assertEqual({
            'name': 'web', 'hostname': 'web', 'project_id': 'a-project', 'user_id': 'a-user',
            'image_id': harness.IMAGE, 'vcpus': 2, 'memory_mb': 512, 'root_gb': 5,
            'metadata': {'COLOUR': 'blue'}, 'user_data': 'I25kb2Nr', 'os_command_line': 'sleep 60',
            'source': '', 'new': True, 'public_key': None, 'password': None, 'files': [], 'config_drive': None,
            'extra_specs': {}, 'pinned_cpus': [], 'shared_cpus': [], 'numa_nodes': [], 'dns_domain': '',
            'devices': {},
        }, self.agent.containers[harness.SERVER]['spec'])

    def spawn_with(self, allocations):
        self.driver.spawn(harness.context(), self.instance, harness.image_meta(), [], None, allocations,
                          network_info=harness.network_info(harness.vif()))

    def test_what_placement_has_allocated_on_this_host(self):
        other = {'where it was evacuated from': {'resources': {'PGPU': 1}}}
        self.driver._others = {'CUSTOM_LICENCE'}  # which provider.yaml adds
        given = {'VCPU': 2, 'PCPU': 1, 'MEMORY_MB': 512, 'DISK_GB': 5, 'PGPU': 1, 'CUSTOM_FPGA': 2, 'CUSTOM_LICENCE': 1}
        self.spawn_with({harness.PROVIDER: {'resources': given, 'generation': 3}, **other})
        self.assertEqual({'PGPU': 1, 'CUSTOM_FPGA': 2}, self.agent.containers[harness.SERVER]['spec']['devices'])

    def test_the_metadata_names_its_devices(self):
        drives = []
        self.patch(guest, 'config_drive', side_effect=lambda instance, *args: drives.append(guest.known_devices(instance)))
        cells = [objects.InstanceNUMACell(id=1, cpuset=set(), pcpuset={0}, cpu_pinning={0: 3})]
        self.instance.numa_topology = objects.InstanceNUMATopology(cells=cells)
        self.spawn_with({harness.PROVIDER: {'resources': {'VCPU': 2, 'CUSTOM_FPGA': 2}}})
        self.assertEqual([(harness.SERVER, {'devices': {'CUSTOM_FPGA': 2}, 'numa_nodes': [1]})], self.agent.asked('reserve_devices'))
        self.assertEqual([('a.com/card', '0'), ('a.com/card', '1')],
                         [(found['tags'][0], found['serial']) for found in harness.told_devices(self.instance)])
        self.assertEqual([['a.com/card=0', 'a.com/card=1']], drives)

    def test_a_server_without_devices(self):
        self.spawn()
        self.assertEqual([], self.agent.asked('reserve_devices'))
        self.assertIsNone(self.instance.device_metadata)

    def test_its_devices_are_others(self):
        self.agent.failing['reserve_devices'] = ndock.AgentError(reason='this host has 0 that no server has')
        with self.assertRaisesRegex(ndock.AgentError, 'this host has 0'):
            self.spawn_with({harness.PROVIDER: {'resources': {'PGPU': 1}}})
        self.assertEqual(([], 1), (self.agent.there(), len(self.agent.asked('destroy'))))

    def test_placement_that_does_not_say_what_it_has_allocated(self):
        # Nova says None or nothing where it could not ask: the server would be without its devices.
        self.instance.flavor.extra_specs = {'resources:PGPU': '1'}
        for provider, allocations in [(harness.PROVIDER, None), (harness.PROVIDER, {}), (harness.PROVIDER, {'another': {'resources': {'VCPU': 2}}}),
                                      (None, harness.ALLOCATIONS), (None, None)]:
            self.driver._provider = provider
            with self.subTest(provider=provider, allocations=allocations), self.assertRaisesRegex(
                    exception.ConsumerAllocationRetrievalFailed, harness.SERVER):
                self.spawn_with(allocations)
            self.assertEqual([], self.agent.asked('plug') + self.agent.asked('create') + self.agent.asked('destroy'))

    def test_a_flavor_without_devices_needs_no_answer_of_placement(self):
        for specs in ({}, {'resources:VCPU': '1', 'resources:PGPU': '0', 'hw:cpu_policy': 'dedicated', 'trait:CUSTOM_X': 'required'}):
            self.instance.flavor.extra_specs = specs
            with self.subTest(specs=specs):
                self.spawn_with(None)
                self.assertEqual({}, self.agent.containers.pop(harness.SERVER)['spec']['devices'])

    def test_trusted_certificates_go_with_the_download(self):
        self.instance.trusted_certs = objects.TrustedCerts(ids=['a-certificate'])
        self.spawn(harness.vif())
        self.assertEqual([(harness.IMAGE, self.instance.trusted_certs)], self.downloads)

    def test_ports_that_are_still_being_made(self):
        def made():
            time.sleep(0.1)
            return harness.network_info(harness.vif())
        self.driver.spawn(harness.context(), self.instance, harness.image_meta(), [], None, harness.ALLOCATIONS,
                          network_info=model.NetworkInfoAsyncWrapper(made))
        self.assertEqual([((('network-vif-plugged', harness.PORT),), 300)], self.virtapi.waits)
        self.assertEqual({harness.PORT}, self.agent.ports)


class Wait(TestCase):
    """Neutron's event that a port is wired is waited for, the way that this Nova does it."""

    def test_events_of_the_ports_that_are_not_active(self):
        other = '4f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40'
        self.configure(vif_plugging_timeout=77)
        for virtapi in (fakes.OldVirtAPI, fakes.NewVirtAPI):
            with self.subTest(virtapi.__name__):
                self.agent = fakes.Agent()
                self.use(virtapi(self.agent))
                self.spawn(harness.vif(active=True), harness.vif(port=other))
                self.assertEqual([((('network-vif-plugged', other),), 77)], self.virtapi.waits)

    def test_none_when_all_are_active(self):
        self.spawn(harness.vif(active=True))
        self.assertEqual([], self.virtapi.waits)
        self.runs()

    def test_none_when_they_are_plugged(self):
        """As in a rebuild: Nova may not have heard yet that Neutron has wired the port."""
        self.agent.ports.add(harness.PORT)
        self.spawn(harness.vif(active=False))
        self.assertEqual([], self.virtapi.waits)
        self.runs()

    def test_none_without_ports(self):
        self.spawn()
        self.assertEqual([], self.virtapi.waits)
        self.runs()

    def test_none_when_not_started(self):
        self.spawn(harness.vif(), power_on=False)
        self.assertEqual([], self.virtapi.waits)
        self.assertEqual(['%s stopped' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())

    def test_none_when_the_operator_says_so(self):
        self.configure(vif_plugging_timeout=0)
        self.spawn(harness.vif())
        self.assertEqual([], self.virtapi.waits)
        self.runs()

    def test_neutron_says_that_it_failed(self):
        self.virtapi.answers = True
        with self.assertRaises(exception.VirtualInterfaceCreateException):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())
        self.assertEqual([], self.agent.asked('start'))

    def test_neutron_says_that_it_failed_and_it_does_not_matter(self):
        self.configure(vif_plugging_is_fatal=False)
        self.virtapi.answers = True
        self.spawn(harness.vif())
        self.runs()


class Timeouts(TestCase):
    def timeouts(self):
        """What nova-compute raises: with a deadline eventlet's, which is no Exception; with a timeout its own."""
        yield from self.deadlines()

        class InstanceEventTimeout(Exception):
            pass
        with mock.patch.object(exception, 'InstanceEventTimeout', InstanceEventTimeout, create=True):
            yield fakes.NewVirtAPI, InstanceEventTimeout()
            yield from self.deadlines()

    def deadlines(self):
        try:
            import eventlet
        except ImportError:
            return  # native threads forbid it, and have no deadline
        yield fakes.OldVirtAPI, eventlet.timeout.Timeout(None)

    def test_fatal(self):
        self.configure(vif_plugging_is_fatal=True)
        for virtapi, timeout in self.timeouts():
            with self.subTest(repr(timeout)):
                self.use(virtapi(self.agent))
                self.virtapi.raises = timeout
                with self.assertRaises(exception.VirtualInterfaceCreateException):
                    self.spawn(harness.vif())
                self.assertEqual(['%s stopped' % harness.SERVER, 'port %s' % harness.PORT], self.virtapi.waiting)
                self.assertEqual([], self.agent.there())
                self.assertEqual([], self.agent.asked('start'))

    def test_not_fatal(self):
        self.configure(vif_plugging_is_fatal=False)
        for virtapi, timeout in self.timeouts():
            with self.subTest(repr(timeout)):
                self.agent = fakes.Agent()
                self.use(virtapi(self.agent))
                self.virtapi.raises = timeout
                self.spawn(harness.vif())
                self.assertEqual(['%s stopped' % harness.SERVER, 'port %s' % harness.PORT], self.virtapi.waiting)
                self.runs()

    def test_any_other_baseexception_cleans_up_too(self):
        self.virtapi.raises = KeyboardInterrupt()
        with self.assertRaises(KeyboardInterrupt):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())


class RealManager(harness.TestCase):
    """The same with nova-compute's own events: what it waits for, and what it raises."""

    def setUp(self):
        super().setUp()
        self.events = manager.InstanceEvents()
        virtapi = manager.ComputeVirtAPI(mock.Mock(instance_events=self.events))
        self.agent = fakes.Agent()
        self.agent.images.add(harness.IMAGE)
        self.driver = DockerDriver(virtapi, self.agent)
        self.driver._provider = harness.PROVIDER  # as an audit does
        self.instance = harness.instance()

    def spawn(self):
        self.driver.spawn(harness.context(), self.instance, harness.image_meta(), [], None, harness.ALLOCATIONS,
                          network_info=harness.network_info(harness.vif()))

    def test_the_event_comes_while_the_container_is_made(self):
        def create(uuid, spec):
            event = objects.InstanceExternalEvent(name='network-vif-plugged', tag=harness.PORT, status='completed')
            manager.ComputeManager._process_instance_event(
                mock.Mock(instance_events=self.events), self.instance, event)
            fakes.Agent.create(self.agent, uuid, spec)
        self.agent.create = create
        self.spawn()
        self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())

    def test_the_event_does_not_come(self):
        self.configure(vif_plugging_timeout=1)
        with self.assertRaises(exception.VirtualInterfaceCreateException):
            self.spawn()
        self.assertEqual([], self.agent.there())
        self.assertEqual([], self.agent.asked('start'))


class Failures(TestCase):
    def test_each_step_cleans_up_and_raises(self):
        for step in STEPS:
            with self.subTest(step):
                self.agent.images.clear()
                self.agent.failing = {step: ndock.AgentError(reason='not today')}
                with self.assertRaisesRegex(ndock.AgentError, 'not today'):
                    self.spawn(harness.vif())
                self.assertEqual([], self.agent.there())

    def test_glance_fails(self):
        self.images.download.side_effect = exception.ImageNotFound(image_id=harness.IMAGE)
        with self.assertRaises(exception.ImageNotFound):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())
        self.assertEqual(set(), self.agent.images)

    def test_an_unusable_image_is_not_tried_elsewhere(self):
        """ImageUnacceptable is what ends a build; any other exception has it tried on the next host."""
        reason = ndock.UnusableImage(reason='it is a qcow2 disk image')
        for step in ('load_image', 'create', 'start'):
            with self.subTest(step):
                self.agent.images.clear()
                self.agent.failing = {step: reason}
                with self.assertRaisesRegex(exception.ImageUnacceptable, harness.IMAGE + '.*it is a qcow2 disk image'):
                    self.spawn(harness.vif())
                self.assertEqual([], self.agent.there())

    def test_an_unusable_flavor_is_not_tried_elsewhere(self):
        """InvalidInput ends a build too, and does not blame the image."""
        for step in ('load_image', 'create'):
            with self.subTest(step):
                self.agent.images.clear()
                self.agent.failing = {step: ndock.UnusableFlavor(reason="the flavor's quota:cpu_quota is \"much\"")}
                with self.assertRaisesRegex(exception.InvalidInput, 'quota:cpu_quota is "much"'):
                    self.spawn(harness.vif())
                self.assertEqual([], self.agent.there())

    def test_an_unusable_port_is_not_tried_elsewhere(self):
        self.agent.failing = {'plug': ndock.UnusablePort(reason='its MTU of 576 is below the 1280 that IPv6 needs')}
        with self.assertRaisesRegex(exception.InvalidInput, 'MTU of 576'):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())

    def test_refused_at_the_end_of_the_upload(self):
        self.agent.refusal = ndock.UnusableImage(reason='it is cut off')
        with self.assertRaisesRegex(exception.ImageUnacceptable, 'it is cut off'):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())

    def test_no_image_at_all(self):
        self.instance.image_ref = ''
        with self.assertRaisesRegex(exception.ImageUnacceptable, 'not from a volume'):
            self.spawn(harness.vif())
        self.assertEqual([], self.agent.there())

    def test_a_failed_cleanup_keeps_the_reason_and_is_made_up_for(self):
        self.agent.failing = {
            'create': ndock.AgentError(reason='the true reason'),
            'destroy': ndock.AgentUnavailable(path='p', reason='gone'),
        }
        with self.assertRaisesRegex(ndock.AgentError, 'the true reason'), self.assertLogs('nova.virt.docker', 'ERROR'):
            self.spawn(harness.vif())
        self.assertEqual(['port %s' % harness.PORT], self.agent.there())
        self.agent.failing = {}
        self.patch(objects.Instance, 'get_by_uuid', side_effect=exception.InstanceNotFound(instance_id='i'))
        self.driver._pending.finish()
        self.assertEqual([], self.agent.there())


class OneDownload(TestCase):
    SERVERS = 5

    def test_of_an_image_that_many_servers_want(self):
        """The first download goes on until all the others want the image too."""
        everyone_wants_it = threading.Semaphore(0)
        twice = threading.Event()

        def download(context, image_id, data=None, dest_path=None, trusted_certs=None):
            for _ in range(self.SERVERS):
                self.assertTrue(everyone_wants_it.acquire(timeout=10))
            # Nobody else gets as far as here, or the count below tells.
            if self.images.download.call_count > 1:
                twice.set()
            twice.wait(0.2)
        self.images.download.side_effect = download
        plug = self.agent.plug
        self.agent.plug = lambda *args: (plug(*args), everyone_wants_it.release())
        self.spawn_all()
        self.assertEqual(1, self.images.download.call_count)
        self.assertEqual(self.SERVERS, [found['state'] for found in self.agent.containers.values()].count('running'))

    def spawn_all(self):
        threads = [
            threading.Thread(target=self.spawn,
                             kwargs={'instance': harness.instance('6f1e4a9c-7f0b-4b52-9a53-%012d' % number)})
            for number in range(self.SERVERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    def test_a_failed_one_is_tried_again_by_the_next(self):
        self.images.download.side_effect = exception.GlanceConnectionFailed(server='s', reason='r')
        with self.assertRaises(exception.GlanceConnectionFailed):
            self.spawn()
        self.images.download.side_effect = self.download
        self.spawn()
        self.runs()
