"""Each call of a driver's method in this Nova's own code fits this driver: read from the source of nova-compute."""

import ast
import glob
import inspect
import os

import harness
from test_contract import methods

import nova.compute
from nova.virt.docker import DockerDriver

# Nova's own mistake from 27 on, which compat.power_off_arguments makes good.
MISTAKEN = ('power_off', 'context'), ('power_off', 'instance')


def calls():
    """The calls of self.driver.METHOD(…), each with METHOD and where it stands."""
    for path in glob.glob(os.path.join(os.path.dirname(nova.compute.__file__), '*.py')):
        with open(path, encoding='utf-8') as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_driver(node.func.value):
                yield node.func.attr, node, '%s:%d' % (os.path.basename(path), node.lineno)


def is_driver(node):
    return isinstance(node, ast.Attribute) and node.attr == 'driver'


def spread(call):
    """Whether it passes *arguments, whose number the source does not tell."""
    return any(isinstance(value, ast.Starred) for value in call.args) or any(not key.arg for key in call.keywords)


class Calls(harness.TestCase):
    def test_each_fits(self):
        own, seen = methods(DockerDriver), set()
        for name, call, where in calls():
            if name in own and not spread(call):
                seen.add(name)
                with self.subTest(name, where=where):
                    self.assert_fits(name, inspect.signature(own[name]), call)
        self.assertLessEqual({'spawn', 'destroy', 'power_on', 'power_off', 'reboot', 'plug_vifs'}, seen)

    def assert_fits(self, name, signature, call):
        """It can be made, and a variable that is called as one of the parameters is comes to that parameter."""
        bound = signature.bind('self', *call.args, **{key.arg: key.value for key in call.keywords})
        for parameter, value in bound.arguments.items():
            passed = getattr(value, 'id', None)
            if passed in signature.parameters and (name, passed) not in MISTAKEN:
                self.assertEqual(parameter, passed)
