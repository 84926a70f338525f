package doctor

import (
	"context"
	"errors"
	"fmt"

	"ndock/openstack"
)

// service is the check that the catalogue has a service, and that it answers there.
func service(kind, name string) func(context.Context, *examination) Finding {
	return func(ctx context.Context, x *examination) Finding {
		url, err := x.cloud.Reach(ctx, kind)
		switch {
		case errors.Is(err, openstack.ErrNoRegion):
			return broken("export OS_REGION_NAME=REGION", "%s", reason(err))
		case errors.Is(err, openstack.ErrNoEndpoint):
			return broken(fmt.Sprintf("openstack endpoint create --region REGION %s public URL", name), "%s", reason(err))
		case err != nil:
			return broken("openstack catalog show "+name, "%s; %s is down, or the catalogue has the wrong URL", reason(err), name)
		}
		return well("answers at %s", url)
	}
}
