"""The client, against a real HTTP server on a real unix socket."""

import email
import hashlib
import http.client
import inspect
import socket
import threading
from unittest import mock

import agent_server
import harness

from nova import exception
from nova.virt.docker import agent as ndock

UUID = harness.SERVER


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.there = agent_server.Agent(self)
        self.client = ndock.Agent(self.there.path, away=0)

    def answer(self, status=200, value=None):
        self.there.start(lambda request: (request.body(), request.reply(status, {} if value is None else value)))


class Requests(TestCase):
    def test_verbs_are_urls(self):
        self.answer(value={'present': True, 'devices': []})
        ports = [{'id': harness.PORT}]
        for call, want in [
            (lambda: self.client.version(), ('GET', '/v1/version')),
            (lambda: self.client.host(), ('GET', '/v1/host')),
            (lambda: self.client.instances(), ('GET', '/v1/instances')),
            (lambda: self.client.servers(), ('GET', '/v1/servers')),
            (lambda: self.client.instance(UUID), ('GET', '/v1/instances/' + UUID)),
            (lambda: self.client.plugged(UUID), ('GET', '/v1/instances/%s/ports' % UUID)),
            (lambda: self.client.plug(UUID, ports), ('PUT', '/v1/instances/%s/ports' % UUID)),
            (lambda: self.client.unplug(UUID, ports), ('DELETE', '/v1/instances/%s/ports' % UUID)),
            (lambda: self.client.has_image('i'), ('GET', '/v1/images/i')),
            (lambda: self.client.reserve_devices(UUID, {}), ('PUT', '/v1/instances/%s/devices' % UUID)),
            (lambda: self.client.create(UUID, {}), ('PUT', '/v1/instances/' + UUID)),
            (lambda: self.client.destroy(UUID, ports), ('DELETE', '/v1/instances/' + UUID)),
            (lambda: self.client.destroy(UUID, ports, 'aside'), ('DELETE', '/v1/instances/%s?keep=aside' % UUID)),
            (lambda: self.client.back_up(UUID, 9), ('POST', '/v1/instances/%s/aside?grace=9' % UUID)),
            (lambda: self.client.back_up(UUID, 9, True), ('POST', '/v1/instances/%s/aside?grace=9&commit=true' % UUID)),
            (lambda: self.client.restore(UUID), ('POST', '/v1/instances/%s/restore' % UUID)),
            (lambda: self.client.discard_backup(UUID, ports), ('DELETE', '/v1/instances/%s/aside' % UUID)),
            (lambda: self.client.attach(UUID, ports[0]), ('PUT', '/v1/instances/%s/ports/%s' % (UUID, harness.PORT))),
            (lambda: self.client.attach(UUID, ports[0], join=False),
             ('PUT', '/v1/instances/%s/ports/%s?join=false' % (UUID, harness.PORT))),
            (lambda: self.client.detach(UUID, ports[0]), ('DELETE', '/v1/instances/%s/ports/%s' % (UUID, harness.PORT))),
            (lambda: self.client.set_password(UUID, 'secret'), ('PUT', '/v1/instances/%s/password' % UUID)),
            (lambda: self.client.diagnostics(UUID), ('GET', '/v1/instances/%s/diagnostics' % UUID)),
            (lambda: self.client.age_images(60), ('DELETE', '/v1/images')),
            (lambda: self.client.forget_image('i'), ('DELETE', '/v1/images/i')),
            (lambda: self.client.act(UUID, 'stop', 30), ('POST', '/v1/instances/%s/stop?grace=30' % UUID)),
            (lambda: self.client.act(UUID, 'stop', 30, True), ('POST', '/v1/instances/%s/stop?grace=30&commit=true' % UUID)),
            (lambda: self.client.act(UUID, 'start'), ('POST', '/v1/instances/%s/start?grace=0' % UUID)),
            (lambda: self.client.serial(UUID, {}), ('POST', '/v1/instances/%s/serial' % UUID)),
            (lambda: self.client.console(UUID), ('GET', '/v1/instances/%s/console' % UUID)),
        ]:
            with self.subTest(want):
                call()
                self.assertEqual(want, self.there.server.seen[-1])

    def test_bodies_are_json(self):
        bodies = []
        self.there.start(lambda request: (bodies.append(request.body()), request.reply(200, {})))
        self.client.plug(UUID, harness.network_info(harness.vif()))
        self.assertIn(b'"id": "%s"' % harness.PORT.encode(), bodies[0])

    def test_console_is_bytes(self):
        def answer(request):
            request.begin_stream()
            request.stream(b'\xff\x00caf\xc3\xa9')
            request.stream(b'')
        self.there.start(answer)
        self.assertEqual(b'\xff\x00caf\xc3\xa9', self.client.console(UUID))


