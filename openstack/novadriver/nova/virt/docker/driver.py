"""The compute driver: what Nova asks of a hypervisor, each method a call or two of ndock's agent."""

import contextlib
import functools
import json
import logging
import time

from nova.compute import power_state
from nova.compute import provider_config
from nova.compute import task_states
from nova.compute import utils as compute_utils
import nova.conf
from nova import exception
from nova.image import glance
from nova.objects import fields
from nova import utils
from nova.virt import driver
from nova.virt import hardware

from nova.virt.docker import agent as ndock
from nova.virt.docker import availability
from nova.virt.docker import compat
from nova.virt.docker import cpus
from nova.virt.docker import diagnostics
from nova.virt.docker import guest
from nova.virt.docker import inventory
from nova.virt.docker import layers
from nova.virt.docker import node
from nova.virt.docker import pending
from nova.virt.docker import serial
from nova.virt.docker import snapshots
from nova.virt.docker import transfer
from nova.virt.docker import wire

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

POWER_STATES = {
    'running': power_state.RUNNING,
    'paused': power_state.PAUSED,
    'stopped': power_state.SHUTDOWN,
    'crashed': power_state.CRASHED,
}

# What Nova is at when it asks for the state of a server that has just been brought up.
BROUGHT_UP = (task_states.SPAWNING, task_states.REBUILD_SPAWNING, task_states.RESIZE_FINISH)

# What stays of a server that Nova destroys only to put another container in its place, by what it is about.
KEPT = {task_states.REBUILDING: 'ports', task_states.RESIZE_REVERTING: 'aside'}


