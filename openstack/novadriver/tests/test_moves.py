"""A server that is given other files, another flavor or another host; and what is left when that fails."""

import itertools
import json
from unittest import mock

import harness
import fakes

from glanceclient import exc as glance_errors
from keystoneauth1 import exceptions as keystone_errors
from nova import exception
from nova import objects
from nova.compute import power_state
from nova.image import glance
from nova.virt.docker import agent as ndock
from nova.virt.docker import DockerDriver
from nova.virt.docker import guest

HERE, THERE = '10.0.0.1', '10.0.0.2'
PARCEL = 'aaaaaaaa-1111-4222-8333-444455556666'
BACKUP = '%s backup' % harness.SERVER
FAILED = ndock.AgentError(reason='no')

# What Nova's delete of an image may raise: it translates three of Glance's answers, and no other and none of Keystone's.
UNDELETED = (exception.ImageNotAuthorized(image_id=PARCEL), glance_errors.HTTPUnauthorized(),
             glance_errors.HTTPInternalServerError(), keystone_errors.ConnectFailure())


class Timeout(BaseException):
    """As eventlet's own, which Nova up to 32 has."""


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.configure(my_ip=HERE)
        self.agent = fakes.Agent()
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.driver._provider = harness.PROVIDER  # as an audit does
        self.images = self.driver._images = mock.create_autospec(glance.API, instance=True)
        self.images.create.side_effect = lambda context, described, data=None: {'id': PARCEL}
        self.images.update.side_effect = self.stored
        self.instance = harness.instance(power_state=power_state.RUNNING, vm_state='active')
        self.network_info = harness.network_info(harness.vif(active=True))
        self.agent.images.add(harness.IMAGE)
        self.agent.ports.add(harness.PORT)
        self.agent.container(harness.SERVER, 'running', container_id='its first', ports={harness.PORT})

    def stored(self, context, image_id, described, data, purge_props):
        self.assertEqual((PARCEL, {'properties': {'docker_image_id': fakes.FOUND['id']}}), (image_id, described))
        return {'id': PARCEL, 'size': len(data.read())}

    def leave(self, dest):
        return self.driver.migrate_disk_and_power_off(
            harness.context(), self.instance, dest, None, self.network_info, timeout=9)

    def arrive(self, disk_info, power_on=True, source=None):
        source = source or ('another' if disk_info else harness.HOST)
        self.driver.finish_migration(
            harness.context(), harness.migration(source), self.instance, disk_info, self.network_info, harness.image_meta(), False,
            {harness.PROVIDER: {'resources': {'PGPU': 1}}}, power_on=power_on)

    def spec(self):
        return self.agent.containers[harness.SERVER]['spec']

    def names(self, *devices):
        """The metadata names these."""
        self.assertEqual(list(devices), guest.known_devices(self.instance))

    def has_its_first_container(self, state='running'):
        self.assertEqual(['%s %s' % (harness.SERVER, state), 'port %s' % harness.PORT], self.agent.there())
        self.assertEqual('its first', self.agent.containers[harness.SERVER]['container_id'])

    def has_another_container(self, *more, state='running'):
        self.assertEqual(['%s %s' % (harness.SERVER, state), *more, 'port %s' % harness.PORT], self.agent.there())
        self.assertNotEqual('its first', self.agent.containers[harness.SERVER]['container_id'])