class Faults(TestCase):
    def test_no_such_instance(self):
        self.answer(404, {'code': 'no_such_instance', 'message': 'server has no container'})
        with self.assertRaisesRegex(exception.InstanceNotFound, UUID):
            self.client.instance(UUID)

    def test_unusable_image(self):
        self.answer(422, {'code': 'unusable_image', 'message': 'it is empty'})
        with self.assertRaises(ndock.UnusableImage) as caught:
            self.client.create(UUID, {})
        self.assertEqual('it is empty', caught.exception.format_message())

    def test_unusable_flavor(self):
        self.answer(422, {'code': 'unusable_flavor', 'message': 'quota:cpu_quota is no number'})
        with self.assertRaises(ndock.UnusableFlavor) as caught:
            self.client.create(UUID, {})
        self.assertEqual('quota:cpu_quota is no number', caught.exception.format_message())

    def test_unusable_port(self):
        self.answer(422, {'code': 'unusable_port', 'message': 'its MTU is below the 1280 that IPv6 needs'})
        with self.assertRaisesRegex(ndock.UnusablePort, '1280'):
            self.client.plug(UUID, [])

    def test_of_a_console(self):
        for code, want in [('not_running', ndock.NotRunning), ('no_terminal', ndock.NoTerminal),
                           ('no_free_port', ndock.NoFreePort)]:
            with self.subTest(code):
                self.there = agent_server.Agent(self)
                self.client = ndock.Agent(self.there.path, away=0)
                self.answer(409, {'code': code, 'message': 'for this reason'})
                with self.assertRaisesRegex(want, 'for this reason'):
                    self.client.serial(UUID, {})

    def test_of_what_cannot_be_done(self):
        self.answer(400, {'code': 'bad_request', 'message': 'for this reason'})
        with self.assertRaisesRegex(ndock.BadRequest, 'for this reason'):
            self.client.act(UUID, 'pause')

    def test_all_others_keep_the_agents_words(self):
        for code in ('failed', 'invented later'):
            with self.subTest(code):
                self.there = agent_server.Agent(self)
                self.client = ndock.Agent(self.there.path, away=0)
                self.answer(500, {'code': code, 'message': 'the disk is 100% full'})
                with self.assertRaises(ndock.AgentError) as caught:
                    self.client.host()
                self.assertEqual('the disk is 100% full', caught.exception.format_message())
                self.assertIs(ndock.AgentError, type(caught.exception))

    def test_a_fault_that_is_none_of_the_agents(self):
        for body in ('a string', ['a list'], None, {'code': 'failed'}):
            with self.subTest(body):
                self.there = agent_server.Agent(self)
                self.client = ndock.Agent(self.there.path, away=0)
                self.there.start(lambda request: request.reply(502, body))
                with self.assertRaisesRegex(ndock.AgentError, '502 Bad Gateway'):
                    self.client.host()

    def test_the_connection_breaks_before_the_answer(self):
        self.there.start(lambda request: None)
        with self.assertRaises(ndock.AgentUnavailable) as caught:
            self.client.host()
        self.assertIn(self.there.path, caught.exception.format_message())

    def test_the_connection_breaks_in_the_answer(self):
        def answer(request):
            request.send_response(200)
            request.send_header('Content-Length', '100')
            request.end_headers()
        self.there.start(answer)
        with self.assertRaises(ndock.AgentUnavailable):
            self.client.host()


class Clock:
    """time, as far as the client uses it: sleeping takes no time, and something may happen meanwhile."""

    def __init__(self, meanwhile=lambda: None):
        self.now = 0.0
        self._meanwhile = meanwhile

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self._meanwhile()


class Away(TestCase):
    def test_given_up_in_time(self):
        clock = Clock()
        self.patch(ndock, 'time', clock)
        with self.assertRaises(ndock.AgentUnavailable):
            ndock.Agent(self.there.path, away=10).host()
        self.assertGreaterEqual(clock.now, 10)
        self.assertLess(clock.now, 11)

    def test_a_dead_socket_is_waited_for_too(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.there.path)  # and nobody listens
        clock = Clock()
        self.patch(ndock, 'time', clock)
        with self.assertRaises(ndock.AgentUnavailable):
            ndock.Agent(self.there.path, away=10).host()
        self.assertGreaterEqual(clock.now, 10)

    def test_a_restarting_agent_is_waited_for(self):
        clock = Clock(meanwhile=lambda: clock.now > 3 and not self.there.server and self.answer(value={'vcpus': 4}))
        self.patch(ndock, 'time', clock)
        self.assertEqual({'vcpus': 4}, ndock.Agent(self.there.path, away=10).host())

    def test_what_cannot_pass_is_not_waited_for(self):
        clock = Clock()
        self.patch(ndock, 'time', clock)
        with self.assertRaises(ndock.AgentUnavailable):
            ndock.Agent(__file__ + '/agent.sock', away=10).host()
        self.assertEqual(0, clock.now)


