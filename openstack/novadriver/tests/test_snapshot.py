"""Images between the agent and Glance, through Nova's own image API: what is real here is what may lose an image."""

import threading
from unittest import mock

import agent_server
import harness
import fakes

import cryptography.exceptions
import glanceclient.exc

import nova.utils
from nova import exception
from nova.compute import task_states
from nova.image import glance
from nova.virt.docker import agent as ndock
from nova.virt.docker import DockerDriver

SNAPSHOT = '99999999-1111-4222-8333-444455556666'


class GlanceImages:
    """glanceclient's images, in memory; refuse(attempt) may raise after the first piece of an upload."""

    def __init__(self):
        self.updates = []
        self.uploads = []
        self.refuse = lambda attempt: None
        self.stored = b''

    def get(self, image_id):
        return fakes.Record(id=image_id, name='web-1', status='queued', size=len(self.stored), visibility='private',
                      owner='a-project', container_format='docker', disk_format='raw', min_disk=1,
                      os_command_line='sleep 60', docker_image_digest='sha256:base',
                      **{'trait:CUSTOM_NDOCK_LAYERS': 'required'})

    def update(self, image_id, **changes):
        self.updates.append(changes)
        return self.get(image_id)

    def upload(self, image_id, data):
        self.uploads.append(image_id)
        content = data.read(10)
        self.refuse(len(self.uploads))
        while chunk := data.read(10):
            content += chunk
        self.stored = content


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.images = GlanceImages()
        self.patch(nova.utils, 'tpool_execute', lambda call, *args, **kwargs: call(*args, **kwargs), create=True)
        self.patch(glance.time, 'sleep')
        wrapper = glance.GlanceClientWrapper()
        wrapper.client, wrapper.api_server = mock.Mock(images=self.images), 'http://glance'
        self.service = glance.GlanceImageServiceV2(client=wrapper)
        self.patch(glance, 'get_remote_image_service', lambda context, image: (self.service, image))
        self.states = []

    def snapshot(self):
        self.driver.snapshot(harness.context(), harness.instance(), SNAPSHOT, self.update_task_state)

    def update_task_state(self, task_state, expected_state=task_states.IMAGE_SNAPSHOT):
        self.states.append((expected_state, task_state))


class Snapshot(TestCase):
    def test_the_image_is_the_archive(self):
        self.snapshot()
        self.assertEqual(fakes.ARCHIVE, self.images.stored)
        self.assertEqual([SNAPSHOT], self.images.uploads)

    def test_task_states(self):
        self.snapshot()
        self.assertEqual([
            (task_states.IMAGE_SNAPSHOT, task_states.IMAGE_PENDING_UPLOAD),
            (task_states.IMAGE_PENDING_UPLOAD, task_states.IMAGE_UPLOADING),
        ], self.states)

    def test_what_is_said_of_it(self):
        self.snapshot()
        change, = self.images.updates
        for name, want in {
                'container_format': 'docker', 'disk_format': 'raw', 'name': 'web-1', 'hypervisor_type': 'docker',
                'architecture': 'x86_64', 'docker_image_id': 'sha256:abc', 'docker_unpacked_size': '4096'}.items():
            self.assertEqual(want, change[name], name)

    def test_inherited_properties_stay(self):
        self.snapshot()
        change, = self.images.updates
        self.assertNotIn('os_command_line', change)  # not changed
        self.assertFalse(change.get('remove_props'))  # and not removed, as purge_props would

    def test_what_is_true_of_the_base_alone_is_not_inherited(self):
        """Nova copies all properties; a snapshot is another image, and has all layers."""
        self.snapshot()
        change, = self.images.updates
        self.assertEqual(('', ''), (change['docker_image_digest'], change['trait:CUSTOM_NDOCK_LAYERS']))
        self.assertNotIn('docker_stored_size', change)  # the base had none

    def test_no_such_server(self):
        self.agent.failing['commit'] = exception.InstanceNotFound(instance_id=harness.SERVER)
        with self.assertRaises(exception.InstanceNotFound):
            self.snapshot()
        self.assertEqual([], self.images.uploads)


class Retries(TestCase):
    """Nova uploads again when Glance fails, with the same file: that must not end in half an image."""

    def fail_first(self, attempt):
        if attempt == 1:
            raise glanceclient.exc.CommunicationError('the connection broke')

    def test_glance_fails_in_the_middle(self):
        self.images.refuse = self.fail_first
        with self.assertRaisesRegex(ndock.AgentError, 'Glance has 15 bytes of the 25'):
            self.snapshot()
        self.assertEqual(2, len(self.images.uploads))

    def test_glance_fails_after_the_end(self):
        with self.real_agent(fakes.ARCHIVE):
            read = self.images.upload

            def upload(image_id, data):
                read(image_id, data)
                self.fail_first(len(self.images.uploads))
            self.images.upload = upload
            with self.assertRaisesRegex(ndock.AgentError, 'sent already'):
                self.snapshot()

    def test_the_agent_fails_in_the_middle(self):
        with self.real_agent(fakes.ARCHIVE, end=False), self.assertRaisesRegex(ndock.AgentError, 'broke off'):
            self.snapshot()
        self.assertEqual(b'', self.images.stored)
        self.assertEqual(1, len(self.images.uploads))  # the reason is not lost in another try

    def real_agent(self, archive, end=True):
        def answer(request):
            request.begin_stream()
            if request.command == 'POST':
                request.stream(b'{"id": "sha256:abc", "architecture": "x86_64", "size": 3, "layers": []}\n')
                return
            request.stream(archive)
            if end:
                request.stream(b'')
        there = agent_server.Agent(self).start(answer)
        return mock.patch.object(self.driver, '_agent', ndock.Agent(there.path, away=0))


class Signatures(TestCase):
    """Nova checks a signature while the image flows by, and says at its end that it was wrong."""

    def load(self, verifier):
        chunks, over = [], threading.Event()

        def answer(request):
            while True:
                chunks.append(request.chunk())
                if not chunks[-1]:
                    break
            over.set()
            if chunks[-1] is not None:
                request.reply(200, {})
        there = agent_server.Agent(self).start(answer)
        self.patch(self.service, '_get_verifier', return_value=verifier)
        self.images.data = lambda image_id: mock.MagicMock(
            wrapped=True, __iter__=lambda _: iter([b'signed ', b'bytes']))
        with ndock.Agent(there.path, away=0).load_image(harness.IMAGE) as data:
            try:
                glance.API().download(harness.context(), harness.IMAGE, data=data, trusted_certs=None)
            finally:
                self.chunks, self.over = chunks, over

    def test_a_good_one(self):
        self.load(mock.Mock())
        self.assertEqual([b'signed ', b'bytes', b''], self.chunks)

    def test_a_wrong_one_never_reaches_its_end(self):
        with self.assertRaises(cryptography.exceptions.InvalidSignature):
            self.load(mock.Mock(**{'verify.side_effect': cryptography.exceptions.InvalidSignature}))
        self.assertTrue(self.over.wait(10))
        self.assertEqual([b'signed ', b'bytes', None], self.chunks)
