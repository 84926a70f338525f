"""What could not be deleted while the agent was away: done when it is back, or given up."""

import json
import os
import threading
from unittest import mock

import harness
import fakes

from nova import exception
from nova import objects
from nova.compute import vm_states
from nova.virt.docker import agent as ndock
from nova.virt.docker import availability
from nova.virt.docker import DockerDriver
from nova.virt.docker import undone

FIRST, SECOND = '11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'
HERE = dict(host=harness.HOST, vm_state='active', task_state=None, deleted=False)
NOWHERE = dict(HERE, host=None, vm_state='error')
AWAY = ndock.AgentUnavailable(path='p', reason='r')


class Killed(BaseException):
    """nova-compute, in the midst of what it does."""


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.patch(availability.Watch, 'start')
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.driver._provider = harness.PROVIDER  # as an audit does
        self.nova = {}  # the servers in Nova's database
        self.patch(objects.Instance, 'get_by_uuid', side_effect=self.find)
        self.network_info = harness.network_info(harness.vif())

    def find(self, context, uuid):
        self.assertEqual('yes', context.read_deleted)
        if uuid not in self.nova:
            raise exception.InstanceNotFound(instance_id=uuid)
        return harness.instance(uuid, **self.nova[uuid])

    def ask(self, verb=None, uuid=harness.SERVER, fails=AWAY, **fields):
        """Have Nova delete a server that is here, whose agent is away."""
        verb = verb or self.driver.destroy
        self.agent.container(uuid, 'running')
        self.agent.ports.add(harness.PORT)
        self.agent.failing = {'destroy': fails, 'discard_backup': fails}
        with self.assertRaises(type(fails)):
            verb(harness.context(), harness.instance(uuid, **fields), self.network_info)
        self.agent.failing = {}

    def deleted(self):
        """The servers of which something is deleted when the agent is back."""
        def containers():
            return {(uuid, 'own') for uuid in self.agent.containers} | {(uuid, 'backup') for uuid in self.agent.backups}
        before = containers()
        self.driver._pending.finish()
        return sorted({uuid for uuid, _ in before - containers()})

    def back_up(self):
        """The server's container is a backup, and another has its place."""
        self.agent.container(harness.SERVER, 'stopped')
        self.agent.backups.clear()
        self.agent.back_up(harness.SERVER)
        self.agent.container(harness.SERVER, 'running', container_id='another')


