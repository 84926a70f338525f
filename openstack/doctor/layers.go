package doctor

import (
	"context"
	"fmt"
	"slices"

	"ndock/openstack"
)

// layersTrait is what hosts have that boot images whose layers are Glance images of their own.
const layersTrait = "CUSTOM_NDOCK_LAYERS"

// manyImages is from when uploads become slow where Glance has a quota of bytes: it looks at every image of the project then,
// at each of them. With 1,000 images that was 3.4 s of its processor time.
const manyImages = 500

// layers is the check that images in layers boot everywhere, and that there are not too many layers.
func layers(ctx context.Context, x *examination) Finding {
	images, layers, err := x.cloud.ImageCount(ctx)
	if err != nil {
		return unanswered(err)
	}
	older, err := x.olderHosts(ctx)
	if err != nil {
		return unanswered(err)
	}
	shown, err := x.cloud.Images(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case len(older) > 0:
		return doubtful("ndock node setup", "images in layers do not boot on %s, where ndock is older, or has been for less than a minute; the command is for these hosts, and 'ndock image push-glance --whole' for images until then", hostNames(older))
	case images+layers > manyImages:
		return doubtful("ndock image gc", "the project has %d Docker images in Glance, and %d layers: %s; 'ndock image prune' deletes images that nobody needs, and then such layers", images, layers, x.slowUploads(ctx))
	case slices.ContainsFunc(shown, func(image openstack.Image) bool { return image.Located }):
		return doubtful("crudini --set /etc/glance/glance-api.conf DEFAULT show_multiple_locations false && service glance-api restart",
			"Glance shows where an image's bytes are, and lets users say so: its checksums prove nothing then, and hosts fetch all layers of an image, also those that they have")
	}
	return well("the project has %d Docker images in Glance, and %d layers", images, layers)
}

// slowUploads says what many images cost.
func (x *examination) slowUploads(ctx context.Context) string {
	quota, err := x.cloud.ImageQuota(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("each upload is slow where Glance has a quota of bytes, for which it looks at all of them (%s)", reason(err))
	case quota == nil:
		return "each upload is slow where Glance has a quota of bytes (user_storage_quota, which nobody sees from here), for which it looks at all of them"
	}
	return fmt.Sprintf("each upload is slow, because Glance looks at all of them for its quota image_size_total, of which %d of %d MiB are used", quota.Used, quota.Limit)
}

// olderHosts are those that cannot boot images in layers; none where the user may not see hosts or their traits.
func (x *examination) olderHosts(ctx context.Context) ([]openstack.Hypervisor, error) {
	var older []openstack.Hypervisor
	for _, host := range x.dockerHosts() {
		traits, err := x.cloud.Traits(ctx, host.ID)
		if openstack.Refused(err) || absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(traits, layersTrait) {
			older = append(older, host)
		}
	}
	return older, nil
}
