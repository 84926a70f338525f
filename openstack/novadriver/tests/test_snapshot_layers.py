"""Snapshots by layers, through Nova's own image API: what is sent, what is found, and what happens where that fails."""

import hashlib
import json
import uuid
from unittest import mock

import harness
import fakes

import glanceclient.exc

import nova.utils
from nova.compute import task_states
from nova.image import glance
from nova.virt.docker import agent as ndock
from nova.virt.docker import DockerDriver
from nova.virt.docker import snapshots

SNAPSHOT = '99999999-1111-4222-8333-444455556666'
TAR = 'application/vnd.oci.image.layer.v1.tar'


class Images:
    """glanceclient's images, in memory. during and after are called with the record in the middle of an upload and at its end."""

    def __init__(self):
        self.records = {}
        self.log = []  # what was stored, by the names that it had then
        self.queries = []
        self.during = self.after = lambda record: None
        self.refuse = None  # raised by create
        self.project = 'a-project'

    def put(self, name, content=b'', **fields):
        record = {'id': str(uuid.uuid4()), 'name': name, 'status': 'queued', 'size': None, 'owner': self.project,
                  'visibility': 'private', 'os_hidden': False, 'os_hash_algo': None, 'os_hash_value': None}
        self.records[record['id']] = record
        if content:
            self._store(record, content)
        record.update(fields)
        return record

    def _store(self, record, content):
        record.update(status='active', size=len(content), content=content, os_hash_algo='sha512',
                      os_hash_value=hashlib.sha512(content).hexdigest())

    def find(self, name):
        return [record for record in self.records.values() if record['name'] == name]

    def layers(self):
        return sorted(record['name'] for record in self.records.values() if record['os_hidden'])

    def create(self, **fields):
        if self.refuse:
            raise self.refuse
        return self._shown(self.put(fields.pop('name'), **fields))

    def get(self, image_id):
        if image_id not in self.records:
            raise glanceclient.exc.HTTPNotFound()
        return self._shown(self.records[image_id])

    def _shown(self, record):
        return fakes.Record({name: value for name, value in record.items() if name != 'content'})

    def update(self, image_id, **changes):
        changes.pop('remove_props', None)
        changes.pop('status', None)
        self.records[image_id].update(changes)
        return self.get(image_id)

    def patch(self, url, headers, data):
        """glanceclient's own requests; Glance does all of a change or nothing."""
        assert headers == {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
        record = self.records[url[len('/v2/images/'):]]
        changes = [(change['op'], change['path'].lstrip('/'), change['value']) for change in json.loads(data)]
        if any(op == 'replace' and name not in record for op, name, _ in changes):
            raise glanceclient.exc.HTTPConflict()
        record.update({name: value for _, name, value in changes})

    def upload(self, image_id, data):
        record = self.records[image_id]
        if record['status'] == 'active':
            raise glanceclient.exc.HTTPConflict()
        content = data.read(10)
        self.during(record)
        while chunk := data.read(1 << 20):
            content += chunk
        self.log.append(record['name'])
        self._store(record, content)
        self.after(record)

    def delete(self, image_id):
        del self.records[image_id]

    def list(self, filters, **rest):
        names = [name.strip('"') for name in filters['name'][len('in:'):].split(',')]
        self.queries.append(names)
        return [self._shown(record) for record in self.records.values()
                if record['name'] in names and record['os_hidden'] == filters['os_hidden'] and
                record['owner'] == filters['owner'] and record['status'] == filters['status']]


def tar(byte, size=(1 << 20) + 1):
    content = byte * size
    return 'sha256:' + hashlib.sha256(content).hexdigest(), content


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.images = Images()
        self.patch(nova.utils, 'tpool_execute', lambda call, *args, **kwargs: call(*args, **kwargs), create=True)
        self.patch(glance.time, 'sleep')
        client = mock.Mock(images=self.images, http_client=self.images)
        self.patch(glance.GlanceClientWrapper, '_create_onetime_client', lambda wrapper, context, version: client)
        self.patch(glance.GlanceClientWrapper, 'api_server', 'http://glance', create=True)
        service = glance.GlanceImageServiceV2()
        self.patch(glance, 'get_remote_image_service', lambda context, image: (service, image))
        self.patch(glance, 'get_default_image_service', lambda: service)
        self.one, self.two, self.small = self.layer(b'1'), self.layer(b'2'), self.layer(b'3', 1 << 20)
        self.record()

    def layer(self, byte, size=(1 << 20) + 1):
        """One more layer of the server, and its diff id."""
        diff_id, content = tar(byte, size)
        self.agent.commit_layers.append({'diff_id': diff_id, 'size': len(content), 'unpacked': 7, 'stored': []})
        self.agent.tars[diff_id] = content
        return diff_id

    def record(self):
        """What Nova has made before it asks for the snapshot."""
        self.images.records.pop(SNAPSHOT, None)
        record = self.images.put('web-1', os_command_line='sleep 60')
        del self.images.records[record['id']]
        self.images.records[SNAPSHOT] = dict(record, id=SNAPSHOT)

    def snapshot(self):
        self.driver.snapshot(harness.context(), harness.instance(), SNAPSHOT, lambda **kwargs: None)
        self.assertFalse(self.agent.held)

    def stored(self):
        """How each layer of the snapshot is stored."""
        return json.loads(self.images.records[SNAPSHOT]['content'])

    def assert_whole(self, says):
        with self.assertLogs('nova.virt.docker.snapshots', 'WARNING') as logs:
            self.snapshot()
        self.assertEqual(1, len(logs.output), logs.output)
        self.assertRegex(logs.output[0], 'Snapshot %s is sent whole: .*%s' % (SNAPSHOT, says))
        self.assertEqual(fakes.ARCHIVE, self.images.records[SNAPSHOT]['content'])
        self.assertEqual('active', self.images.records[SNAPSHOT]['status'])
        self.assertFalse([record for record in self.images.records.values() if record['name'].startswith('upload')])


class Sent(TestCase):
    def test_large_layers_are_images_and_small_ones_in_the_archive(self):
        self.snapshot()
        self.assertEqual(sorted([self.one, self.two]), self.images.layers())
        ids = {name: self.images.find(name)[0]['id'] for name in (self.one, self.two)}
        self.assertEqual([
            {'diff_id': name, 'digest': name, 'size': len(self.agent.tars[name]), 'media_type': TAR, 'image': ids.get(name, '')}
            for name in (self.one, self.two, self.small)], self.stored())

    def test_what_is_said_of_a_layer(self):
        self.snapshot()
        layer, = self.images.find(self.one)
        for name, want in {
                'os_hidden': True, 'visibility': 'private', 'container_format': 'docker', 'disk_format': 'raw',
                'docker_layer': self.one, 'docker_layer_diff_id': self.one, 'docker_layer_type': TAR,
                'docker_unpacked_size': '7', 'content': self.agent.tars[self.one]}.items():
            self.assertEqual(want, layer[name], name)

    def test_what_is_said_of_the_snapshot(self):
        self.snapshot()
        for name, want in {
                'name': 'web-1', 'os_hidden': False, 'docker_image_id': 'sha256:abc', 'docker_layers': '3',
                'docker_image_digest': 'sha256:manifest',
                'docker_stored_size': str((3 << 20) + 2), 'trait:CUSTOM_NDOCK_LAYERS': 'required',
                'os_command_line': 'sleep 60'}.items():
            self.assertEqual(want, self.images.records[SNAPSHOT][name], name)

    def test_a_layer_has_its_name_when_it_is_whole(self):
        """Who looks for layers in the meantime finds none, and who collects those that were abandoned may take it for one."""
        seen = []
        self.images.during = self.images.after = lambda record: seen.append(
            record['name'].startswith('upload ') and record.get('docker_layer') == 'upload' and 'docker_layer_diff_id' not in record)
        self.snapshot()
        self.assertEqual([True] * 4 + [False] * 2, seen)
        self.assertEqual('web-1', self.images.log[-1])  # the archive comes last

    def test_the_same_layer_twice(self):
        self.agent.commit_layers.append(self.agent.commit_layers[0])
        self.snapshot()
        self.assertEqual(sorted([self.one, self.two]), self.images.layers())
        self.assertEqual(4, len(self.stored()))

    def test_many_layers_are_asked_for_in_parts(self):
        del self.agent.commit_layers[:]
        for n in range(45):
            self.layer(b'%02d' % n)
        self.snapshot()
        self.assertEqual([40, 5] * 2, [len(names) for names in self.images.queries])

    def assert_one_image(self):
        self.assertEqual((fakes.ARCHIVE, []), (self.images.records[SNAPSHOT]['content'], self.images.layers()))

    def test_a_shelve(self):
        """Nova deletes the image when the server comes back, and would leave the layers."""
        instance = harness.instance()
        instance.task_state = task_states.SHELVING
        self.driver.snapshot(harness.context(), instance, SNAPSHOT, lambda **kwargs: None)
        self.assert_one_image()

    def test_an_administrators(self):
        """Nova shares it with the server's project, which could not read his layers."""
        self.images.records[SNAPSHOT]['owner'] = 'the-administrators'
        self.snapshot()
        self.assert_one_image()

    def test_an_agent_without_layers(self):
        self.agent.commit_layers = []
        self.snapshot()
        self.assertEqual((fakes.ARCHIVE, []), (self.images.records[SNAPSHOT]['content'], self.images.layers()))


class Found(TestCase):
    def test_a_second_snapshot_sends_what_is_new(self):
        self.snapshot()
        self.record()
        three = self.layer(b'4')
        del self.images.log[:]
        self.snapshot()
        self.assertEqual(sorted([self.one, self.two, three]), self.images.layers())
        self.assertEqual(2, len(self.images.log))  # the layer and the archive

    def packed(self, checksum, **fields):
        """A compressed layer in Glance, of which this host knows what it is if its bytes have this checksum."""
        image = self.images.put('sha256:packed', b'packed', os_hidden=True, docker_layer='sha256:packed', docker_layer_type='x.tar+gzip', **fields)
        self.agent.commit_layers[0]['stored'] = [
            {'digest': 'sha256:other', 'checksum': 'ab'}, {'digest': 'sha256:packed', 'checksum': checksum}]
        self.snapshot()
        return image

    def test_one_that_is_stored_compressed(self):
        image = self.packed(hashlib.sha512(b'packed').hexdigest())
        self.assertEqual({'diff_id': self.one, 'digest': 'sha256:packed', 'size': 6, 'media_type': 'x.tar+gzip', 'image': image['id']},
                         self.stored()[0])
        self.assertEqual([self.two], [name for name in self.images.layers() if name != 'sha256:packed'])

    def test_other_bytes_of_that_name(self):
        self.packed('cd')
        self.assertEqual(self.one, self.stored()[0]['digest'])

    def test_bytes_that_glance_has_no_checksum_of(self):
        self.packed('', os_hash_algo=None, os_hash_value=None)
        self.assertEqual(self.one, self.stored()[0]['digest'])

    def test_a_checksum_of_another_kind(self):
        self.packed(hashlib.sha512(b'packed').hexdigest(), os_hash_algo='md5')
        self.assertEqual(self.one, self.stored()[0]['digest'])

    def test_a_tar_of_another_size(self):
        fake = self.images.put(self.one, b'not it', os_hidden=True)
        self.snapshot()
        self.assertNotEqual(fake['id'], self.stored()[0]['image'])

    def test_layers_that_do_not_count(self):
        for name, fields in {
                "another's": {'owner': 'the-victim'}, 'shown': {'os_hidden': False}, 'not whole': {'status': 'queued'},
                'about to be removed': {'name': 'condemned ' + self.one}}.items():
            with self.subTest(name):
                self.record()
                image = self.images.put(self.one, self.agent.tars[self.one], os_hidden=True)
                image.update(fields)
                self.snapshot()
                self.assertNotEqual(image['id'], self.stored()[0]['image'])
                self.images.records.clear()


class Whole(TestCase):
    """Whatever goes wrong with layers, a snapshot is possible as one image; and nothing is left of those that were begun."""

    def test_a_layer_that_docker_has_not_as_it_should(self):
        def fail(record):
            if record['name'].startswith('upload'):
                raise ndock.AgentError(reason='the snapshot broke off')
        self.images.during = fail
        self.assert_whole('the snapshot broke off')

    def test_a_layer_that_cannot_be_read(self):
        self.agent.failing['commit_layer'] = ndock.AgentError(reason='it is damaged')
        self.assert_whole('it is damaged')

    def test_an_archive_that_cannot_be_made(self):
        self.agent.failing['layered'] = ndock.AgentError(reason='layer 3 is damaged')
        self.assert_whole('layer 3 is damaged')

    def test_an_archive_that_breaks_off(self):
        failed = []

        def fail(record):
            if record['name'] == 'web-1' and not failed:
                failed.append(record)
                raise ndock.AgentError(reason='the snapshot broke off')
        self.images.during = fail
        self.assert_whole('the snapshot broke off')
        for name in ('docker_image_digest', 'docker_layers', 'docker_stored_size', 'trait:CUSTOM_NDOCK_LAYERS'):
            self.assertEqual('', self.images.records[SNAPSHOT][name])  # as the first attempt said, and is not true any more

    def test_glance_stores_other_bytes(self):
        def damage(record):
            if record['name'].startswith('upload'):
                record['os_hash_value'] = 'ab'
        self.images.after = damage
        self.assert_whole('Glance has other bytes of layer ' + self.one)

    def test_glance_fails_in_the_middle(self):
        """Nova sends the rest again then, which is not the layer."""
        failed = []

        def fail(record):
            if not failed:
                failed.append(record)
                raise glanceclient.exc.CommunicationError('the connection broke')
        self.images.during = fail
        self.assert_whole('Glance has 1048567 bytes of the 1048577')

    def test_glance_takes_no_more_images(self):
        self.images.refuse = glanceclient.exc.HTTPOverLimit('too many images')
        self.assert_whole('too many images|413')

    def test_an_upload_that_was_given_up_meanwhile(self):
        """'ndock image gc' takes it for abandoned, and is about to delete it."""
        def condemn(record):
            if record['name'].startswith('upload'):
                record.update(name='condemned ' + record['name'], docker_layer_diff_id='abandoned')
                del record['docker_layer']
        self.images.after = condemn
        self.assert_whole('')
        self.assertEqual([], [name for name in self.images.layers() if not name.startswith('condemned ')])

    def test_layers_would_be_of_another_project(self):
        self.images.project = 'the-administrators'
        self.assert_whole("a layer would be project the-administrators's")

    def test_a_timeout_leaves_nothing(self):
        class Timeout(BaseException):
            """As eventlet's, which is no Exception."""

        self.agent.failing['commit_layer'] = Timeout()
        with self.assertRaises(Timeout):
            self.snapshot()
        self.assertEqual([SNAPSHOT], list(self.images.records))


class Again(TestCase):
    def remove(self, digest):
        """Have 'ndock image gc' condemn a layer when the archive has been sent."""
        def condemn(record):
            if record['name'] == 'web-1':
                for layer in self.images.find(digest):
                    layer['name'] = 'condemned ' + digest
        self.images.after = condemn

    def assert_removed(self, digest):
        """The archive cannot be changed any more, and must not be taken for a snapshot."""
        with self.assertRaisesRegex(ndock.AgentError, 'layer %s was removed from Glance meanwhile' % digest):
            self.snapshot()
        self.assertEqual(1, len(self.agent.asked('commit_archive')))
        self.assertEqual([], self.images.find(digest))

    def test_a_layer_that_is_removed_meanwhile(self):
        self.remove(self.one)
        self.snapshot()
        again, = self.images.find(self.one)
        self.assertEqual((self.agent.tars[self.one], 'active'), (again['content'], again['status']))
        self.assertEqual(self.one, again['docker_layer'])
        self.assertEqual(3, len(self.agent.asked('commit_layer')))
        self.assertEqual(1, len(self.agent.asked('commit_archive')))

    def test_one_that_is_removed_again(self):
        """Once is enough: whoever removes layers so soon wants none."""
        asked, by_name = [], snapshots.glance_layers.by_name

        def look(images, context, owner, digests):
            asked.append(digests)
            if len(asked) > 1:  # the first is before anything is sent
                for layer in self.images.find(self.one):
                    layer['name'] = 'condemned ' + self.one
            return by_name(images, context, owner, digests)
        self.patch(snapshots.glance_layers, 'by_name', side_effect=look)
        self.assert_removed(self.one)
        self.assertEqual(3, len(asked))
        self.assertEqual(3, len(self.agent.asked('commit_layer')))

    def test_one_that_cannot_be_sent_again(self):
        self.remove(self.one)
        commit_layer = self.agent.commit_layer

        def fail(commit_id, diff_id):
            if len(self.agent.asked('commit_layer')) == 2:
                raise ndock.AgentError(reason='it is damaged')
            return commit_layer(commit_id, diff_id)
        self.patch(self.agent, 'commit_layer', side_effect=fail)
        with self.assertRaisesRegex(ndock.AgentError, 'it is damaged'):
            self.snapshot()
        self.assertEqual([], [record for record in self.images.records.values() if record['name'].startswith('upload')])

    def test_one_that_was_compressed(self):
        """The archive names its bytes, and this host has the tar alone."""
        self.images.put('sha256:packed', b'packed', os_hidden=True, docker_layer='sha256:packed')
        self.agent.commit_layers[0]['stored'] = [{'digest': 'sha256:packed', 'checksum': hashlib.sha512(b'packed').hexdigest()}]
        self.remove('sha256:packed')
        self.assert_removed('sha256:packed')
        self.assertEqual(1, len(self.agent.asked('commit_layer')))

    def test_each_is_looked_for_when_the_archive_can_be_read(self):
        seen = []
        self.patch(snapshots.glance_layers, 'by_name', side_effect=lambda images, context, owner, digests: (
            seen.append((list(self.images.log), digests)), {digest: {'size': 1, 'id': 'x', 'properties': {'docker_layer': digest}} for digest in digests})[1])
        self.snapshot()
        self.assertEqual(['web-1'], seen[1][0][-1:])
        self.assertEqual(sorted([self.one, self.two]), seen[1][1])
