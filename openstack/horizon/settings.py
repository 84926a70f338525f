# Written by 'ndock node setup --role controller', and removed by 'ndock node teardown --role controller'.
from openstack_dashboard.settings import HORIZON_CONFIG

HORIZON_CONFIG.setdefault("customization_module", "openstack_dashboard.local.ndock")
