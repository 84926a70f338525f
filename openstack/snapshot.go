package openstack

import (
	"context"
	"errors"
	"fmt"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// Snapshot makes a Glance image of a server and returns it as it is then.
func (c *Cloud) Snapshot(ctx context.Context, nameOrID, imageName string, wait Wait) (Image, error) {
	found, err := c.Server(ctx, nameOrID)
	if err != nil {
		return Image{}, err
	}
	if imageName == "" {
		imageName = ImageName(found.Name)
	}
	client, err := c.nova()
	if err != nil {
		return Image{}, err
	}
	imageID, err := servers.CreateImage(ctx, client, found.ID, servers.CreateImageOpts{Name: imageName}).ExtractImageID()
	if err != nil {
		return Image{}, explain(fmt.Sprintf("snapshot server %q", nameOrID), err)
	}
	if wait.Wanted {
		return c.awaitImage(ctx, found, imageID, wait)
	}
	return c.begunImage(ctx, imageID)
}

// begunImage is an image as it stands just after Nova has made it, and before it has bytes.
func (c *Cloud) begunImage(ctx context.Context, id string) (Image, error) {
	client, err := c.glance()
	if err != nil {
		return Image{}, err
	}
	found, err := persist(ctx, func(ctx context.Context) (*images.Image, error) { return images.Get(ctx, client, id).Extract() })
	if err != nil {
		return Image{}, explain("look at image "+id, err)
	}
	return imageFrom(*found), nil
}

// awaitImage waits until the image is active. Nova deletes the image of a snapshot that fails.
func (c *Cloud) awaitImage(ctx context.Context, server Server, id string, wait Wait) (Image, error) {
	client, err := c.glance()
	if err != nil {
		return Image{}, err
	}
	var image Image
	err = wait.poll(ctx, fmt.Sprintf("snapshot server %q", server.Name), func(ctx context.Context) (string, bool, error) {
		found, err := images.Get(ctx, client, id).Extract()
		if isMissing(err) {
			return "", true, c.snapshotFault(ctx, server)
		}
		if err != nil {
			return "", false, explain("look at image "+id, err)
		}
		image = imageFrom(*found)
		switch image.Status {
		case "killed", "deleted", "pending_delete":
			return image.Status, true, c.snapshotFault(ctx, server)
		}
		return image.Status, image.Status == "active", nil
	})
	return image, err
}

func (c *Cloud) snapshotFault(ctx context.Context, server Server) error {
	return &Error{
		Op: fmt.Sprintf("snapshot server %q", server.Name), Err: errors.New("it failed, and Nova removed the image"),
		RequestID: c.lastRequest(ctx, server.ID), hint: "nova-compute's log has the reason, under this request",
	}
}