class SameHost(TestCase):
    def test_the_files_stay(self):
        self.agent.images.clear()  # Glance may have it no more
        self.arrive(self.leave(HERE))
        self.assertEqual(set(), self.agent.images)
        self.has_another_container(BACKUP)
        self.assertEqual([(harness.SERVER, 9, 'commit')], self.agent.asked('back_up'))
        self.assertEqual(('aside', {'PGPU': 1}), (self.spec()['source'], self.spec()['devices']))
        self.names('a.com/card=0')
        self.images.create.assert_not_called()

    def test_a_stopped_one_stays_stopped(self):
        self.arrive(self.leave(HERE), power_on=False)
        self.has_another_container(BACKUP, state='stopped')

    def test_the_old_one_is_back_when_it_fails(self):
        self.instance.device_metadata = guest.devices(harness.context(), self.instance, ['a.com/card=its first'])
        self.leave(HERE)
        self.agent.failing['create'] = FAILED
        with self.assertRaises(ndock.AgentError):
            self.arrive('')
        self.has_its_first_container('stopped')
        self.names('a.com/card=its first')

    def test_the_old_one_is_back_when_nobody_says_what_is_allocated(self):
        self.leave(self.driver.get_host_ip_addr())
        self.driver._provider = None  # there was no audit yet
        self.instance.flavor.extra_specs = {'resources2:PGPU': '1'}
        with self.assertRaises(exception.ConsumerAllocationRetrievalFailed):
            self.arrive('')
        self.has_its_first_container('stopped')

    def test_the_first_failure_is_the_one_to_tell(self):
        for name, second in {'the agent fails': ndock.AgentError(reason='neither'),
                             'there is no backup': exception.InstanceNotFound(instance_id=harness.SERVER)}.items():
            with self.subTest(name):
                self.agent.failing.update(create=FAILED, restore=second)
                with self.assertLogs('nova.virt.docker', 'ERROR'), self.assertRaisesRegex(ndock.AgentError, '^no$'):
                    self.arrive('')