class Timeouts(TestCase):
    def silence(self):
        """An agent that takes requests and never answers, until the test is over."""
        over = threading.Event()
        self.addCleanup(over.set)
        self.there.start(lambda request: over.wait(30))

    def test_a_silent_agent_is_given_up(self):
        self.silence()
        self.patch(ndock, 'QUICK', 0.1)
        with self.assertRaisesRegex(ndock.AgentUnavailable, 'timed out'):
            self.client.act(UUID, 'pause')

    def test_the_grace_of_a_process_comes_on_top(self):
        connection = self.patch(ndock, 'Connection', side_effect=OSError)
        with self.assertRaises(OSError):
            self.client.act(UUID, 'stop', grace=600)
        self.assertEqual(mock.call(self.there.path, ndock.END + 600), connection.call_args)

    def test_the_end_of_a_container_takes_as_long_as_the_agent_gives_it(self):
        """Docker waits for what was written to be on the disk; a delete that is given up leaves the server in ERROR."""
        connection = self.patch(ndock, 'Connection', side_effect=OSError)
        for end in (lambda: self.client.destroy(UUID, []), lambda: self.client.discard_backup(UUID, []),
                    lambda: self.client.restore(UUID), lambda: self.client.back_up(UUID),
                    lambda: self.client.act(UUID, 'stop'), lambda: self.client.act(UUID, 'restart')):
            with self.assertRaises(OSError):
                end()
            self.assertGreater(connection.call_args.args[1], 25 * 60)  # removeTimeout, in docker/agent/server/server.go
        with self.assertRaises(OSError):
            self.client.act(UUID, 'pause')
        self.assertEqual(ndock.QUICK, connection.call_args.args[1])
        with self.assertRaises(OSError):
            self.client.act(UUID, 'start')
        self.assertGreater(connection.call_args.args[1], 4 * 60)  # startTimeout, there

    def test_every_verb_has_one(self):
        port = {'id': harness.PORT}
        calls = {
            'act': ('start',), 'reserve_devices': ({},), 'create': ({},), 'plug': ([],), 'unplug': ([],), 'destroy': ([],), 'events': (),
            'discard_backup': ([],), 'attach': (port,), 'detach': (port,), 'set_password': ('secret',), 'age_images': (60,),
            'serial': ({},), 'needed_layers': ([],), 'commit_layer': ('sha256:c', 'sha256:d'), 'commit_archive': ('sha256:c',),
        }
        for name, verb in inspect.getmembers(ndock.Agent, inspect.isfunction):
            if name.startswith('_'):
                continue
            with self.subTest(name), mock.patch.object(ndock, 'Connection', side_effect=OSError) as connection:
                named = 'uuid' in inspect.signature(verb).parameters or 'image_id' in inspect.signature(verb).parameters
                arguments = ((UUID,) if named else ()) + calls.get(name, ())
                with self.assertRaises(OSError):
                    result = getattr(self.client, name)(*arguments, **({'silence': 20} if name == 'events' else {}))
                    if hasattr(result, '__enter__'):
                        result.__enter__()
                    else:
                        list(result)
                self.assertGreater(connection.call_args.args[1], 0)


