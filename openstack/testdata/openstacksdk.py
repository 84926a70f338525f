"""Logs in to clouds with openstacksdk and lists what ndock lists, for a server that writes down what it was asked.

Reads cases from stdin, as JSON: {"dir": ..., "env": {...}}. Prints for each why it failed, or an empty text. Each runs
in a process of its own, which imports openstacksdk's configuration anew: that looks at the directory and the variables
when it is imported.
"""
import importlib
import json
import os
import sys
import warnings

import openstack.config.loader
import openstack.connection


def connect(case):
    os.environ.clear()
    os.environ.update(case['env'])
    os.chdir(case['dir'])
    loader = importlib.reload(openstack.config.loader)
    cloud = openstack.connection.Connection(config=loader.OpenStackConfig().get_one())
    for listing in cloud.image.images, cloud.compute.servers, cloud.network.networks:
        list(listing())


def run(case):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        failure = ''
        try:
            connect(case)
        except Exception as e:
            failure = repr(e)
        os.write(write, failure.encode()[:4000])
        os._exit(0)
    os.close(write)
    with open(read) as answer:
        failure = answer.read()
    os.waitpid(child, 0)
    return failure


warnings.simplefilter('ignore')
json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