class OtherHost(TestCase):
    def test_the_files_go_through_glance(self):
        meanwhile = []
        self.images.update.side_effect = lambda *args, **kwargs: (
            meanwhile.extend(self.agent.there()), self.stored(*args, **kwargs))[1]
        disk_info = self.leave(THERE)
        self.assertEqual([BACKUP, 'port %s' % harness.PORT], meanwhile)
        self.assertEqual([BACKUP], self.agent.there())
        self.agent.backups.clear()  # the other host does not have it
        self.arrive(disk_info)
        self.has_another_container()
        self.assertEqual({harness.PORT}, self.agent.containers[harness.SERVER]['ports'])
        self.assertEqual({harness.IMAGE}, self.agent.images)
        self.assertEqual(('', PARCEL, {'PGPU': 1}), (self.spec()['source'], self.spec()['image_id'], self.spec()['devices']))
        self.names('a.com/card=0')
        self.assertEqual([(PARCEL, 0)], self.agent.asked('load_image'))
        self.assertFalse(self.spec()['new'])  # its files may have grown beyond the flavor's disk where nothing limits them
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_nothing_changes_when_glance_takes_no_image(self):
        self.images.create.side_effect = exception.GlanceConnectionFailed(server='g', reason='r')
        with self.assertRaises(exception.InstanceFaultRollback):
            self.leave(THERE)
        self.has_its_first_container()
        self.images.delete.assert_not_called()

    def test_nothing_changes_and_nothing_is_left_when_they_do_not_leave(self):
        for name, failing, fault in (
                ('no snapshot', {'snapshot': FAILED}, None),
                ('an upload that breaks off', {}, exception.GlanceConnectionFailed(server='g', reason='r')),
                ('ports that stay', {'unplug': FAILED}, None)):
            with self.subTest(name):
                self.images.delete.reset_mock()
                self.agent.failing = failing
                self.images.update.side_effect = fault or self.stored
                with self.assertRaises(exception.InstanceFaultRollback):
                    self.leave(THERE)
                self.has_its_first_container()
                self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_nothing_is_left_when_the_old_one_does_not_come_back(self):
        self.agent.failing.update(unplug=FAILED, restore=ndock.AgentError(reason='neither'))
        with self.assertRaisesRegex(ndock.AgentError, '^neither$'):
            self.leave(THERE)
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_nothing_is_left_when_the_upload_is_timed_out(self):
        self.images.update.side_effect = Timeout
        with self.assertRaises(Timeout):
            self.leave(THERE)
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_a_stopped_one_stays_stopped_when_they_do_not_go(self):
        self.instance.power_state = power_state.SHUTDOWN
        self.images.create.side_effect = exception.GlanceConnectionFailed(server='g', reason='r')
        with self.assertRaises(exception.InstanceFaultRollback):
            self.leave(THERE)
        self.has_its_first_container('stopped')

    def test_no_image_can_be_made_of_them(self):
        for dest, refused in itertools.product((HERE, THERE), (ndock.UnusableImage, ndock.BadRequest)):
            self.agent.failing['back_up'] = refused(reason='too large')
            with self.assertRaises(exception.InstanceFaultRollback) as raised:
                self.leave(dest)
            self.assertIn('too large', str(raised.exception.inner_exception))
            self.has_its_first_container()
            self.assertEqual([], self.agent.asked('restart') + self.agent.asked('stop') + self.agent.asked('start'))

    def test_half_of_them_is_nothing(self):
        self.images.update.side_effect = lambda *args, **kwargs: {'id': PARCEL, 'size': 3}
        with self.assertRaises(exception.InstanceFaultRollback):
            self.leave(THERE)
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_nothing_is_left_when_they_do_not_arrive(self):
        self.agent.failing['create'] = FAILED
        self.agent.containers.clear()
        with self.assertRaises(ndock.AgentError):
            self.arrive(json.dumps({'image': PARCEL}))
        self.assertEqual([], self.agent.there())
        self.assertEqual({harness.IMAGE}, self.agent.images)
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_what_is_left_of_an_earlier_stay_goes_when_they_come_back(self):
        first = dict(self.agent.containers)
        for name, (containers, backups) in {
            'a confirm did not discard it': ({}, first), 'a build was not undone': (first, {}), 'both': (first, first),
        }.items():
            with self.subTest(name):
                self.agent.containers, self.agent.backups = dict(containers), dict(backups)
                self.arrive(json.dumps({'image': PARCEL}))
                self.has_another_container()
                self.arrive(self.leave(HERE))  # which is refused where there is a backup
                self.has_another_container(BACKUP)

    def test_they_do_not_arrive_where_what_is_left_cannot_go(self):
        self.agent.failing['destroy'] = FAILED
        with self.assertLogs('nova.virt.docker', 'ERROR'), self.assertRaisesRegex(ndock.AgentError, '^no$'):
            self.arrive(json.dumps({'image': PARCEL}))
        self.assertEqual([], self.agent.asked('plug') + self.agent.asked('create'))
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_the_backup_stays_where_the_host_has_sent_them_to_itself(self):
        """Its address was another when the resize began."""
        disk_info = self.leave(THERE)
        self.agent.failing['create'] = FAILED
        with self.assertRaises(ndock.AgentError):
            self.arrive(disk_info, source=harness.HOST)
        self.has_its_first_container('stopped')
        self.agent.failing.clear()
        self.arrive(self.leave(THERE), source=harness.HOST)
        self.has_another_container(BACKUP)
        self.assertEqual('aside', self.spec()['source'])
        self.assertEqual(2, self.images.delete.call_count)

    def test_nothing_is_left_when_nobody_says_what_is_allocated(self):
        disk_info = self.leave(THERE)
        self.driver._provider = None
        self.instance.flavor.extra_specs = {'resources_a:PGPU': '1'}
        with self.assertRaises(exception.ConsumerAllocationRetrievalFailed):
            self.arrive(disk_info)
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_the_image_goes_from_glance_also_where_it_stays_here(self):
        self.agent.containers.clear()
        self.agent.failing['forget_image'] = FAILED
        with self.assertLogs('nova.virt.docker', 'ERROR'):
            self.arrive(json.dumps({'image': PARCEL}))
        self.images.delete.assert_called_once_with(mock.ANY, PARCEL)

    def test_a_parcel_that_stays_is_no_failure(self):
        for error in UNDELETED:
            with self.subTest(type(error)):
                self.images.delete.side_effect = error
                self.agent.containers.clear()
                with self.assertLogs('nova.virt.docker', 'ERROR') as logged:
                    self.arrive(json.dumps({'image': PARCEL}))
                self.assertIn(PARCEL, logged.output[0])
                self.has_another_container()

    def test_a_parcel_that_stays_does_not_hide_why_they_do_not_arrive(self):
        self.agent.failing['create'] = FAILED
        for error in UNDELETED:
            with self.subTest(type(error)):
                self.images.delete.side_effect = error
                with self.assertLogs('nova.virt.docker', 'ERROR'), self.assertRaisesRegex(ndock.AgentError, '^no$'):
                    self.arrive(json.dumps({'image': PARCEL}))

    def test_a_parcel_that_stays_does_not_hide_why_they_do_not_leave(self):
        self.images.update.side_effect = lambda *args, **kwargs: {'id': PARCEL, 'size': 3}
        self.images.delete.side_effect = UNDELETED[-1]
        with self.assertLogs('nova.virt.docker', 'ERROR'), self.assertRaises(exception.InstanceFaultRollback) as raised:
            self.leave(THERE)
        self.assertIn('Glance has 3 bytes', str(raised.exception.inner_exception))