class Finished(TestCase):
    def test_once(self):
        self.ask()
        self.driver._pending.finish()
        self.assertEqual([], self.agent.there())
        self.agent.container(harness.SERVER, 'running')  # whatever comes later
        self.assertEqual([], self.deleted())

    def test_of_servers_that_nova_does_not_have_here(self):
        for name, fields in {
            'it could not be built': NOWHERE,
            'it was evacuated': dict(HERE, host='another'),
            'it was deleted': dict(HERE, deleted=True),
            'it is being deleted': dict(HERE, vm_state='error', task_state='deleting'),
        }.items():
            with self.subTest(name):
                self.nova[harness.SERVER] = fields
                self.ask()
                self.assertEqual([harness.SERVER], self.deleted())

    def test_a_confirmed_resize_on_this_host(self):
        """Nova has the server here: what goes is the backup, and never the server's own container."""
        for name, fields in {'it runs on': HERE, 'it is at work': dict(HERE, task_state='rebooting'),
                             'it moved': dict(HERE, host='another', vm_state='error')}.items():
            with self.subTest(name):
                self.nova[harness.SERVER] = fields
                self.back_up()
                self.ask(self.confirm)
                self.driver._pending.finish()
                self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())
                self.back_up()  # for whatever comes later
                self.assertEqual([], self.deleted())

    def test_a_confirmed_resize_before_what_needs_its_place(self):
        """Neither of them is done while there is a backup."""
        self.agent.images.add(harness.IMAGE)
        for name, verb in {
            'rescue': lambda: self.driver.rescue(
                harness.context(), harness.instance(), self.network_info, harness.image_meta(), 'secret', None),
            'resize': lambda: self.driver.migrate_disk_and_power_off(
                harness.context(), harness.instance(), self.driver.get_host_ip_addr(), None, self.network_info),
        }.items():
            with self.subTest(name):
                self.back_up()
                self.ask(self.confirm)
                self.agent.containers[harness.SERVER]['container_id'] = 'its own'
                verb()
                self.assertEqual('its own', self.agent.backups[harness.SERVER]['container_id'])
                self.assertEqual([], self.deleted())

    def test_a_confirmed_resize_before_a_rebuild(self):
        """In its midst, while the server has no container, the discard would take the ports too."""
        self.back_up()
        self.ask(self.confirm)
        self.driver.destroy(harness.context(), harness.instance(task_state='rebuilding'), self.network_info)
        self.assertEqual(['port %s' % harness.PORT], self.agent.there())
        self.driver._pending.finish()
        self.assertEqual(['port %s' % harness.PORT], self.agent.there())

    def test_a_confirmed_resize_is_not_given_up_by_what_the_server_does_here(self):
        self.nova[harness.SERVER] = HERE
        self.back_up()
        self.ask(self.confirm)
        self.driver.power_on(harness.context(), harness.instance(), self.network_info)
        self.driver._pending.finish()
        self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())

    def test_what_is_backed_up_again_is_kept(self):
        """By who goes back to it, whatever is pending."""
        network, context = self.network_info, harness.context()
        for name, verb in {
            'revert here': lambda: self.driver.destroy(context, harness.instance(task_state='resize_reverting'), network),
            'revert': lambda: self.driver.finish_revert_migration(context, harness.instance(), network, None),
            'unrescue': lambda: self.driver.unrescue(context, harness.instance()),
        }.items():
            with self.subTest(name):
                self.back_up()
                self.ask(self.confirm)
                verb()
                self.assertEqual([], self.deleted())
                kept = {**self.agent.containers, **self.agent.backups}[harness.SERVER]
                self.assertNotEqual('another', kept['container_id'])

    def confirm(self, context, instance, network_info):
        self.driver.confirm_migration(context, None, instance, network_info)

    def test_one_that_stays_does_not_keep_the_others(self):
        self.ask(uuid=FIRST)
        self.ask(uuid=SECOND)
        destroy = self.agent.destroy

        def stubborn(server, ports, keep=''):
            if server == FIRST:
                raise ndock.AgentError(reason='device busy')
            destroy(server, ports, keep)
        with mock.patch.object(self.agent, 'destroy', stubborn), self.assertLogs('nova.virt.docker', 'ERROR'):
            self.assertEqual([SECOND], self.deleted())
        self.assertEqual([FIRST], self.deleted())

    def test_a_database_that_is_away_is_asked_again(self):
        self.ask()
        with mock.patch.object(objects.Instance, 'get_by_uuid', side_effect=OSError('no database')), \
                self.assertLogs('nova.virt.docker', 'ERROR'):
            self.assertEqual([], self.deleted())
        self.assertEqual([harness.SERVER], self.deleted())

    def test_not_while_nova_is_at_work_on_the_server(self):
        """A server that is moving may come back, to its backup here."""
        for fields in (dict(HERE, host='another', task_state='resize_finish'),
                       dict(HERE, host='another', vm_state=vm_states.RESIZED), dict(HERE, task_state='spawning')):
            with self.subTest(fields):
                self.nova[harness.SERVER] = fields
                self.ask()
                self.assertEqual([], self.deleted())
                self.nova[harness.SERVER] = NOWHERE
                self.assertEqual([harness.SERVER], self.deleted())


