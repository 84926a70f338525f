"""The driver fits the Nova that is installed: each method can be called in each way that Nova's own can."""

import ast
import inspect
import os
import sys

import harness
import fakes

from nova.virt import driver
from nova.virt.docker import agent as ndock
from nova.virt.docker import DockerDriver

# Without these no server starts, and Nova's own raise NotImplementedError or know nothing.
MUST = (
    'init_host', 'list_instances', 'list_instance_uuids', 'get_available_nodes', 'get_available_resource',
    'update_provider_tree', 'get_info', 'spawn', 'destroy', 'cleanup', 'plug_vifs', 'unplug_vifs', 'power_on',
    'power_off', 'reboot', 'snapshot', 'get_console_output', 'get_host_ip_addr',
)

# What Nova offers to drivers and this one may lack: no release needs them to start a host or a server. A name that a
# release brings anew has to be thought about.
MAY = set("""
    attach_interface attach_volume block_stats cache_image check_can_live_migrate_destination
    check_can_live_migrate_source check_instance_shared_storage_local check_instance_shared_storage_remote
    cleanup_live_migration_destination_check confirm_migration default_device_names_for_instance
    default_root_device_name detach_interface detach_volume extend_volume finish_migration
    finish_revert_migration get_all_volume_usage get_device_name_for_instance get_diagnostics get_host_cpu_stats
    get_instance_diagnostics get_instance_disk_info get_mks_console get_rdp_console get_serial_console
    get_spice_console get_vnc_console get_volume_connector host_maintenance_mode host_power_action
    is_share_mounted live_migration live_migration_abort live_migration_force_complete migrate_disk_and_power_off
    mount_share poll_rebooting_instances post_live_migration_at_destination post_live_migration_at_source
    power_update_event pre_live_migration quiesce rebuild rescue restore resume
    rollback_live_migration_at_destination set_admin_password set_host_enabled soft_delete suspend swap_volume
    trigger_crash_dump umount_share unquiesce unrescue volume_snapshot_create volume_snapshot_delete
""".split())

# Ways to call that newer releases have and this one's ComputeDriver need not know.
NEWER = {
    'power_on': ('context', 'instance', 'network_info', 'block_device_info', 'accel_info', 'share_info'),
    'reboot': ('context', 'instance', 'network_info', 'reboot_type', 'block_device_info', 'bad_volumes_callback',
               'accel_info', 'share_info'),
    'resume_state_on_host_boot': ('context', 'instance', 'network_info', 'share_info', 'block_device_info'),
    'power_off': ('context', 'instance'),
}


def methods(cls):
    return {name: value for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith('_')}


def unwritten(cls):
    """The methods that only raise NotImplementedError."""
    tree = ast.parse(inspect.getsource(cls))
    for method in tree.body[0].body:
        if isinstance(method, ast.FunctionDef) and any(isinstance(line, ast.Raise) for line in method.body):
            yield method.name


def call_shapes(signature):
    """Each way to pass the parameters: all or only the needed ones, by position or by name, and each option alone."""
    names = [name for name in signature.parameters if name != 'self']
    needed = [name for name in names if signature.parameters[name].default is inspect.Parameter.empty]
    for count in range(len(needed), len(names) + 1):
        yield names[:count], []
    yield [], names
    yield [], needed
    for option in names[len(needed):]:
        yield needed, [option]


