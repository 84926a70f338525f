"""What Nova is told about this host: down while the agent is away, and events as they happen."""

from unittest import mock

import harness
import fakes

from nova import exception
from nova import objects
from nova.virt import event as virt_event
from nova.virt.docker import agent as ndock
from nova.virt.docker import availability
from nova.virt.docker import DockerDriver

UUID = harness.SERVER


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.service = objects.Service(
            harness.context(), id=1, host=harness.HOST, binary='nova-compute', topic='compute', disabled=False,
            forced_down=False, disabled_reason=None)
        self.saved = []
        self.patch(objects.Service, 'save', autospec=True, side_effect=self.save)
        self.found = self.patch(objects.Service, 'get_by_compute_host', autospec=True, return_value=self.service)

    def save(self, service):
        self.saved.append((service.disabled, service.forced_down, service.disabled_reason))


class SetAvailable(TestCase):
    def test_down_with_the_reason(self):
        availability.set_available('the agent ended')
        self.assertEqual([(True, True, 'AUTO: ndock: the agent ended')], self.saved)

    def test_up_again(self):
        availability.set_available('the agent ended')
        availability.set_available(None)
        self.assertEqual((False, False, None), self.saved[-1])

    def test_said_once(self):
        availability.set_available(None)
        self.assertEqual([], self.saved)
        availability.set_available('one reason')
        availability.set_available('another')
        self.assertEqual(1, len(self.saved))

    def test_a_reason_that_fits_into_the_database(self):
        availability.set_available('x' * 1000)
        self.assertLessEqual(len(self.service.disabled_reason), 255)
        self.assertTrue(self.service.disabled)

    def test_a_reason_with_percent_signs(self):
        with self.assertLogs('nova.virt.docker', 'WARNING') as logged:
            availability.set_available('100%s full')
        self.assertIn('100%s full', logged.output[0])

    def test_what_the_operator_disabled_stays_so(self):
        for reason in ('maintenance', None, ''):
            with self.subTest(reason):
                self.service.disabled, self.service.disabled_reason = True, reason
                availability.set_available('the agent ended')
                availability.set_available(None)
                self.assertEqual([], self.saved)

    def test_what_the_operator_fenced_stays_so(self):
        self.service.forced_down = True  # before an evacuation, say
        availability.set_available('the agent ended')
        availability.set_available(None)
        self.assertEqual([], self.saved)

    def test_what_libvirt_disabled_is_up_again(self):
        for fenced in (False, True):
            with self.subTest(fenced=fenced):
                self.service.disabled, self.service.disabled_reason = True, 'AUTO: Connection to libvirt lost: 1'
                self.service.forced_down = fenced  # by the operator, then
                availability.set_available('the agent ended')
                self.assertEqual([], self.saved)
                availability.set_available(None)
                self.assertEqual((False, fenced, None), self.saved.pop())

    def test_when_nova_compute_ends_it_is_forced_down_no_more(self):
        host = DockerDriver(fakes.VirtAPI(None), fakes.Agent())
        availability.set_available('the agent ended')
        host.cleanup_host(host=harness.HOST)
        self.assertEqual((True, False, 'AUTO: ndock: the agent ended'), self.saved[-1])
        availability.set_available('the agent ended')  # before the process has
        self.assertEqual(2, len(self.saved))
        availability.set_available(None)  # the next one, when the agent is back
        self.assertEqual((False, False, None), self.saved[-1])

    def test_an_agent_that_ends_while_nova_compute_does(self):
        host = DockerDriver(fakes.VirtAPI(None), fakes.Agent())
        host.cleanup_host(host=harness.HOST)
        host._watch._report('the agent ended')
        self.assertEqual([], self.saved)

    def test_what_a_nova_compute_left_that_was_killed(self):
        availability.set_available('the agent ended')
        agent = fakes.Agent()

        def version():
            self.assertEqual((True, False, 'AUTO: ndock: the agent ended'), self.saved[-1])
            return {'agent': '1', 'engine': '20.10.24'}
        self.patch(agent, 'version', side_effect=version)
        DockerDriver(fakes.VirtAPI(None), agent).init_host(harness.HOST)
        self.assertEqual(2, len(self.saved))

    def test_what_an_operator_fenced_stays_so_when_nova_compute_ends(self):
        self.service.forced_down = True
        availability.let_go()
        self.assertEqual([], self.saved)

    def test_nova_compute_ends_without_a_database(self):
        self.found.side_effect = exception.NovaException('away')
        with self.assertLogs('nova.virt.docker', 'ERROR'):
            availability.let_go()

    def test_before_the_service_is_registered(self):
        self.found.side_effect = exception.ComputeHostNotFound(host=harness.HOST)
        availability.set_available('the agent ended')
        availability.set_available(None)
        self.assertEqual([], self.saved)

    def test_it_is_this_hosts_service(self):
        availability.set_available('the agent ended')
        self.assertEqual(harness.HOST, self.found.call_args.args[-1])


class Over(BaseException):
    """Ends a watch, which by itself never ends."""