class Afterwards(TestCase):
    def test_confirm(self):
        self.arrive(self.leave(HERE))
        self.driver.confirm_migration(harness.context(), None, self.instance, self.network_info)
        self.has_another_container()

    def test_revert(self):
        for power_on, want in {True: 'running', False: 'stopped'}.items():
            self.leave(THERE)
            self.driver.finish_revert_migration(
                harness.context(), self.instance, self.network_info, None, power_on=power_on)
            self.has_its_first_container(want)
            self.names('a.com/card=1')
            self.assertEqual({harness.PORT}, self.agent.containers[harness.SERVER]['ports'])


class Rescue(TestCase):
    def rescue(self):
        self.driver.rescue(harness.context(), self.instance, self.network_info, harness.image_meta(), 'secret', None)

    def test_another_image_beside_its_own_files(self):
        self.instance.user_data = 'I25kb2NrCnt9'
        self.agent.images.clear()
        self.rescue()
        self.has_another_container(BACKUP)
        self.assertEqual({harness.IMAGE}, self.agent.images)
        spec = self.spec()
        self.assertEqual(('rescue', 'secret', None), (spec['source'], spec['password'], spec['user_data']))

    def test_nothing_changes_when_it_fails(self):
        self.agent.failing['start'] = FAILED
        with self.assertRaises(ndock.AgentError):
            self.rescue()
        self.has_its_first_container('stopped')

    def test_unrescue(self):
        self.rescue()
        self.driver.unrescue(harness.context(), self.instance)
        self.has_its_first_container()


class Freezer(TestCase):
    def test_a_sandbox_that_cannot_be_suspended_runs_on(self):
        # InstanceFaultRollback is what Nova takes as that: of any other error the server becomes faulty.
        self.agent.failing['pause'] = ndock.BadRequest(reason='a server that runs with gvisor cannot be paused')
        with self.assertRaises(exception.InstanceFaultRollback):
            self.driver.suspend(harness.context(), self.instance)
        self.has_its_first_container()

    def test_suspend_and_resume(self):
        self.agent.ports.clear()  # the host was off meanwhile
        self.driver.suspend(harness.context(), self.instance)
        self.assertEqual(['%s paused' % harness.SERVER], self.agent.there())
        self.driver.resume(harness.context(), self.instance, self.network_info, None, [])
        self.has_its_first_container()


