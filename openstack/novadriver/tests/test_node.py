"""The name that the host has as a hypervisor: the one that Nova knows already, and else the one that libvirt would give it."""

import os
import socket
import tempfile
import unittest
from unittest import mock

import harness
import fakes

from nova import exception
from nova import objects
from nova.virt import driver
from nova.virt.docker import compat
from nova.virt.docker import DockerDriver

IDENTITY = 'd2b8f9a4-5c5d-4f0c-9a53-1f6f7b5f0a11'
OTHER = '1b7a4a0e-20c0-4a39-8bd8-0d2b3c4d5e6f'
FULL = 'compute1.example.com'
HAS_IDENTITY = hasattr(driver.ComputeDriver, 'get_nodenames_by_uuid')  # Nova from 27 on


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.nodes = []
        self.patch(objects.ComputeNodeList, 'get_all_by_host', self.by_host)
        self.patch(objects.ComputeNodeList, 'get_all_by_uuids',
                   lambda context, uuids: [node for node in self.nodes if node.uuid in uuids])
        self.patch(compat, 'node_identity', lambda: self.identity)
        self.identity = None
        self.machine('compute1', FULL)

    def by_host(self, context, host):
        found = [node for node in self.nodes if node.host == host]
        if not found:
            raise exception.ComputeHostNotFound(host=host)
        return found

    def node(self, name, uuid=IDENTITY, host=harness.HOST):
        self.nodes.append(objects.ComputeNode(
            id=len(self.nodes) + 1, uuid=uuid, host=host, hypervisor_hostname=name))

    def machine(self, name, full):
        self.patch(socket, 'gethostname', lambda: name)
        answer = mock.Mock(side_effect=full) if isinstance(full, OSError) else (
            lambda *args, **kwargs: [(socket.AF_INET, socket.SOCK_STREAM, 6, full, ('192.0.2.7', 0))])
        self.patch(socket, 'getaddrinfo', answer)

    def name(self):
        name, = DockerDriver(fakes.VirtAPI(None), fakes.Agent()).get_available_nodes()
        return name


class Known(TestCase):
    def test_by_its_identity(self):
        self.node('someone.example.com', OTHER)
        self.node(FULL)
        self.node('another.example.com', 'c3d4e5f6-0000-4000-8000-000000000001')
        self.identity = IDENTITY
        self.assertEqual(FULL, self.name())

    def test_by_its_host_before_nova_has_written_the_identity(self):
        self.node('kvm1.example.com')
        self.node('kvm2.example.com', OTHER, host='compute2')
        self.assertEqual('kvm1.example.com', self.name())

    def test_a_node_of_ours_keeps_the_name_of_the_host(self):
        self.node(harness.HOST)
        self.identity = IDENTITY
        self.assertEqual(harness.HOST, self.name())

    def test_of_two_the_last_is_in_use(self):
        self.node(FULL)
        self.node(harness.HOST, OTHER)
        self.assertEqual(harness.HOST, self.name())

    def test_an_identity_that_was_given_before_the_first_start(self):
        self.identity = IDENTITY
        self.assertEqual(FULL, self.name())

    def test_the_name_does_not_change_while_it_runs(self):
        driver = DockerDriver(fakes.VirtAPI(None), fakes.Agent())
        self.assertEqual([FULL], driver.get_available_nodes())
        self.node('kvm1.example.com')
        self.assertEqual([FULL], driver.get_available_nodes(refresh=True))

    def test_a_database_that_is_away_is_no_new_host(self):
        self.patch(objects.ComputeNodeList, 'get_all_by_host', side_effect=exception.NovaException('away'))
        self.assertRaisesRegex(exception.NovaException, 'away', self.name)


class New(TestCase):
    def test_as_libvirt_calls_the_machine(self):
        for name, full, want in [
            ('compute1', FULL, FULL),
            ('compute1', 'localhost', 'compute1'),
            ('compute1', 'localhost.localdomain', 'compute1'),
            ('compute1', '', 'compute1'),
            ('compute1', socket.gaierror('no such name'), 'compute1'),
            ('a.example.com', 'b.example.com', 'a.example.com'),
            ('localhost', 'b.example.com', 'localhost'),
        ]:
            with self.subTest(name=name, full=full):
                self.machine(name, full)
                self.assertEqual(want, self.name())


@unittest.skipUnless(HAS_IDENTITY, 'this Nova has no compute_id')
class Nova(TestCase):
    def test_it_starts_with_the_node_of_another_driver(self):
        from nova.compute import manager
        from nova.virt import node
        self.patch(node, 'LOCAL_NODE_UUID', IDENTITY)
        self.identity = IDENTITY
        self.node('kvm1.example.com')
        started = mock.Mock(driver=DockerDriver(fakes.VirtAPI(None), fakes.Agent()), host=harness.HOST)
        self.assertEqual([IDENTITY], list(manager.ComputeManager._get_nodes(started, harness.context())))


class Identity(harness.TestCase):
    def test_it_is_that_of_the_file(self):
        with tempfile.TemporaryDirectory() as state:
            self.configure(state_path=state)
            self.assertIsNone(compat.node_identity())
            with open(os.path.join(state, 'compute_id'), 'w', encoding='utf-8') as file:
                file.write(IDENTITY + '\n')
            self.assertEqual(IDENTITY if HAS_IDENTITY else None, compat.node_identity())
