#!/usr/bin/python3
"""List the images that tests of a registry leave in the project of the test cloud's user, or remove them.

Others may work in the project: what was there before stays, and so do layers of which the tests' report says nothing.
Usage: images.py list >BEFORE | images.py remove BEFORE REPORT
"""
import pathlib
import re
import sys

import openstack

IMAGE = re.compile(r"conformance-(one|two)(@.*)?")
LAYER = re.compile(r"(condemned )?(sha256:[0-9a-f]{64})")


def own(cloud):
    """Return the project's images, hidden or not."""
    project = cloud.current_project_id
    found = [image for hidden in ("true", "false") for image in cloud.image.images(os_hidden=hidden, owner=project)]
    return [image for image in found if image.owner == project]


def is_left(image, report):
    """Say whether the tests have made the image."""
    layer = LAYER.fullmatch(image.name or "")
    return bool(IMAGE.fullmatch(image.name or "")) or bool(layer) and layer.group(2) in report


def main():
    cloud = openstack.connect("ndock-demo")
    if sys.argv[1] == "list":
        print("\n".join(image.id for image in own(cloud)))
        return
    before, report = [pathlib.Path(name).read_text() if pathlib.Path(name).exists() else "" for name in sys.argv[2:]]
    for image in own(cloud):
        if image.id not in before.split() and is_left(image, report):
            cloud.image.delete_image(image, ignore_missing=True)
            print("removed", image.name)


main()
