package doctor

import (
	"context"
	"strings"

	"ndock/openstack"
)

// pushing is the check that Glance takes images of this project, with the properties that a push sets.
func pushing(ctx context.Context, x *examination) Finding {
	taken, err := x.someImage(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case taken == "":
		return unknown("there is no image yet: doctor asks Glance for another one with the same id, which it refuses last")
	}
	reserved, err := x.cloud.Reserved(ctx, taken)
	names := strings.Join(reserved.Properties, ", ")
	switch {
	case openstack.Refused(err):
		return doubtful("openstack role add --project "+word(x.session.ProjectID)+" --user USER member", "%s", reason(err))
	case err != nil:
		return unanswered(err)
	case names == "":
		return well("Glance takes images with all properties that a push sets")
	case reserved.Layered:
		return doubtful("ndock image push-glance --whole IMAGE", "Glance's property protections keep %s for others: images are pushed without layers, and by no registry in Glance, until an administrator lets this project's users set them", names)
	}
	return broken("crudini --get /etc/glance/glance-api.conf DEFAULT property_protection_file", "Glance's property protections keep %s for others: nothing can be pushed until an administrator lets this project's users set them", names)
}

// someImage returns the id of an image that is there, if there is one.
func (x *examination) someImage(ctx context.Context) (string, error) {
	for _, list := range []func(context.Context) ([]openstack.Image, error){x.cloud.Images, x.cloud.MachineImages} {
		all, err := list(ctx)
		if err != nil {
			return "", err
		}
		if len(all) > 0 {
			return all[0].ID, nil
		}
	}
	return "", nil
}