class GivenUp(TestCase):
    def test_what_only_made_room_for_another_container(self):
        """A revert's or a rebuild's delete that is late would take the container that Nova shows, with all its data."""
        for task in ('resize_reverting', 'rebuilding'):
            with self.subTest(task):
                self.nova[harness.SERVER] = NOWHERE  # whatever Nova says
                self.ask(task_state=task)
                self.assertEqual([], self.deleted())

    def test_what_nova_has_here_again(self):
        self.ask()
        self.nova[harness.SERVER] = HERE
        self.assertEqual([], self.deleted())
        self.nova[harness.SERVER] = NOWHERE  # it was given up, not put off
        self.assertEqual([], self.deleted())

    def test_by_each_verb_that_uses_the_server_here(self):
        context, instance, network = harness.context(), harness.instance(power_state=1), self.network_info
        self.patch(type(instance), 'save')
        driver = self.driver
        verbs = {
            'plug_vifs': lambda: driver.plug_vifs(instance, network),
            'power_on': lambda: driver.power_on(context, instance, network),
            'power_off': lambda: driver.power_off(instance),
            'reboot': lambda: driver.reboot(context, instance, network, 'HARD'),
            'resume_state_on_host_boot': lambda: driver.resume_state_on_host_boot(context, instance, network),
            'pause': lambda: driver.pause(instance),
            'unpause': lambda: driver.unpause(instance),
            'suspend': lambda: driver.suspend(context, instance),
            'resume': lambda: driver.resume(context, instance, network),
            'rescue': lambda: driver.rescue(context, instance, network, harness.image_meta(), 'secret', None),
            'unrescue': lambda: driver.unrescue(context, instance),
            'migrate_disk_and_power_off': lambda: driver.migrate_disk_and_power_off(
                context, instance, driver.get_host_ip_addr(), None, network),
            'finish_migration': lambda: driver.finish_migration(
                context, harness.migration(harness.HOST), instance, '', network, harness.image_meta(), True, harness.ALLOCATIONS),
            'finish_revert_migration': lambda: driver.finish_revert_migration(context, instance, network, None),
            'attach_interface': lambda: driver.attach_interface(
                context, instance, harness.image_meta(), harness.vif()),
            'detach_interface': lambda: driver.detach_interface(context, instance, harness.vif()),
            'set_admin_password': lambda: driver.set_admin_password(instance, 'secret'),
            'snapshot': lambda: driver.snapshot(context, instance, harness.IMAGE, mock.Mock()),
        }
        driver._images = mock.Mock(get=lambda context, image_id: {'name': 'a-snapshot'})
        driver._images.update.side_effect = lambda *args, **kwargs: {'size': len(args[3].read())}
        self.agent.images.add(harness.IMAGE)
        self.nova[harness.SERVER] = NOWHERE  # what Nova's database said before
        for name, verb in verbs.items():
            for failing in (False, True):  # as it does while the agent is away
                with self.subTest(name, failing=failing):
                    self.back_up()
                    self.ask()
                    if name in ('finish_migration', 'finish_revert_migration'):  # the server is stopped, and a backup
                        del self.agent.containers[harness.SERVER]
                    elif name != 'unrescue':
                        self.agent.backups.clear()
                    self.agent.failing = dict.fromkeys(
                        ('plug', 'start', 'stop', 'restart', 'pause', 'unpause', 'back_up', 'restore', 'prepare_port',
                         'detach', 'set_password'), AWAY) if failing else {}
                    try:
                        verb()
                    except ndock.AgentError:
                        self.assertTrue(failing)
                    self.agent.failing = {}
                    self.assertTrue(self.agent.servers())
                    self.assertEqual([], self.deleted())

    def test_a_new_container_finds_the_old_one_gone(self):
        self.ask()
        self.agent.images.add(harness.IMAGE)

        def spawn():
            self.driver.spawn(harness.context(), harness.instance(), harness.image_meta(), [], None, harness.ALLOCATIONS,
                              network_info=self.network_info)
        self.agent.failing = {'destroy': AWAY}
        with self.assertRaises(ndock.AgentError):
            spawn()
        self.assertEqual([], self.agent.asked('plug') + self.agent.asked('create'))
        self.agent.failing = {}
        spawn()  # which the agent refuses while the old container is there
        self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())
        self.assertEqual([], self.deleted())

    def test_a_server_that_comes_from_another_host_finds_the_old_container_gone(self):
        self.ask()
        self.driver._images = mock.Mock()
        self.driver.finish_migration(
            harness.context(), harness.migration('another'), harness.instance(), '{"image": "%s"}' % harness.IMAGE,
            self.network_info, harness.image_meta(), False, harness.ALLOCATIONS)
        self.assertEqual(['%s running' % harness.SERVER, 'port %s' % harness.PORT], self.agent.there())
        self.assertEqual([], self.deleted())

    def test_by_a_delete_that_only_makes_room(self):
        self.ask()
        self.driver.destroy(harness.context(), harness.instance(task_state='rebuilding'), self.network_info)
        self.agent.container(harness.SERVER, 'running')  # it is rebuilt
        self.assertEqual([], self.deleted())

    def test_by_a_delete_that_succeeds(self):
        self.ask()
        self.driver.destroy(harness.context(), harness.instance(), self.network_info)
        self.agent.container(harness.SERVER, 'running')  # whatever comes later
        self.assertEqual([], self.deleted())