class DockerDriver(driver.ComputeDriver):
    capabilities = dict(
        driver.ComputeDriver.capabilities,
        has_imagecache=True,
        supports_attach_interface=True,
        supports_device_tagging=True,
        supports_evacuate=True,
        supports_image_type_raw=True,
        supports_pcpus=True,
        supports_tagged_attach_interface=True,
        supports_trusted_certs=True,
    )

    def __init__(self, virtapi, agent=None):
        super().__init__(virtapi)
        self._agent = agent or ndock.Agent()
        self._images = glance.API()
        self._console_paths = compat.proxy_sends_paths()
        self._provider = None  # Placement's id of this host; known from the first audit on, which precedes all servers
        self._others = set()  # the classes of its inventory that Nova adds; known likewise
        self._configs = provider_config.get_provider_configs(CONF.compute.provider_config_location)  # as Nova reads them: once
        self._pending = pending.PendingDeletes(self._agent)
        self._watch = availability.Watch(self._agent, self.emit_event, self._pending.finish_apart)

    # The host

    def init_host(self, host):
        availability.let_go()  # what an earlier nova-compute left that was killed: this one may be before the agent comes
        self._pending.load()
        self._wait_for_agent()

    def cleanup_host(self, host):
        self._watch.end()

    def _wait_for_agent(self):
        # Nova sees a service that has not begun to report as down, which is the truth.
        while True:
            try:
                version = self._agent.version()
                LOG.info("ndock's agent %s answers, with Docker Engine %s", version['agent'], version['engine'])
                return
            except ndock.AgentError as error:
                LOG.warning('Waiting for the agent: %s', error.format_message())
                time.sleep(5)

    def get_available_nodes(self, refresh=False):
        return [self._node]

    @functools.cached_property
    def _node(self):
        return node.name()

    def get_host_ip_addr(self):
        return CONF.my_ip

    def get_host_uptime(self):
        return self._agent.host()['uptime']

    def get_available_resource(self, nodename):
        # The first audit follows on init_host: what is told earlier would meet servers that Nova is still resuming.
        self._watch.start()
        host = self._agent.host()
        return {
            'hypervisor_type': fields.HVType.DOCKER,
            'hypervisor_version': host['engine_version'],
            'hypervisor_hostname': nodename,
            'vcpus': len(cpus.shared(host) | cpus.dedicated(host)),
            'memory_mb': host['memory_mb'],
            'local_gb': host['disk_gb'],
            'vcpus_used': 0,  # Nova adds up what its instances claim
            'memory_mb_used': host['memory_used_mb'],
            'local_gb_used': host['disk_used_gb'],
            'disk_available_least': host['disk_gb'] - host['disk_used_gb'],
            'cpu_info': json.dumps({'arch': host['architecture'], 'model': host['cpu_model']}),
            'supported_instances': [(host['architecture'], fields.HVType.DOCKER, fields.VMMode.EXE)],
            'numa_topology': cpus.topology(host)._to_json(),
            'pci_passthrough_devices': '[]',  # said, or Nova would keep those of another driver
            'stats': {'uptime': host['uptime']},
        }

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        host = self._agent.host()
        inventory.drop_children(provider_tree, nodename)
        provider = provider_tree.data(nodename)
        self._provider = provider.uuid
        ratios = self._get_allocation_ratios(provider.inventory)
        offered = inventory.of(host, ratios, self._get_reserved_host_disk_gb_from_config())
        self._others = inventory.merged(self._configs, provider.uuid, nodename) - inventory.devices(host)
        provider_tree.update_inventory(nodename, {**inventory.still_sold(provider, offered, self._others), **offered})
        provider_tree.update_traits(nodename, inventory.traits(host, provider.traits))

    # What is there

    def list_instances(self):
        return [instance['name'] for instance in self._agent.instances()]

    def list_instance_uuids(self):
        # Also those that have only a backup: Nova has what is left of deleted servers deleted by this list.
        return self._agent.servers()

    def instance_exists(self, instance):
        return any(found['uuid'] == instance.uuid for found in self._agent.instances())

    def get_info(self, instance, use_cache=True):
        try:
            found = self._agent.instance(instance.uuid)
        except ndock.AgentError as error:
            if instance.task_state not in BROUGHT_UP:
                raise
            # Nova would forget on which host the server is, and leave its container there. It asks again later.
            LOG.warning('Nobody tells the state of server %s: %s', instance.uuid, error.format_message())
            return hardware.InstanceInfo(state=power_state.NOSTATE)
        return hardware.InstanceInfo(state=POWER_STATES[found['state']], internal_id=found['container_id'])

    # A server's life

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, block_device_info=None, power_on=True, accel_info=None):
        self._pending.settle(instance.uuid)
        ports = wire.ports(network_info)
        devices = wire.devices(instance, allocations, self._provider, self._others)
        try:
            self._reserve_devices(context, instance, devices)
            inside = guest.contents(instance, injected_files, admin_password, network_info)
            spec = wire.spec(instance, image_meta, instance.image_ref, devices=devices, **inside)
            self._bring_up(context, instance, ports, spec, power_on)
        except ndock.UnusableImage as error:
            self._undo(instance, ports)
            raise exception.ImageUnacceptable(image_id=instance.image_ref, reason=error.format_message())
        except (ndock.UnusableFlavor, ndock.UnusablePort) as error:
            self._undo(instance, ports)
            raise exception.InvalidInput(reason=error.format_message())  # which ends the build with these words
        except BaseException:  # up to Nova 32 a timeout is no Exception
            self._undo(instance, ports)
            raise

    def _reserve_devices(self, context, instance, wanted):
        # Before there is a container: its config drive names them.
        asked = {'devices': wanted, 'numa_nodes': cpus.of(instance)['numa_nodes']}
        picked = self._agent.reserve_devices(instance.uuid, asked) if wanted else []
        instance.device_metadata = guest.devices(context, instance, picked)

    def _bring_up(self, context, instance, ports, spec, power_on):
        # Plug first, wait late: Neutron wires the ports while the image comes.
        with self._wait_for(instance, ports, power_on):
            self._agent.plug(instance.uuid, ports)
            if spec['source'] != 'aside':
                # The files that a server has already may have grown beyond the flavor's disk.
                root_gb = spec['root_gb'] if spec['new'] else 0
                self._fetch_image(context, spec['image_id'], instance.trusted_certs, root_gb)
            self._agent.create(instance.uuid, dict(spec, dns_domain=guest.dns_domain(context, instance)))
        if power_on:
            self._agent.act(instance.uuid, 'start')

    def _wait_for(self, instance, ports, power_on):
        # What is plugged is wired; whether Neutron has said so since Nova looked last does not matter.
        there = self._agent.plugged(instance.uuid) if power_on else []
        new = [port for port in ports if port['id'] not in there]
        return compat.wait_for_vifs(self.virtapi, instance, new if power_on else [])

    def _fetch_image(self, context, image_id, trusted_certs=None, root_gb=0):
        """Have the image on this host; return whether it had to be fetched."""
        if not image_id:
            raise ndock.UnusableImage(reason='a container boots from an image, not from a volume')

        # One download at a time: who waits finds the image there.
        @utils.synchronized('ndock-image-%s' % image_id)
        def fetch():
            if self._agent.has_image(image_id):
                return False
            try:
                with self._agent.load_image(image_id, root_gb) as data:
                    self._images.download(context, image_id, data=data, trusted_certs=trusted_certs)
            except ndock.LayersLeftOut as error:
                layers.fetch(self._agent, self._images, context, image_id, error.layers, root_gb, trusted_certs)
            return True

        return fetch()

    def _undo(self, instance, ports):
        try:
            self._pending.delete(instance.uuid, ports)
        except ndock.AgentError as error:
            LOG.error('Server %s is not cleaned up yet: %s', instance.uuid, error.format_message())

    def destroy(self, context, instance, network_info, block_device_info=None,
                destroy_disks=True, destroy_secrets=True):
        keep = KEPT.get(instance.task_state) if instance.host == CONF.host else None
        if not keep:
            return self._pending.delete(instance.uuid, wire.ports(network_info))
        # Nova has the server here whether this succeeds or not: it is never made up for.
        (self._pending.keep_backup if keep == 'aside' else self._pending.make_room)(instance.uuid)
        self._agent.destroy(instance.uuid, wire.ports(network_info), keep)

    def cleanup(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                migrate_data=None, destroy_vifs=True, destroy_secrets=True):
        self._pending.delete(instance.uuid, wire.ports(network_info))

    def plug_vifs(self, instance, network_info):
        self._pending.cancel(instance.uuid)
        try:
            self._agent.plug(instance.uuid, wire.ports(network_info))
        except ndock.AgentUnavailable:  # it is not about this server
            raise
        except exception.NovaException as error:  # any other ends nova-compute when it starts: for all servers
            raise exception.VirtualInterfacePlugException(error.format_message()) from error

    def unplug_vifs(self, instance, network_info):
        self._agent.unplug(instance.uuid, wire.ports(network_info))

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None, share_info=None):
        self._pending.cancel(instance.uuid)
        self._agent.plug(instance.uuid, wire.ports(network_info))
        self._agent.act(instance.uuid, 'start')

    def power_off(self, instance, timeout=0, retry_interval=0):
        instance, timeout = compat.power_off_arguments(instance, timeout, retry_interval)
        self._pending.cancel(instance.uuid)
        self._agent.act(instance.uuid, 'stop', grace=timeout, commit=instance.task_state == task_states.SHELVING)

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None,
               bad_volumes_callback=None, accel_info=None, share_info=None):
        self._pending.cancel(instance.uuid)
        self._agent.plug(instance.uuid, wire.ports(network_info))
        self._agent.act(instance.uuid, 'restart', grace=self._grace(instance) if reboot_type == 'SOFT' else 0)

    @staticmethod
    def _grace(instance):
        # Nova tells power_off, but not reboot. It is no property that Nova's image objects know.
        return compute_utils.get_value_from_system_metadata(
            instance, key='image_os_shutdown_timeout', type=int, default=CONF.shutdown_timeout)

    def resume_state_on_host_boot(self, context, instance, network_info, *args, **kwargs):
        self._pending.cancel(instance.uuid)
        self._agent.plug(instance.uuid, wire.ports(network_info))
        if self.get_info(instance).state != power_state.RUNNING:
            self._agent.act(instance.uuid, 'start')

    def pause(self, instance):
        self._pending.cancel(instance.uuid)
        self._agent.act(instance.uuid, 'pause')

    def unpause(self, instance):
        self._pending.cancel(instance.uuid)
        self._agent.act(instance.uuid, 'unpause')

    def suspend(self, context, instance):
        # Docker cannot write a container's memory to disk: its processes are frozen, and keep it.
        self._pending.cancel(instance.uuid)
        try:
            self._agent.act(instance.uuid, 'pause')
        except ndock.BadRequest as error:  # by a sandbox, which runs on: Nova would call the server faulty
            raise exception.InstanceFaultRollback(inner_exception=error)

    def resume(self, context, instance, network_info, block_device_info=None, share_info=None):
        self._pending.cancel(instance.uuid)
        self._agent.plug(instance.uuid, wire.ports(network_info))
        self._agent.act(instance.uuid, 'start')  # which lets a frozen one go on

    # A server that is given other files, another flavor or another host

    def rescue(self, context, instance, network_info, image_meta, rescue_password, block_device_info,
               share_info=None):
        self._pending.make_room(instance.uuid)
        ports = wire.ports(network_info)
        inside = guest.contents(instance, [], rescue_password, network_info)
        spec = wire.spec(instance, image_meta, wire.image_id(instance, image_meta), 'rescue', **inside)
        self._agent.back_up(instance.uuid)
        with self._restoring(instance):
            self._bring_up(context, instance, ports, spec, True)

    @contextlib.contextmanager
    def _restoring(self, instance):
        """Restore the backup when the container in its place does not come up."""
        devices = instance.device_metadata
        try:
            yield
        except BaseException:  # up to Nova 32 a timeout is no Exception
            instance.device_metadata = devices
            try:
                self._agent.restore(instance.uuid)
            except exception.NovaException as error:  # the first one is what Nova has to know
                LOG.error('Server %s does not have its container back: %s', instance.uuid, error.format_message())
            raise

    def unrescue(self, context, instance):
        self._pending.keep_backup(instance.uuid)
        self._agent.restore(instance.uuid)
        self._agent.act(instance.uuid, 'start')

    def migrate_disk_and_power_off(self, context, instance, dest, flavor, network_info, block_device_info=None,
                                   timeout=0, retry_interval=0):
        self._pending.make_room(instance.uuid)
        try:
            self._agent.back_up(instance.uuid, grace=timeout, commit=True)
        except (ndock.UnusableImage, ndock.BadRequest) as error:  # nothing was touched
            raise exception.InstanceFaultRollback(inner_exception=error)
        if dest == self.get_host_ip_addr():
            return ''
        sent = ''
        try:
            sent = transfer.send(self._agent, self._images, context, instance)
            self._agent.unplug(instance.uuid, wire.ports(network_info))
            return sent
        except Exception as error:
            if sent:
                transfer.discard(self._agent, self._images, context, transfer.image_of(sent))
            # Nova leaves the server as it was for this error alone.
            self._agent.plug(instance.uuid, wire.ports(network_info))
            self._agent.restore(instance.uuid)
            if instance.power_state == power_state.RUNNING:
                self._agent.act(instance.uuid, 'start')
            raise exception.InstanceFaultRollback(inner_exception=error)

    def finish_migration(self, context, migration, instance, disk_info, network_info, image_meta, resize_instance,
                         allocations, block_device_info=None, power_on=True, share_info=None):
        ports = wire.ports(network_info)
        sent = transfer.image_of(disk_info)

        def spec(*image):
            devices = wire.devices(instance, allocations, self._provider, self._others)
            self._reserve_devices(context, instance, devices)
            return wire.spec(instance, image_meta, *image, config_drive=guest.config_drive(instance, [], None, network_info),
                             devices=devices)
        try:
            # A host that got another address in the midst of a resize has sent the files to itself: its backup is the server.
            if sent is None or migration.source_compute == CONF.host:
                self._pending.keep_backup(instance.uuid)
                with self._restoring(instance):
                    self._bring_up(context, instance, ports, spec(instance.image_ref, 'aside'), power_on)
            else:
                self._arrive(context, instance, ports, lambda: spec(sent), power_on)
        finally:
            if sent:
                transfer.discard(self._agent, self._images, context, sent)

    def _arrive(self, context, instance, ports, spec, power_on):
        try:
            # What a build or a confirmed move has left here is not the server, and would be in the way of the next move.
            self._pending.delete(instance.uuid, ports)
            self._bring_up(context, instance, ports, spec(), power_on)
        except BaseException:  # up to Nova 32 a timeout is no Exception
            self._undo(instance, ports)
            raise

    def confirm_migration(self, context, migration, instance, network_info):
        self._pending.discard_backup(instance.uuid, wire.ports(network_info))

    def finish_revert_migration(self, context, instance, network_info, migration, block_device_info=None,
                                power_on=True, share_info=None):
        self._pending.keep_backup(instance.uuid)
        ports = wire.ports(network_info)
        with self._wait_for(instance, ports, power_on):
            self._agent.plug(instance.uuid, ports)
            self._agent.restore(instance.uuid)
        instance.device_metadata = guest.devices(context, instance, self._agent.diagnostics(instance.uuid)['devices'])
        if power_on:
            self._agent.act(instance.uuid, 'start')

    # Interfaces and passwords of a running server

    def attach_interface(self, context, instance, image_meta, vif):
        # The container gets the port when Neutron has wired it: filtered it, and put it into its own network.
        self._pending.cancel(instance.uuid)
        port, = wire.ports([vif])
        try:
            with compat.wait_for_vifs(self.virtapi, instance, [port], compat.attach_timeout()):
                self._agent.attach(instance.uuid, port, join=False)
            self._agent.attach(instance.uuid, port)
            self._tell_tags(context, instance)
        except BaseException:  # up to Nova 32 a timeout is no Exception
            self._undo_attach(instance, port)
            raise

    def _undo_attach(self, instance, port):
        try:
            self._agent.detach(instance.uuid, port)
        except exception.NovaException as error:  # the first one is what Nova has to know
            LOG.error('Port %s of server %s is still plugged: %s', port['id'], instance.uuid, error.format_message())

    def detach_interface(self, context, instance, vif):
        self._pending.cancel(instance.uuid)
        self._agent.detach(instance.uuid, dict(vif))
        self._tell_tags(context, instance)

    @staticmethod
    def _tell_tags(context, instance):
        instance.device_metadata = guest.devices(context, instance, guest.known_devices(instance))
        instance.save()

    def set_admin_password(self, instance, new_pass):
        self._pending.cancel(instance.uuid)
        self._agent.set_password(instance.uuid, new_pass)

    # How it does

    def get_diagnostics(self, instance):
        return diagnostics.as_dict(self._agent.diagnostics(instance.uuid))

    def get_instance_diagnostics(self, instance):
        found = self._agent.diagnostics(instance.uuid)
        return diagnostics.as_object(found, instance)

    # Images and the console

    def cache_image(self, context, image_id):
        return self._fetch_image(context, image_id)

    def manage_image_cache(self, context, all_instances):
        if CONF.image_cache.remove_unused_base_images:
            self._agent.age_images(CONF.image_cache.remove_unused_original_minimum_age_seconds)

    def snapshot(self, context, instance, image_id, update_task_state):
        self._pending.cancel(instance.uuid)
        # A shelved server's image is deleted by Nova when the server comes back, and is booted wherever the server's first image
        # could be: so it is whole, and leaves no layers behind.
        owner = instance.project_id if instance.task_state != task_states.SHELVING else None
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        with self._agent.commit(instance.uuid) as commit:
            update_task_state(task_state=task_states.IMAGE_UPLOADING,
                              expected_state=task_states.IMAGE_PENDING_UPLOAD)
            snapshots.send(self._agent, self._images, context, image_id, commit, owner)

    def get_console_output(self, context, instance):
        return self._agent.console(instance.uuid)

    def get_serial_console(self, context, instance):
        return serial.console(self._agent, context, instance, self._console_paths)