class Watch(TestCase):
    """Each connection is what agent.events() does when it is asked again: a list of events, and how it ends."""

    def watch(self, *connections, retry=lambda: None, servers=(UUID,)):
        self.now = 0.0
        self.emitted = []
        rest = list(connections)

        def events(silence):
            self.assertEqual(availability.SILENCE, silence)
            if not rest:
                raise Over
            happened, end = rest.pop(0)
            yield from happened
            if end:
                raise end

        self.patch(availability, 'time', mock.Mock(monotonic=lambda: self.now, sleep=self.sleep))
        with self.assertRaises(Over):
            availability.Watch(mock.Mock(events=events, servers=lambda: list(servers)), self.emitted.append, retry)._run()

    def sleep(self, seconds):
        self.now += seconds

    def every(self, seconds, events):
        """Events that come so many seconds after each other."""
        for event in events:
            self.now += seconds
            yield event

    HELLO = ([{'event': 'hello'}], None)
    AWAY = ([], ndock.AgentUnavailable(path='p', reason='nobody there'))
    ended = ([], None)

    def test_hello_is_up(self):
        self.service.disabled = self.service.forced_down = True
        self.service.disabled_reason = availability.AUTO + 'of an earlier life'
        self.watch(self.HELLO)
        self.assertEqual((False, False, None), self.saved[-1])

    def test_a_short_restart_goes_unnoticed(self):
        self.watch(self.HELLO, *[self.AWAY] * (availability.PATIENCE - 1), self.HELLO)
        self.assertEqual([], self.saved)

    def test_away_is_down_when_patience_ends(self):
        self.watch(self.HELLO, *[self.AWAY] * (availability.PATIENCE + 2))
        self.assertEqual([(True, True, mock.ANY)], self.saved)
        self.assertIn('nobody there', self.service.disabled_reason)

    def test_an_agent_that_ends_is_down_when_patience_ends(self):
        self.watch(self.HELLO, *[self.ended] * (availability.PATIENCE + 2))
        self.assertEqual([(True, True, 'AUTO: ndock: the agent ended')], self.saved)

    def test_and_up_when_it_is_back(self):
        self.watch(*[self.AWAY] * 10, self.HELLO)
        self.assertEqual([True, False], [disabled for disabled, _, _ in self.saved])

    def test_an_error_without_words_is_no_good_news(self):
        with self.assertLogs('nova.virt.docker', 'ERROR'):
            self.watch(*[([], ValueError())] * 10)
        self.assertEqual([(True, True, 'AUTO: ndock: ValueError')], self.saved)

    def test_patience_begins_anew_with_each_hello(self):
        flapping = [self.HELLO, self.AWAY, self.AWAY, self.AWAY] * 5
        self.watch(*flapping)
        self.assertEqual([], self.saved)

    def test_what_failed_is_tried_again_when_the_agent_is_back(self):
        retry = mock.Mock()
        self.watch(self.HELLO, self.AWAY, self.HELLO, retry=retry)
        self.assertEqual(2, retry.call_count)

    def test_what_failed_is_tried_again_while_the_agent_is_there(self):
        retry = mock.Mock()

        self.watch((self.every(60, [{'event': 'hello'}, {'event': 'alive'}, {'event': 'alive'}]), None), retry=retry)
        self.assertEqual(3, retry.call_count)
        retry.reset_mock()
        self.watch(([{'event': 'hello'}, {'event': 'alive'}, {'event': 'alive'}], None), retry=retry)
        self.assertEqual(1, retry.call_count)

    def test_events_become_lifecycle_events(self):
        kinds = {
            'started': virt_event.EVENT_LIFECYCLE_STARTED, 'stopped': virt_event.EVENT_LIFECYCLE_STOPPED,
            'paused': virt_event.EVENT_LIFECYCLE_PAUSED, 'resumed': virt_event.EVENT_LIFECYCLE_RESUMED,
        }
        self.watch(([{'event': 'hello'}] + [{'event': kind, 'uuid': UUID} for kind in kinds], None))
        self.assertEqual([(UUID, kind) for kind in kinds.values()],
                         [(event.get_instance_uuid(), event.get_transition()) for event in self.emitted])

    def test_an_end_is_told_again(self):
        """For Nova passes over what happens while it has a task with the server."""
        alive, ended = {'event': 'alive'}, {'event': 'stopped', 'uuid': UUID}
        self.watch((self.every(5, [ended] + [alive] * 1000), None))
        self.assertEqual({(UUID, virt_event.EVENT_LIFECYCLE_STOPPED)},
                         {(event.get_instance_uuid(), event.get_transition()) for event in self.emitted})
        self.assertEqual(1 + len(availability.AGAIN), len(self.emitted))
        self.watch((self.every(5, [ended, {'event': 'started', 'uuid': UUID}] + [alive] * 1000), None))
        self.assertEqual(2, len(self.emitted))

    def test_of_a_server_that_is_gone_nothing_is_told_again(self):
        alive, ended = {'event': 'alive'}, {'event': 'stopped', 'uuid': UUID}
        self.watch((self.every(5, [ended] + [alive] * 1000), None), servers=())
        self.assertEqual(1, len(self.emitted))

    def test_others_are_none(self):
        self.watch(([{'event': 'hello'}, {'event': 'alive'}, {'event': 'invented later', 'uuid': UUID}], None))
        self.assertEqual([], self.emitted)

    def test_a_database_that_is_away_is_tried_again(self):
        self.found.side_effect = [exception.NovaException('no database'), self.service]
        with self.assertLogs('nova.virt.docker', 'ERROR'):
            self.watch(*[self.AWAY] * (availability.PATIENCE + 3))
        self.assertEqual([(True, True, mock.ANY)], self.saved)

    def test_it_runs_beside_nova(self):
        thread = self.patch(availability.threading, 'Thread')
        watch = availability.Watch(None, None, None)
        watch.start()
        watch.start()
        self.assertTrue(thread.call_args.kwargs['daemon'])
        thread.return_value.start.assert_called_once_with()
