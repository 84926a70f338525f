package doctor

import (
	"context"
	"slices"
	"strings"
)

// administrator is the role that the services' own policies ask for.
const administrator = "admin"

// publishing tells who may make images public. Glance says so only to who tries, so that it is inferred from the roles.
func publishing(_ context.Context, x *examination) Finding {
	if slices.Contains(x.session.Roles, administrator) {
		return well("the role %s may make images public, where Glance has its own policy (inferred, not tried)", administrator)
	}
	return doubtful("openstack image set --public IMAGE",
		"the roles %s may not make images public, where Glance has its own policy (inferred, not tried); who has the role %s may",
		strings.Join(x.session.Roles, ", "), administrator)
}
