"""Images whose layers are Glance images of their own: whose they are, which of them are sent, and what is believed."""

from unittest import mock

import harness
import fakes

from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova.virt.docker import DockerDriver
from nova.virt.docker import agent as ndock
from nova.virt.docker import compat

ONE, TWO = 'sha256:' + '1' * 64, 'sha256:' + '2' * 64
ONE_ID, TWO_ID = '11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'


def left_out(digest, image):
    return {'digest': digest, 'diff_id': 'sha256:d', 'chain_id': 'sha256:c', 'size': 7, 'image': image, 'checksum': ''}


class TestCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.agent = fakes.Agent()
        self.agent.left_out = [left_out(ONE, ONE_ID), left_out(TWO, TWO_ID)]
        self.driver = DockerDriver(fakes.VirtAPI(self.agent), self.agent)
        self.driver._provider = harness.PROVIDER  # as an audit does
        self.images = self.driver._images = mock.create_autospec(glance.API, instance=True)
        self.images.download.side_effect = lambda context, image_id, data=None, **kwargs: data.write(b'the archive')
        self.images.get.side_effect = self.get
        self.images.get_all.side_effect = self.get_all
        self.glance = {harness.IMAGE: self.image(harness.IMAGE, 'web@1'), ONE_ID: self.image(ONE_ID, ONE), TWO_ID: self.image(TWO_ID, TWO)}
        self.contexts = []  # in which layers were searched and read
        self.patch(glance.GlanceClientWrapper, 'call', self.call)
        self.service = nova_context.RequestContext('nova', 'service')
        self.patch(compat, 'service_context', lambda: self.service)

    def image(self, image_id, name, **fields):
        return dict({'id': image_id, 'name': name, 'owner': 'a-project', 'status': 'active', 'os_hash_algo': 'sha512',
                     'os_hash_value': 'checksum of ' + name}, **fields)

    def get(self, context, image_id, include_locations=False, show_deleted=True):
        if image_id not in self.glance:
            raise exception.ImageNotFound(image_id=image_id)
        return {name: value for name, value in self.glance[image_id].items() if include_locations or name != 'locations'}

    def get_all(self, context, filters):
        self.contexts.append(context)
        names = [name.strip('"') for name in filters['name'][len('in:'):].split(',')]
        self.assertEqual(('a-project', True, 'active'), (filters['owner'], filters['os_hidden'], filters['status']))
        return [image for image in self.glance.values() if image['name'] in names]

    def call(self, context, version, method, args):
        self.assertEqual((2, 'data'), (version, method))
        self.contexts.append(context)
        return [b'layer ', args[0].encode()]

    def spawn(self, context=None):
        self.driver.spawn(context or harness.context(), harness.instance(), harness.image_meta(), [], None, harness.ALLOCATIONS,
                          network_info=harness.network_info())

    def sent(self):
        """The layers of each upload."""
        return [[name for name, _ in parts[1:]] for parts in self.agent.sent]

    def checksums(self):
        return [layer['checksum'] for layer in self.agent.asked('needed_layers')[-1][1]]