class Upload(TestCase):
    def received(self, status=200, value=None):
        """An agent that takes an upload: all its chunks, and None after them when its end did not come."""
        chunks, over = [], threading.Event()

        def answer(request):
            while True:
                chunks.append(request.chunk())
                if not chunks[-1]:
                    break
            over.set()
            if chunks[-1] is not None:
                request.reply(status, value or {})
        self.there.start(answer)
        return chunks, over

    def test_bytes_arrive_in_order_and_ended(self):
        chunks, _ = self.received()
        with self.client.load_image('i') as data:
            data.write(b'one')
            data.write(b'')  # in a chunked body, that would be its end
            data.write(b'two')
        self.assertEqual([b'one', b'two', b''], chunks)
        self.assertEqual([('PUT', '/v1/images/i')], self.there.server.seen)

    def test_for_a_flavor(self):
        self.received()
        with self.client.load_image('i', 5) as data:
            data.write(b'one')
        self.assertEqual([('PUT', '/v1/images/i?root_gb=5')], self.there.server.seen)

    def test_refused_at_the_end(self):
        self.received(422, {'code': 'unusable_image', 'message': 'it is no tar archive'})
        with self.assertRaisesRegex(ndock.UnusableImage, 'it is no tar archive'):
            with self.client.load_image('i') as data:
                data.write(b'nonsense')

    def test_refused_in_the_middle_and_the_reason_arrives(self):
        def answer(request):
            request.chunk()
            request.reply(422, {'code': 'unusable_image', 'message': 'it is a qcow2 disk image'})
        self.there.start(answer)
        with self.assertRaisesRegex(ndock.UnusableImage, 'it is a qcow2 disk image'):
            with self.client.load_image('i') as data:
                for _ in range(64):  # far more than the socket holds: the agent has hung up long before the end
                    data.write(bytes(1 << 20))

    def test_the_caller_fails(self):
        chunks, over = self.received()
        with self.assertRaisesRegex(OSError, 'glance is gone'):  # its own error, and not the agent's
            with self.client.load_image('i') as data:
                data.write(b'half')
                raise OSError('glance is gone')
        self.assertTrue(over.wait(10))
        self.assertEqual([b'half', None], chunks)

    def test_an_archive_and_layers(self):
        chunks, _ = self.received()
        with self.client.load_image('i', 5, [{'digest': 'sha256:1'}]) as data:
            data.write(b'the archive')
            data.begin('sha256:1')
            data.write(b'the layer')
        kind = self.there.server.headers[0]['Content-Type']
        message = email.message_from_bytes(b'Content-Type: %s\r\n\r\n' % kind.encode() + b''.join(chunks))
        self.assertEqual([
            ('layers', b'{"layers": [{"digest": "sha256:1"}]}'), ('archive', b'the archive'), ('sha256:1', b'the layer'),
        ], [(part.get_param('name', header='Content-Disposition'), part.get_payload(decode=True)) for part in message.get_payload()])
        self.assertTrue(b''.join(chunks).endswith(b'--\r\n'))
        self.assertEqual([('PUT', '/v1/images/i?root_gb=5')], self.there.server.seen)

    def test_layers_that_are_left_out(self):
        self.received(409, {'code': 'layers_left_out', 'message': 'it leaves out its layer 1', 'layers': [{'digest': 'sha256:1'}]})
        with self.assertRaisesRegex(ndock.LayersLeftOut, 'its layer 1') as caught:
            with self.client.load_image('i') as data:
                data.write(b'the archive')
        self.assertEqual([{'digest': 'sha256:1'}], caught.exception.layers)

    def test_truncate_leaves_it_without_an_end(self):
        chunks, over = self.received()
        with self.assertRaises(ZeroDivisionError):
            with self.client.load_image('i') as data:
                data.write(b'whole, but wrongly signed')
                data.truncate(0)
                raise ZeroDivisionError
        self.assertTrue(over.wait(10))
        self.assertEqual([b'whole, but wrongly signed', None], chunks)

    def test_truncated_is_not_finished_whatever_comes_after(self):
        chunks, over = self.received()
        with self.assertRaises(ndock.AgentError):
            with self.client.load_image('i') as data:
                data.write(b'wrongly signed')
                data.truncate(0)
        with self.assertRaises(http.client.NotConnected):
            data.write(b'more')
        self.assertTrue(over.wait(10))
        self.assertEqual([b'wrongly signed', None], chunks)
        self.assertEqual([('PUT', '/v1/images/i')], self.there.server.seen)


class Snapshot(TestCase):
    def streaming(self, *chunks, end=True):
        def answer(request):
            request.begin_stream(Ndock_Image='{"id": "sha256:abc", "architecture": "x86_64", "size": 3}')
            for chunk in chunks:
                request.stream(chunk)
            if end:
                request.stream(b'')
        self.there.start(answer)

    def test_read_in_pieces(self):
        self.streaming(b'one', b'two')
        with self.client.snapshot(UUID) as (found, data):
            self.assertEqual('sha256:abc', found['id'])
            self.assertEqual([b'onet', b'wo', b''], [data.read(4), data.read(4), data.read(4)])
        self.assertEqual(6, data.count)

    def test_read_by_iteration(self):
        self.streaming(b'one', b'two')
        with self.client.snapshot(UUID) as (_, data):
            self.assertEqual(b'onetwo', b''.join(data))

    def test_one_that_breaks_raises(self):
        self.streaming(b'one', end=False)
        with self.client.snapshot(UUID) as (_, data):
            with self.assertRaisesRegex(ndock.AgentError, 'broke off'):
                b''.join(data)

    def test_one_that_broke_never_looks_ended(self):
        self.streaming(b'one', end=False)
        with self.client.snapshot(UUID) as (_, data):
            for _ in range(3):
                with self.assertRaises(ndock.AgentError):
                    while data.read():
                        pass

    def test_nothing_is_read_after_the_end(self):
        self.streaming(b'one')
        with self.client.snapshot(UUID) as (_, data):
            self.assertEqual(b'one', b''.join(data))
            with self.assertRaisesRegex(ndock.AgentError, 'sent already'):
                data.read()

    def test_no_such_server(self):
        self.answer(404, {'code': 'no_such_instance', 'message': ''})
        with self.assertRaises(exception.InstanceNotFound):
            with self.client.snapshot(UUID):
                self.fail('there is nothing to read')