class Signatures(harness.TestCase):
    def test_every_way_to_call_is_taken(self):
        for name, method in methods(DockerDriver).items():
            base, own = inspect.signature(getattr(driver.ComputeDriver, name)), inspect.signature(method)
            for positional, named in call_shapes(base):
                with self.subTest(name, positional=positional, named=named):
                    bound = own.bind('self', *positional, **{key: key for key in named})
                    self.assert_in_place(bound)

    def assert_in_place(self, bound):
        """Each argument, which is its own name here, has come to the parameter of that name."""
        for name, value in bound.arguments.items():
            if name not in ('args', 'kwargs'):
                self.assertEqual(name, value)

    def test_defaults_are_novas(self):
        for name, method in methods(DockerDriver).items():
            base = inspect.signature(getattr(driver.ComputeDriver, name)).parameters
            for key, parameter in inspect.signature(method).parameters.items():
                # What one release demands and another does not know may be left out.
                if key in base and base[key].default is not inspect.Parameter.empty:
                    self.assertEqual(base[key].default, parameter.default, '%s(%s)' % (name, key))

    def test_ways_to_call_of_newer_releases(self):
        for name, arguments in NEWER.items():
            with self.subTest(name):
                inspect.signature(getattr(DockerDriver, name)).bind('self', *arguments)

    def test_nothing_public_that_nova_does_not_know(self):
        self.assertEqual(set(), set(methods(DockerDriver)) - set(dir(driver.ComputeDriver)))


class Loading(harness.TestCase):
    def test_the_driver_is_this_trees(self):
        self.assertEqual(harness.SHIM, os.path.dirname(sys.modules['nova.virt.docker'].__file__))

    def test_nova_loads_it_by_its_name(self):
        self.configure(compute_driver='docker.DockerDriver')
        self.assertIsInstance(driver.load_compute_driver(fakes.VirtAPI(None)), DockerDriver)

    def test_all_that_it_must_have(self):
        self.assertEqual(set(), set(MUST) - set(methods(DockerDriver)))

    def test_nothing_that_is_new_to_it(self):
        self.assertEqual(set(), set(unwritten(driver.ComputeDriver)) - set(methods(DockerDriver)) - MAY)

    def test_capabilities(self):
        # Nova reads each that it knows; an image type that is claimed falsely draws servers that cannot run.
        self.assertEqual(set(), set(driver.ComputeDriver.capabilities) - set(DockerDriver.capabilities))
        claimed = {name for name, has in DockerDriver.capabilities.items()
                   if has and name.startswith('supports_image_type_')}
        self.assertEqual({'supports_image_type_raw'}, claimed)
        self.assertNotIn('supports_image_type_raw', {
            name for name, has in driver.ComputeDriver.capabilities.items() if has}, 'the class of all drivers changed')


class Fakes(harness.TestCase):
    def test_the_agent_in_memory_is_like_the_real_one(self):
        for name, method in methods(ndock.Agent).items():
            with self.subTest(name):
                self.assertEqual(inspect.signature(method), inspect.signature(getattr(fakes.Agent, name)))


class Imports(harness.TestCase):
    """Only what every Nova has: the files are copied into the operator's Python, and nothing with them."""

    def sources(self):
        for name in sorted(os.listdir(harness.SHIM)):
            if name.endswith('.py'):
                with open(os.path.join(harness.SHIM, name), encoding='utf-8') as file:
                    yield name, ast.parse(file.read())

    def imported(self, tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self.assertEqual(0, node.level)
                yield node.module.split('.')[0]

    def at_import(self, tree):
        """What runs when the module is imported: all but the insides of functions."""
        for statement in tree.body:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from self.imported(ast.Module([statement], []))

    def test_the_standard_library_and_nova(self):
        files = dict(self.sources())
        self.assertIn('driver.py', files)
        for name, tree in files.items():
            self.assertEqual(set(), set(self.imported(tree)) - sys.stdlib_module_names - {'nova', 'eventlet'}, name)

    def test_no_eventlet_when_imported(self):
        # Newer releases make that an ImportError.
        for name, tree in self.sources():
            self.assertNotIn('eventlet', set(self.at_import(tree)), name)

    def test_the_syntax_of_the_oldest_python(self):
        for name in os.listdir(harness.SHIM):
            if name.endswith('.py'):
                with open(os.path.join(harness.SHIM, name), encoding='utf-8') as file:
                    ast.parse(file.read(), name, feature_version=(3, 8))