class Restarted(TestCase):
    """nova-compute, with deletes pending."""

    def setUp(self):
        super().setUp()
        self.patch(availability, 'let_go')

    def restart(self):
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.driver._provider = harness.PROVIDER
        self.driver.init_host(harness.HOST)

    def confirm(self, context, instance, network_info):
        self.driver.confirm_migration(context, None, instance, network_info)

    def test_what_is_pending_is_done_once(self):
        self.nova[FIRST] = dict(HERE, host='another')
        self.ask(uuid=FIRST)
        self.ask(uuid=SECOND)
        self.restart()
        self.restart()
        self.assertEqual([FIRST, SECOND], self.deleted())
        self.restart()
        self.agent.container(FIRST, 'running')  # whatever comes later
        self.assertEqual([], self.deleted())

    def test_the_backup_of_a_confirmed_move(self):
        self.nova[harness.SERVER] = dict(HERE, host='another', vm_state='error')
        self.back_up()
        self.ask(self.confirm)
        self.restart()
        self.assertEqual([harness.SERVER], self.deleted())
        self.assertEqual({}, self.agent.backups)

    def test_a_backup_that_may_be_of_a_later_move_stays(self):
        self.nova[harness.SERVER] = dict(HERE, host='another', vm_state=vm_states.RESIZED)
        self.back_up()
        self.ask(self.confirm)
        self.restart()
        self.assertEqual([], self.deleted())
        self.nova[harness.SERVER] = dict(HERE, host='another')
        self.assertEqual([harness.SERVER], self.deleted())

    def test_it_ends_in_the_midst_of_a_delete(self):
        self.ask(fails=Killed())
        self.restart()
        self.assertEqual([harness.SERVER], self.deleted())

    def test_what_was_given_up_is_not_taken_up_again(self):
        self.ask()
        self.driver.plug_vifs(harness.instance(), self.network_info)
        self.restart()
        self.assertEqual([], self.deleted())

    def test_what_nova_has_here_again_is_given_up(self):
        self.ask()
        self.restart()
        self.driver.resume_state_on_host_boot(harness.context(), harness.instance(), self.network_info)
        self.assertEqual([], self.deleted())

    def test_a_damaged_file_counts_for_nothing_and_begins_anew(self):
        good = '"%s": "destroy"' % FIRST
        servers = ['11111111-1111-4111-8111-%012d' % number for number in range(2 * undone.MOST)]
        for content in ('', '{', '[]', '[' * 50000, '{%s, "../x": "destroy"}' % good, '{%s, "%s": "act"}' % (good, SECOND),
                        '{%s, "%s": ["destroy", []]}' % (good, SECOND), json.dumps(dict.fromkeys([FIRST] + servers, 'destroy')), '\xff'):
            with self.subTest(content[:80]):
                with open(undone.path(), 'wb') as file:
                    file.write(content.encode('latin-1'))
                self.agent.container(FIRST, 'running')
                with self.assertLogs('nova.virt.docker', 'ERROR') as logged:
                    self.restart()
                self.assertIn(undone.path(), logged.output[0])
                self.assertEqual([], self.deleted())
                self.ask(uuid=SECOND)
                self.restart()
                self.assertEqual([SECOND], self.deleted())

    def test_a_file_that_cannot_be_written_fails_no_delete(self):
        self.configure(state_path='/nonexistent')
        with self.assertLogs('nova.virt.docker', 'ERROR') as logged:
            self.ask()
            self.assertEqual([harness.SERVER], self.deleted())
        self.assertIn('/nonexistent', logged.output[0])

    def test_only_so_many_are_kept(self):
        servers = ['11111111-1111-4111-8111-%012d' % number for number in range(undone.MOST + 1)]
        undone.write(dict.fromkeys(servers, 'discard_backup'))
        self.assertEqual(servers[1:], list(undone.read()))

    def test_of_none_there_is_no_file(self):
        self.ask()
        self.assertTrue(os.path.exists(undone.path()))
        self.deleted()
        undone.write({})
        self.assertFalse(os.path.exists(undone.path()))


