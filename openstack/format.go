package openstack

import (
	"context"
	"slices"
)

// Formats are those of images that Glance takes.
type Formats struct {
	Container []string
	Disk      []string
}

// Formats asks Glance for them, by the schema that it checks images with.
func (c *Cloud) Formats(ctx context.Context) (Formats, error) {
	client, err := c.glance()
	if err != nil {
		return Formats{}, err
	}
	type choice struct {
		Enum []string // one may be null, for an image that says none
	}
	var schema struct {
		Properties struct {
			Container choice `json:"container_format"`
			Disk      choice `json:"disk_format"`
		}
	}
	_, err = client.Get(ctx, client.ServiceURL("schemas", "image"), &schema, nil)
	if err != nil {
		return Formats{}, explain("ask Glance for its formats", err)
	}
	return Formats{named(schema.Properties.Container.Enum), named(schema.Properties.Disk.Enum)}, nil
}

func named(formats []string) []string {
	return slices.DeleteFunc(formats, func(format string) bool { return format == "" })
}
