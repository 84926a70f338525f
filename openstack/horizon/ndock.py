# Written by 'ndock node setup --role controller', and removed by 'ndock node teardown --role controller'.
"""Docker in Horizon: images are shown, filtered for and uploaded as "Docker", and consoles have the size of the browser's.

This is a customization module: a setting names it. Where there is another already, that can import this one.
"""
from django.template import engines
from openstack_dashboard.api import glance
from openstack_dashboard.dashboards.project.instances import views

# Glance has the format of a Docker image in container_format. Horizon looks at disk_format, which is raw.
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


# The page of a serial console. Its terminal tells its size to a console that says, by its first bytes, that it takes sizes.
_console = r"""{% include "serial_console.html" %}
<script>
(function () {
  const prototype = Terminal.prototype, write = prototype.write, resize = prototype.resize;
  function tell(terminal) {
    const rows = Math.min(terminal.rows, 999), columns = Math.min(terminal.cols, 999);
    if (terminal.takesSizes) terminal.emit('data', '\xffndock:' + rows + 'x' + columns + ';');
  }
  prototype.write = function (text) {
    if (this.takesSizes === undefined) {
      this.takesSizes = text.startsWith('\x1b]7109;ndock-sizes\x07');
      tell(this);
    }
    write.call(this, text);
  };
  prototype.resize = function (columns, rows) {
    resize.call(this, columns, rows);
    tell(this);
  };
})();
</script>
"""


def console_template(self):
    return engines["django"].from_string(_console)


glance.get_image_formats, glance.image_list_detailed, glance.Image.to_dict = get_image_formats, image_list_detailed, to_dict
views.SerialConsoleView.get_template_names = console_template