class Running(TestCase):
    def setUp(self):
        super().setUp()
        self.saved = self.patch(type(self.instance), 'save')
        self.agent.ports.clear()
        self.agent.container(harness.SERVER, 'running')

    def attach(self, **fields):
        self.driver.attach_interface(harness.context(), self.instance, harness.image_meta(), harness.vif(**fields))

    def has_ports(self, *ports):
        self.assertEqual(set(ports), self.agent.containers[harness.SERVER]['ports'])
        self.assertEqual(set(ports), self.agent.ports)

    def test_interfaces(self):
        self.attach(active=True)
        self.has_ports(harness.PORT)
        self.driver.detach_interface(harness.context(), self.instance, harness.vif())
        self.has_ports()
        self.assertEqual(2, self.saved.call_count)

    def test_interfaces_come_and_devices_stay(self):
        self.instance.device_metadata = guest.devices(harness.context(), self.instance, ['a.com/card=1'])
        self.tags = [objects.VirtualInterface(address='fa:16:3e:01:02:03', tag='blue')]
        self.attach(active=True)
        self.assertEqual([['blue'], ['a.com/card']], [found['tags'] for found in harness.told_devices(self.instance)])
        self.tags = []
        self.driver.detach_interface(harness.context(), self.instance, harness.vif())
        self.names('a.com/card=1')

    def test_no_container_gets_a_port_before_neutron_has_wired_it(self):
        inside = []  # while the driver waits
        wait = self.driver.virtapi._wait
        self.patch(self.driver.virtapi, '_wait', side_effect=lambda *args: (
            inside.append(set(self.agent.containers[harness.SERVER]['ports'])), wait(*args)))
        self.attach()
        self.assertEqual([((('network-vif-plugged', harness.PORT),), mock.ANY)], self.driver.virtapi.waits)
        self.assertEqual(['%s running' % harness.SERVER], self.driver.virtapi.before)
        self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.driver.virtapi.waiting)
        self.assertEqual([set()], inside)
        self.has_ports(harness.PORT)

    def test_the_wait_ends_before_novas_api_gives_up(self):
        self.attach()
        self.configure(vif_plugging_timeout=7)
        self.attach()
        self.assertEqual([40, 7], [limit for _, limit in self.driver.virtapi.waits])  # 40 of rpc_response_timeout's 60 seconds

    def test_a_port_that_neutron_does_not_wire_is_unplugged(self):
        self.driver.virtapi.answers = True  # that it failed
        with self.assertRaises(exception.VirtualInterfaceCreateException):
            self.attach()
        self.has_ports()
        self.configure(vif_plugging_is_fatal=False)
        self.attach()
        self.has_ports(harness.PORT)

    def test_a_port_that_cannot_be_attached_is_unplugged(self):
        for verb in ('prepare_port', 'attach'):
            with self.subTest(verb):
                self.agent.failing = {verb: FAILED}
                with self.assertRaisesRegex(ndock.AgentError, '^no$'):
                    self.attach(active=True)
                self.has_ports()
                self.agent.failing['detach'] = ndock.AgentError(reason='neither')
                with self.assertLogs('nova.virt.docker', 'ERROR'), self.assertRaisesRegex(ndock.AgentError, '^no$'):
                    self.attach(active=True)
        self.agent.failing = {}
        self.saved.side_effect = exception.NovaException('no database')
        with self.assertRaisesRegex(exception.NovaException, 'no database'):
            self.attach(active=True)
        self.has_ports()

    def test_password(self):
        self.driver.set_admin_password(self.instance, 'secret')
        self.assertEqual([(harness.SERVER, 'secret')], self.agent.asked('set_password'))


class Diagnostics(TestCase):
    def test_of_old(self):
        told = self.driver.get_diagnostics(self.instance)
        self.assertEqual((0, False, 'healthy', 5), (
            told['exit_code'], told['oom_killed'], told['health'], told['eth0_tx_bytes']))

    def test_as_an_object(self):
        told = self.driver.get_instance_diagnostics(self.instance)
        self.assertEqual(('running', 'docker', 7, 3, 64), (
            told.state, told.hypervisor, told.uptime, told.memory_details.used, told.memory_details.maximum))
        self.assertEqual(6, told.nic_details[0].tx_packets)
        self.assertEqual('fa:16:3e:00:00:01', told.nic_details[0].mac_address)


class Cache(TestCase):
    def test_ageing(self):
        self.configure(group='image_cache', remove_unused_original_minimum_age_seconds=77)
        self.driver.manage_image_cache(harness.context(), [])
        self.assertEqual([(77,)], self.agent.asked('age_images'))

    def test_the_operator_may_keep_them(self):
        self.configure(group='image_cache', remove_unused_base_images=False)
        self.driver.manage_image_cache(harness.context(), [])
        self.assertEqual([], self.agent.asked('age_images'))

    def test_before_it_is_wanted(self):
        self.agent.images.clear()
        self.assertTrue(self.driver.cache_image(harness.context(), harness.IMAGE))
        self.assertFalse(self.driver.cache_image(harness.context(), harness.IMAGE))