class Layers(TestCase):
    def test_all_of_them_on_a_new_host(self):
        self.spawn()
        self.assertEqual([[('archive', b'the archive'), (ONE, b'layer ' + ONE_ID.encode()), (TWO, b'layer ' + TWO_ID.encode())]],
                         self.agent.sent)
        self.assertEqual(['checksum of ' + ONE, 'checksum of ' + TWO], self.checksums())
        self.assertEqual('running', self.agent.containers[harness.SERVER]['state'])

    def test_only_those_that_the_host_lacks(self):
        self.agent.layers = {ONE}
        self.spawn()
        self.assertEqual([[TWO]], self.sent())

    def test_the_flavor_and_the_certificates_count_each_time(self):
        self.spawn()
        self.assertEqual([(harness.IMAGE, 5)] * 2, self.agent.asked('load_image'))

    def test_a_layer_that_docker_has_lost_meanwhile(self):
        self.agent.layers = {ONE, TWO}
        needed = self.agent.needed_layers

        def lose(image_id, layers):
            found = needed(image_id, layers)
            self.agent.layers = set()
            return found
        self.agent.needed_layers = lose
        self.spawn()
        self.assertEqual([[], [ONE, TWO]], self.sent())
        self.assertEqual(['', ''], self.checksums())

    def test_it_is_tried_twice_and_no_more(self):
        self.agent.needed_layers = lambda image_id, layers: []
        with self.assertRaises(ndock.LayersLeftOut):
            self.spawn()
        self.assertEqual([[], []], self.sent())

    def test_one_that_is_condemned(self):
        self.glance[ONE_ID]['name'] = 'condemned ' + ONE
        self.agent.left_out[0]['image'] = 'gone'
        self.spawn()
        self.assertEqual([[ONE, TWO]], self.sent())

    def test_another_than_the_condemned_one(self):
        other = '33333333-3333-4333-8333-333333333333'
        self.glance[other] = self.image(other, 'condemned ' + ONE)
        self.spawn()
        self.assertEqual((ONE, b'layer ' + ONE_ID.encode()), self.agent.sent[-1][1])

    def test_many_layers_are_asked_for_in_parts(self):
        self.agent.left_out = [left_out('sha256:%064d' % n, ONE_ID) for n in range(45)]
        self.spawn()
        self.assertEqual([20, 20, 5], [call.kwargs['filters']['name'].count('"sha256:') for call in self.images.get_all.call_args_list])


class Trust(TestCase):
    """Glance says whose a layer is and what its checksum is; an archive says nothing that counts."""

    def test_a_layer_of_another_project(self):
        self.glance[ONE_ID]['owner'] = 'the-victim'
        with self.assertRaisesRegex(exception.ImageUnacceptable, 'its layer %s is not in Glance: delete the image, push again' % ONE):
            self.spawn()
        self.assertEqual([], self.agent.sent)
        self.assertNotIn(harness.SERVER, self.agent.containers)

    def test_a_layer_that_is_gone(self):
        del self.glance[TWO_ID]
        with self.assertRaisesRegex(exception.ImageUnacceptable, TWO):
            self.spawn()

    def test_a_layer_that_is_about_to_be_removed(self):
        self.glance[TWO_ID]['name'] = 'condemned ' + TWO
        self.spawn()
        self.assertEqual([[ONE, TWO]], self.sent())

    def test_a_hint_that_is_no_id(self):
        """Nova would take a URL, and send the user's token to it."""
        self.agent.left_out[0]['image'] = 'http://203.0.113.1/v2/images/' + ONE_ID
        del self.glance[ONE_ID]
        with self.assertRaises(exception.ImageUnacceptable):
            self.spawn()
        self.assertEqual({harness.IMAGE}, {call.args[1] for call in self.images.get.call_args_list})

    def test_a_layer_that_is_still_uploaded(self):
        self.glance[ONE_ID].update(status='queued', name='upload')
        with self.assertRaises(exception.ImageUnacceptable):
            self.spawn()

    def test_another_hash_is_no_proof(self):
        self.glance[ONE_ID]['os_hash_algo'] = 'md5'
        self.agent.layers = {ONE, TWO}
        self.spawn()
        self.assertEqual(['', 'checksum of ' + TWO], self.checksums())
        self.assertEqual([[ONE]], self.sent())

    def test_no_hash_is_no_proof(self):
        del self.glance[ONE_ID]['os_hash_value'], self.glance[ONE_ID]['os_hash_algo']
        self.spawn()
        self.assertEqual(['', 'checksum of ' + TWO], self.checksums())

    def test_where_users_give_locations_a_checksum_is_no_proof(self):
        self.glance[harness.IMAGE]['locations'] = [{'url': 'file:///image'}]
        self.agent.layers = {ONE, TWO}
        self.spawn()
        self.assertEqual([[ONE, TWO]], self.sent())


class Readers(TestCase):
    def test_an_owner_reads_his_layers_himself(self):
        context = harness.context()
        self.spawn(context)
        self.assertEqual([context] * 3, self.contexts)

    def test_others_read_them_by_nova(self):
        self.spawn(nova_context.RequestContext('another', 'another-project', auth_token='a-token'))
        self.assertEqual([self.service] * 3, self.contexts)


class ServiceContext(harness.TestCase):
    def test_without_credentials(self):
        with self.assertRaisesRegex(exception.NovaException, 'service_user'):
            compat.service_context()