class Commits(TestCase):
    """What the agent makes of a server is there as long as the block lasts, whatever is read of it meanwhile."""

    def serve(self):
        self.over, self.bodies, self.asked = threading.Event(), [], threading.Event()

        def answer(request):
            self.bodies.append(request.body())
            request.begin_stream(Ndock_Image_Digest='sha256:m')
            if not request.path.endswith('/commit'):
                request.stream(b'bytes')
                request.stream(b'')
                return
            request.stream(b'{"id": "sha256:c", "layers": []}\n')
            self.asked.wait(10)
            if request.connection.recv(1) == b'':  # the end of the connection, and nothing else
                self.over.set()
        self.there.start(answer)

    def test_it_lasts_until_the_block_ends(self):
        self.serve()
        with self.client.commit(UUID) as commit:
            self.assertEqual('sha256:c', commit['id'])
            self.asked.set()
            with self.client.commit_layer('sha256:c', 'sha256:d') as data:
                self.assertEqual(b'bytes', b''.join(data))
            self.assertFalse(self.over.is_set())
        self.assertTrue(self.over.wait(10))
        self.assertEqual([('POST', '/v1/instances/%s/commit' % UUID), ('GET', '/v1/commits/sha256:c/layers/sha256:d')],
                         self.there.server.seen)

    def test_it_ends_with_an_error(self):
        self.serve()
        self.asked.set()
        with self.assertRaises(KeyError), self.client.commit(UUID):
            raise KeyError
        self.assertTrue(self.over.wait(10))

    def test_a_layers_hash(self):
        self.serve()
        with self.client.commit_layer('sha256:c', 'sha256:d') as data:
            self.assertEqual([b'by', b'tes', b''], [data.read(2), data.read(100), data.read(100)])
        self.assertEqual((hashlib.sha512(b'bytes').hexdigest(), 5), (data.sha512.hexdigest(), data.count))

    def test_archives(self):
        self.serve()
        for layers, want in [(None, ('GET', b'')), ([{'digest': 'd'}], ('POST', b'{"layers": [{"digest": "d"}]}'))]:
            with self.client.commit_archive('sha256:c', layers) as data:
                self.assertEqual((b'bytes', 'sha256:m'), (b''.join(data), data.digest))
            self.assertEqual(want, (self.there.server.seen[-1][0], self.bodies[-1]))

    def test_an_agent_that_ends_before_it(self):
        self.there.start(lambda request: (request.begin_stream(), request.stream(b'')))
        with self.assertRaises(ndock.AgentUnavailable):
            with self.client.commit(UUID):
                self.fail('there is no commit')


class Events(TestCase):
    def test_a_line_each_until_the_agent_ends(self):
        def answer(request):
            request.begin_stream()
            request.stream(b'{"event": "hello"}\n{"event": "st')
            request.stream(b'opped", "uuid": "%s"}\n' % UUID.encode())
            request.stream(b'')
        self.there.start(answer)
        self.assertEqual([{'event': 'hello'}, {'event': 'stopped', 'uuid': UUID}], list(self.client.events(10)))

    def test_each_arrives_at_once(self):
        seen = threading.Event()

        def answer(request):
            request.begin_stream()
            request.stream(b'{"event": "hello"}\n')
            self.assertTrue(seen.wait(10))
            request.stream(b'')
        self.there.start(answer)
        for happened in self.client.events(10):
            self.assertEqual({'event': 'hello'}, happened)
            seen.set()
        self.assertTrue(seen.is_set())

    def test_silence_is_an_end(self):
        over = threading.Event()
        self.addCleanup(over.set)

        def answer(request):
            request.begin_stream()
            request.stream(b'{"event": "hello"}\n')
            over.wait(30)
        self.there.start(answer)
        events = self.client.events(0.1)
        self.assertEqual({'event': 'hello'}, next(events))
        with self.assertRaisesRegex(ndock.AgentUnavailable, 'timed out'):
            next(events)
