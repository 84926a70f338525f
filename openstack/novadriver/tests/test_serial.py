"""The serial console: what Nova is told, and what the agent is asked."""

import types
from unittest import mock

import harness
import fakes

from nova import context as nova_context
from nova import exception
from nova.virt.docker import agent as ndock
from nova.virt.docker import availability
from nova.virt.docker import compat
from nova.virt.docker import DockerDriver


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.patch(availability.Watch, 'start')
        self.agent = fakes.Agent()
        self.configure('serial_console', proxyclient_address='192.0.2.7', port_range='10000:20000')
        self.user, self.proxy = harness.context().elevated(), nova_context.get_admin_context()

    def ask(self, context, paths):
        with mock.patch.object(compat, 'proxy_sends_paths', return_value=paths):
            driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        return driver.get_serial_console(context, harness.instance())


class Console(TestCase):
    def test_where_it_is(self):
        self.agent.port = {'port': 10001, 'path': '/once'}
        found = self.ask(self.user, paths=True)
        self.assertEqual(('192.0.2.7', 10001, '/once'), (found.host, found.port, found.internal_access_path))
        self.agent.port = {'port': 10001}
        self.assertIsNone(self.ask(self.user, paths=False).internal_access_path)

    def test_what_is_asked_for(self):
        self.configure('consoleauth', token_ttl=300)
        self.ask(self.user, paths=True)
        self.assertEqual([(harness.SERVER, {
            'address': '192.0.2.7', 'ports': '10000:20000', 'lifetime': 300, 'admit': 'path'})], self.agent.asked('serial'))

    def test_who_is_let_in(self):
        for context, paths, want in [
            (self.user, True, 'path'),    # with its URL
            (self.proxy, True, ''),       # it has the path of that URL
            (self.user, False, ''),       # not before the proxy comes
            (self.proxy, False, 'next'),
        ]:
            with self.subTest(user=context.user_id, paths=paths):
                self.ask(context, paths)
                self.assertEqual(want, self.agent.asked('serial')[-1][1]['admit'])

    def test_a_time_that_is_none(self):
        self.configure('consoleauth', token_ttl=0)
        self.ask(self.user, paths=True)
        self.assertEqual(1, self.agent.asked('serial')[-1][1]['lifetime'])

    def test_faults_that_the_api_knows(self):
        for fault, want in [
            (ndock.NoTerminal(reason='r'), exception.ConsoleTypeUnavailable),
            (ndock.NotRunning(reason='r'), exception.InstanceNotReady),
            (ndock.NoFreePort(reason='r'), exception.SocketPortRangeExhaustedException),
            (exception.InstanceNotFound(instance_id='i'), exception.InstanceNotFound),
        ]:
            with self.subTest(fault):
                self.agent.failing['serial'] = fault
                with self.assertRaises(want):
                    self.ask(self.user, paths=True)


class Proxy(harness.TestCase):
    """Nova 26 to 33 look for a text in the bytes of the answer to a path, and fail."""

    def sends_paths(self, source):
        loader = types.SimpleNamespace(get_code=lambda name: compile(source, name, 'exec'))
        self.patch(compat.importlib.util, 'find_spec', return_value=types.SimpleNamespace(name='n', loader=loader))
        return compat.proxy_sends_paths()

    SOURCE = 'class Handler:\n    def new_client(self):\n        end_token = %s\n        return end_token\n'

    def test_by_what_it_looks_for(self):
        self.assertTrue(self.sends_paths(self.SOURCE % r'b"\r\n\r\n"'))
        self.assertFalse(self.sends_paths(self.SOURCE % r'"\r\n\r\n"'))

    def test_without_a_proxy(self):
        self.patch(compat.importlib.util, 'find_spec', return_value=None)
        self.assertFalse(compat.proxy_sends_paths())

    def test_the_one_that_is_installed(self):
        # What its own tests say of it: a socket that answers in bytes.
        from nova.console import websocketproxy
        answer = mock.Mock(**{'recv.return_value': b'HTTP/1.1 200 OK\r\n\r\n'})
        handler = mock.Mock(path='/?token=t', headers={'Host': 'h'}, socket=lambda *a, **k: answer)
        handler.server.security_proxy = None
        handler._get_connect_info.return_value = mock.MagicMock(
            internal_access_path='/p', **{'__contains__.return_value': True})
        try:
            websocketproxy.NovaProxyRequestHandler.new_websocket_client(handler)
            works = handler.do_proxy.called
        except TypeError:
            works = False
        except ImportError as error:
            self.skipTest('this release has its proxies run without eventlet: %s' % error)
        self.assertEqual(works, compat.proxy_sends_paths())
