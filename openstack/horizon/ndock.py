# Written by 'ndock node setup --role controller', and removed by 'ndock node teardown --role controller'.
"""Docker images in Horizon: shown, filtered for and uploaded as "Docker".

Glance has the format of such an image in container_format. Horizon looks at disk_format, which is raw. This is a
customization module: a setting names it. Where there is another already, that can import this one.
"""
from openstack_dashboard.api import glance

_formats, _list, _to_dict = glance.get_image_formats, glance.image_list_detailed, glance.Image.to_dict


def get_image_formats(request):
    formats = list(_formats(request))
    return formats if "docker" in dict(formats) else formats + [("docker", "Docker")]


def image_list_detailed(request, *args, **kwargs):
    filters = kwargs.get("filters")
    if filters and filters.get("disk_format") == "docker":
        kwargs["filters"] = dict(filters, disk_format="raw", container_format="docker")
    return _list(request, *args, **kwargs)


def to_dict(self, *args, **kwargs):
    image = _to_dict(self, *args, **kwargs)
    if image.get("container_format") == "docker" and image.get("disk_format") == "raw":
        image["disk_format"] = "docker"
    return image


glance.get_image_formats, glance.image_list_detailed, glance.Image.to_dict = get_image_formats, image_list_detailed, to_dict