class AtTheSameTime(TestCase):
    """The agent's events come in a thread of their own, in the midst of Nova's verbs."""

    def test_the_agents_events_do_not_wait_for_a_delete(self):
        self.ask()
        waiting, over = threading.Event(), threading.Event()

        def destroy(uuid, ports, keep=''):
            waiting.set()
            over.wait(10)
        self.patch(self.agent, 'destroy', side_effect=destroy)
        started = self.patch(threading, 'Thread', wraps=threading.Thread)
        retry = self.driver._watch._retry
        retry()
        self.assertTrue(waiting.wait(10))
        retry()  # the first one is still at it
        self.assertEqual(1, started.call_count)
        over.set()
        self.assertTrue(self.driver._pending._finishing.acquire(timeout=10))
        self.driver._pending._finishing.release()
        self.assertEqual({}, self.driver._pending._pending)
        retry()
        self.assertEqual(2, started.call_count)

    def test_a_thread_that_cannot_be_started_is_started_later(self):
        self.ask()
        retry = self.driver._watch._retry
        with mock.patch.object(threading, 'Thread', side_effect=RuntimeError("can't start new thread")):
            self.assertRaises(RuntimeError, retry)
        retry()
        self.assertTrue(self.driver._pending._finishing.acquire(timeout=10))
        self.driver._pending._finishing.release()
        self.assertEqual({}, self.driver._pending._pending)

    def test_a_verb_waits_for_a_delete_that_is_under_way(self):
        self.ask()
        destroy, deleting, go_on = self.agent.destroy, threading.Event(), threading.Event()

        def slow(*args):
            deleting.set()
            self.assertTrue(go_on.wait(30))
            destroy(*args)
        self.agent.destroy = slow
        finishing = threading.Thread(target=self.driver._pending.finish)
        finishing.start()
        self.assertTrue(deleting.wait(30))
        plug, plugged = self.agent.plug, threading.Event()
        self.agent.plug = lambda *args: (plugged.set(), plug(*args))
        verb = threading.Thread(target=self.driver.plug_vifs, args=(harness.instance(), self.network_info))
        verb.start()
        self.assertFalse(plugged.wait(0.1))
        go_on.set()
        verb.join(30)
        finishing.join(30)
        self.assertEqual(['port %s' % harness.PORT], self.agent.there())  # which the delete would have unplugged
